"""The engine of dask workers, on a real cluster of two: the same values, and what is left."""

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from engine_programs import alive, gone, script

import chione
from chione.base import EngineError, MissingExtraError, SpecError
from chione.base.engines import cluster as cluster_engine
from chione.base.engines import engine, in_order

distributed = pytest.importorskip("distributed", reason="the extra 'sweeps' is not installed")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",  # a free port; its pages are off
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as client:
        yield client


def values(results):
    return [done.value for done in in_order(results)]


def marked(mark, x):
    """Takes long the first time it sees 0, so that there is time to kill its worker."""
    path = Path(mark)
    if x == 0 and not path.exists():
        path.write_text(str(os.getpid()))
        time.sleep(60)
    return x, os.getpid()


def kill_or_double(x):
    if x < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * x


def test_values_and_failures_are_those_of_the_other_engines(client):
    with engine(client) as e:
        assert e.workers == 2
        done = list(in_order(e.run(math.sqrt, [4.0, -1.0, 9.0])))
        assert [d.value for d in done] == [2.0, None, 3.0]
        assert done[1].failure.kind == "failed"
        assert done[1].failure.message == "ValueError: math domain error"
        with pytest.raises(ValueError, match="math domain error"):
            done[1].failure.throw()
        assert values(e.run(abs, [])) == []
    assert client.status == "running"  # it is its owner's to close


def test_a_killed_worker_takes_nothing_along(client, tmp_path):
    mark = tmp_path / "mark"
    with engine(client) as e:
        run = e.run(partial(marked, str(mark)), range(12))
        done = [next(run)]
        deadline = time.monotonic() + 60.0
        while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)  # others may have ended before the first has begun
        os.kill(int(mark.read_text()), signal.SIGKILL)
        done += run
    assert sorted(d.value[0] for d in done) == list(range(12))
    assert all(d.failure is None for d in done)
    (again,) = (d.value[1] for d in done if d.index == 0)
    assert again != int(mark.read_text())


@pytest.mark.slow
def test_a_task_that_kills_each_worker_is_lost_and_takes_no_neighbour_along(client):
    with engine(client) as e:
        done = list(in_order(e.run(kill_or_double, [1, -1, 2, 3])))
    assert [d.value for d in done] == [2, None, 4, 6]
    assert done[1].failure.kind == "lost"
    assert (
        "workers that died while they ran it: 4, the last one was tcp:" in done[1].failure.message
    )


def test_no_more_than_two_tasks_a_worker_are_in_flight(client):
    taken = []

    def tasks():
        for x in range(30):
            taken.append(x)
            yield x

    with engine(client) as e:
        for n, _ in enumerate(e.run(abs, tasks()), start=1):
            assert len(taken) <= n + 2 * 2 + 1  # one more is looked at, to know that it is there


def test_functions_of_the_caller_itself_may_be_used(client):
    factor = 3
    with engine(client) as e:
        assert values(e.run(lambda x: factor * x, [1, 2])) == [3, 6]


def test_a_simulation_gives_the_same_bits(client):
    net = chione.MLP(chione.activation("gelu"), 1.4, 0.2, depth=3, width=(30, 23, 31))
    own = chione.MLP(chione.activation(lambda z: np.tanh(z) + 0.1 * z), 1.4, 0.2, 3, 30)
    for network in (net, own):
        here = chione.simulate(network, n_networks=11, observe=("lengths", "gradients"))
        there = chione.simulate(
            network, n_networks=11, observe=("lengths", "gradients"), engine=client
        )
        for name in here.mean:
            assert np.array_equal(here.mean[name], there.mean[name])
            assert np.array_equal(here.stderr[name], there.stderr[name])


def test_an_address_is_enough(cluster):
    with engine("dask", scheduler=cluster.scheduler_address) as e:
        assert values(e.run(abs, [-1])) == [1]


def test_an_asynchronous_client_is_refused(cluster):
    async def asked():
        async with distributed.Client(
            cluster.scheduler_address, asynchronous=True, set_as_default=False
        ) as client:
            with pytest.raises(SpecError, match="asynchronous client, whose answers have to be"):
                engine(client)

    asyncio.run(asked())


def test_a_scheduler_that_does_not_answer_is_told_of_within_seconds(monkeypatch):
    assert cluster_engine._ANSWER == 5.0
    monkeypatch.setattr(cluster_engine, "_ANSWER", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(EngineError, match=f"no dask scheduler answers at '{address}'"):
            engine(address)
    with pytest.raises(SpecError, match=r"there is no scheduler file 'nowhere.json'"):
        engine("nowhere.json")


SLEEPER = """
import time
from chione.base.engines import engine
with engine("dask", workers=2) as e:
    for done in e.run(eval, ["__import__('os').getpid()"] * 8):
        print(done.value, flush=True)
    print("ready", flush=True)
    list(e.run(time.sleep, [60, 60]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_local_cluster_ends_with_its_parent_and_needs_no_main_guard(tmp_path, signum):
    process, _ = script(tmp_path, SLEEPER)
    pids = {int(line) for line in iter(process.stdout.readline, "ready\n")}
    assert pids
    assert all(alive(pid) for pid in pids)
    if signum == signal.SIGINT:
        os.killpg(process.pid, signum)
    else:
        process.kill()
    _, err = process.communicate(timeout=240)
    assert gone(pids)
    if signum == signal.SIGINT:
        assert err.count("Traceback") == 1, err
        assert err.strip().endswith("KeyboardInterrupt")


@pytest.mark.slow
def test_a_scheduler_that_goes_away_ends_the_run_in_a_sentence(tmp_path):
    code = """
    import os, signal, time
    from chione.base.engines import engine
    from chione.base.engines.local_cluster import LocalCluster
    from contextlib import closing
    with closing(LocalCluster(1)) as cluster, engine(cluster.address) as e:
        for done in e.run(time.sleep, [0.01] + [30] * 3):
            os.kill(cluster.pid, signal.SIGKILL)
    """
    process, _ = script(tmp_path, code)
    _, err = process.communicate(timeout=240)
    assert err.count("Traceback") == 1, err
    assert (
        "EngineError: the dask scheduler has gone away or has cancelled the tasks; what was "
        "finished before is not affected, so start again when the cluster is back."
    ) in err


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[sweeps\]'"):
        engine("dask")
