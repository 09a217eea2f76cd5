"""A sweep whose worker, pool or own process is killed comes to the same bytes in the end."""

import json
import os
import signal
import subprocess
import sys

import pytest

import chione
from chione.base.engines import engine
from chione.base.engines.pool import Pool
from chione.sweeps.ledger import Ledger

PLAN = {
    "plan": ["tanh", "relu"],
    "sigma_w": [0.5, 1.4],
    "depth": [2, 3, 5],
    "width": 8,
    "steps": 12,
    "seeds": 3,
    "data": "synthetic",
}


def table(found, tmp_path):
    return found.export(tmp_path / "table.csv").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The bytes of the table of a sweep in this process, without a ledger."""
    return table(chione.sweep(**PLAN, engine="here"), tmp_path_factory.mktemp("plain"))


class Killer:
    """Sends SIGKILL once, when so many trainings have ended."""

    def __init__(self, pids, after):
        self.pids, self.after = pids, after
        self.killed = ()

    def __call__(self, done, total, left):
        if not self.killed and done >= self.after:
            self.killed = tuple(self.pids())
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victims", [1, 2], ids=["a worker", "the whole pool"])
@pytest.mark.sampled(2)
def test_killed_workers_change_nothing(uninterrupted, tmp_path, victims):
    with engine("processes", workers=2) as pool:
        killer = Killer(lambda: pool.pids[:victims], after=6)
        out = tmp_path / "runs.sqlite"
        found = chione.sweep(**PLAN, engine=pool, out=out, progress=killer)
        assert len(killer.killed) == victims
        assert set(killer.killed).isdisjoint(pool.pids)
    assert table(found, tmp_path) == uninterrupted
    with Ledger(out, write=False) as ledger:
        assert ledger.counts() == {"done": 36, "diverged": 0, "failed": 0, "lost": 0}


PROGRAM = """
import json, os, signal, sys
import chione
from chione.sweeps.ledger import Ledger

plan, out, export, bundles, workers = json.loads(sys.argv[1])
record, left = Ledger.record, bundles

def record_and_die(self, rows):
    global left
    record(self, rows)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Ledger.record = record_and_die
chione.sweep(**plan, out=out, workers=workers, engine="processes").export(export)
"""


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_comes_to_the_same_bytes(uninterrupted, tmp_path):
    out, export = tmp_path / "runs.sqlite", tmp_path / "table.csv"
    kept = []
    for bundles in (1, 2, 0):  # dies after the first, then after two more, then lives
        words = json.dumps([PLAN, str(out), str(export), bundles, 2])
        done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM, words], check=False)
        assert done.returncode == (-signal.SIGKILL if bundles else 0)
        with Ledger(out, write=False) as ledger:
            kept.append(ledger.counts()["done"])
    assert 0 < kept[0] < kept[1] < kept[2] == 36
    assert export.read_bytes() == uninterrupted


def test_an_interrupt_keeps_each_bundle_that_ended_and_leaves_no_process(uninterrupted, tmp_path):
    out = tmp_path / "runs.sqlite"
    with engine("processes", workers=2) as pool:

        def interrupt(done, total, left):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            chione.sweep(**PLAN, engine=pool, out=out, progress=interrupt)
        with Ledger(out, write=False) as ledger:
            assert ledger.counts()["done"] >= 1
        assert table(chione.sweep(**PLAN, engine=pool, out=out), tmp_path) == uninterrupted


def test_a_training_that_is_lost_is_tried_again_by_the_next_sweep(tmp_path, monkeypatch):
    out = tmp_path / "runs.sqlite"
    plan = PLAN | {"plan": "tanh", "depth": [4], "sigma_w": 1.4, "seeds": 1}
    pool = Pool(1, retries=0)
    plain = pool._hand_out

    def hand_out_and_kill(function, supply):
        plain(function, supply)
        if any(worker.ready and worker.flight for worker in pool._staff):
            os.kill(pool.pids[0], signal.SIGKILL)

    with pool:
        list(pool.run(abs, [-1]))  # so that the worker is ready
        monkeypatch.setattr(pool, "_hand_out", hand_out_and_kill)
        lost = chione.sweep(**plan, engine=pool, out=out)
        monkeypatch.undo()
        assert set(lost.outcome.ravel().tolist()) == {"lost"}
        with Ledger(out, write=False) as ledger:
            ((_, outcome),) = ledger.rows()
        assert "workers that died while they ran it: 1, the last one by signal 9" in outcome.message
        again = chione.sweep(**plan, engine=pool, out=out)
    assert set(again.outcome.ravel().tolist()) == {"done"}


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes_though_a_worker_is_killed(uninterrupted, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra 'sweeps' is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        killer = Killer(lambda: [next(iter(client.run(os.getpid).values()))], after=6)
        out = tmp_path / "runs.sqlite"
        found = chione.sweep(**PLAN, engine=client, out=out, progress=killer)
        assert len(killer.killed) == 1
    assert table(found, tmp_path) == uninterrupted
