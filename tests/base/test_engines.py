"""Engines: the same values from each, and what is left when workers or their parent are killed."""

import math
import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from engine_programs import alive, gone, script

from chione.base import EngineError, SpecError
from chione.base.engines import cores, engine, in_order

LOCAL = ["here", "threads", "processes"]


def values(results):
    return [done.value for done in in_order(results)]


def once(mark, signum):
    """Kills its process the first time it is called, and never again."""
    path = Path(f"{mark}{signum}")
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signum)
    return "survived"


def kill_or_double(x):
    if x < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * x


def environment(name):
    return os.environ.get(name)


@pytest.mark.parametrize("which", LOCAL)
def test_every_engine_gives_the_same_values_and_the_same_failures(which):
    with engine(which, workers=2) as e:
        done = list(in_order(e.run(math.sqrt, [4.0, -1.0, 9.0, 16.0, 25.0])))
        assert [d.index for d in done] == [0, 1, 2, 3, 4]
        assert [d.value for d in done] == [2.0, None, 3.0, 4.0, 5.0]
        assert [d.failure is None for d in done] == [True, False, True, True, True]
        failure = done[1].failure
        assert failure.kind == "failed"
        assert failure.message == "ValueError: math domain error"
        with pytest.raises(ValueError, match="math domain error"):
            failure.throw()
        assert values(e.run(abs, [-1, -2])) == [1, 2]  # an engine serves many runs
        assert values(e.run(abs, [])) == []


def test_a_killed_worker_is_replaced_and_its_task_tried_again(tmp_path):
    with engine("processes", workers=2) as e:
        before = set(e.pids)
        task = partial(once, str(tmp_path / "mark"))
        assert values(e.run(task, [signal.SIGKILL, 0])) == ["survived", "survived"]
        values(e.run(time.sleep, [0.05] * 4))
        assert len(set(e.pids)) == 2
        assert len(set(e.pids) - before) == 1


def test_a_task_that_kills_each_worker_is_lost_and_takes_no_neighbour_along():
    with engine("processes", workers=2) as e:
        done = list(in_order(e.run(kill_or_double, [1, -1, 2, 3, -4, 5])))
    assert [d.value for d in done] == [2, None, 4, 6, None, 10]
    assert [d.failure.kind for d in done if d.failure] == ["lost", "lost"]
    assert (
        "workers that died while they ran it: 3, the last one by signal 9"
        in done[1].failure.message
    )


def test_a_worker_has_one_blas_thread_and_the_parent_keeps_its_environment():
    before = dict(os.environ)
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    with engine("processes", workers=1) as e:
        assert values(e.run(environment, names)) == ["1", "1", "1"]
    assert dict(os.environ) == before


SCRIPT = """
import math, sys
from chione.base.engines import cores, engine, in_order
print("begun")
with engine(2) as e:
    print([done.value for done in in_order(e.run(math.sqrt, [4.0, 9.0]))])
"""


@pytest.mark.parametrize("feed", [None, "stdin"])
def test_a_script_without_a_main_guard_runs_once(tmp_path, feed):
    process, code = script(tmp_path, SCRIPT, feed=feed)
    out, err = process.communicate(code if feed else None, timeout=240)
    assert (out, err) == ("begun\n[2.0, 3.0]\n", "")


SLEEPER = """
import signal, sys, time
from chione.base.engines import engine
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of the background ignores it
with engine(2) as e:
    print(*e.pids, flush=True)
    for done in e.run(time.sleep, [0.01, 60, 60]):
        print("done", done.index, flush=True)
"""


@pytest.mark.parametrize("how", ["the process alone", "its group"])
def test_no_worker_outlives_a_killed_parent(tmp_path, how):
    process, _ = script(tmp_path, SLEEPER)
    pids = [int(x) for x in process.stdout.readline().split()]
    assert process.stdout.readline() == "done 0\n"
    assert all(alive(pid) for pid in pids)
    if how == "its group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    assert gone(pids)


def test_ctrl_c_ends_all_workers_without_a_word_from_them(tmp_path):
    process, _ = script(tmp_path, SLEEPER)
    pids = [int(x) for x in process.stdout.readline().split()]
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: also before workers are ready
    _, err = process.communicate(timeout=240)
    assert gone(pids)
    assert err.count("Traceback") == 1  # that of the script
    assert err.strip().endswith("KeyboardInterrupt")


def test_there_are_no_more_processes_than_tasks_or_than_a_machine_bears(monkeypatch):
    with engine("processes", workers=100_000) as e:
        assert values(e.run(abs, [-1, -2, -3])) == [1, 2, 3]
        assert len(e.pids) <= max(3, cores())
        assert e.workers <= max(16, 4 * cores())


def test_a_machine_without_room_for_another_process_does_with_those_it_has(monkeypatch):
    from chione.base.engines import pool

    plain, started = pool.Worker, []

    def full(inbox):
        if len(started) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(plain(inbox))
        return started[-1]

    monkeypatch.setattr(pool, "Worker", full)
    with engine("processes", workers=4) as e:
        assert values(e.run(abs, [-1, -2, -3, -4])) == [1, 2, 3, 4]
        assert len(e.pids) == 1
    with (
        pytest.raises(EngineError, match="no worker process can be started"),
        engine("processes", workers=4),
    ):
        pass


def test_a_run_that_is_left_early_leaves_nothing_for_the_next_one():
    with engine("processes", workers=2) as e:
        for done in e.run(time.sleep, [0.0, 60, 60, 60]):
            assert done.index == 0
            break
        assert values(e.run(abs, [-3, -4, -5])) == [3, 4, 5]


def test_what_cannot_travel_is_told_in_one_sentence():
    with engine("processes", workers=1) as e:
        with pytest.raises(SpecError, match="the function cannot be sent to another process"):
            list(e.run(lambda x: x, [1]))
        with pytest.raises(SpecError, match="task number 1 cannot be sent to another process"):
            list(e.run(abs, [1, lambda x: x]))
        (done,) = e.run(eval, ["lambda x: x"])
        assert "its result cannot be sent back" in done.failure.message
        assert values(e.run(abs, [-1])) == [1]


class Odd:
    """Can be pickled, and not read again in the parent."""

    def __reduce__(self):
        return _only_in_a_worker, (os.getpid(), os.getppid())


def _only_in_a_worker(worker, parent):
    if os.getpid() == parent:
        raise LookupError("not here")
    return Odd()


def odd(_):
    return Odd()


def test_a_result_that_cannot_be_read_is_a_failure_of_its_task():
    with engine("processes", workers=1) as e:
        (done,) = e.run(odd, [1])
        assert done.failure.message == "its result cannot be read here (LookupError: not here)"
        assert values(e.run(abs, [-1])) == [1]


def test_an_error_of_a_worker_carries_the_place_where_it_arose():
    with engine("processes", workers=1) as e:
        (done,) = e.run(odd_root, [-1.0])
    with pytest.raises(ValueError, match="math domain error") as caught:
        done.failure.throw()
    assert "in odd_root" in caught.value.__notes__[0]


def odd_root(x):
    return math.sqrt(x)


def test_something_of_the_script_itself_is_told_in_one_sentence(tmp_path):
    code = """
    from chione.base.engines import engine
    def own(x):
        return x
    with engine(2) as e:
        list(e.run(own, [1, 2]))
    """
    process, _ = script(tmp_path, code)
    _, err = process.communicate(timeout=240)
    assert "cannot find something that the running script or notebook itself defines" in err
    assert "move it into a module" in err


def test_results_in_order_wait_for_no_more_than_allowed():
    begun = []

    def note(x):
        begun.append(x)
        time.sleep(0.05 if x == 0 else 0.0)
        return max(begun)

    with engine("threads", workers=2) as e:
        furthest = values(e.run(note, range(20), ahead=4))
    assert furthest[0] <= 3  # while number 0 ran, none beyond 3 had begun
    assert furthest[-1] == 19


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"which": "proceses"}, "one of here, threads, processes, dask"),
        ({"which": 2.5}, "engine must be one of"),
        ({"which": True}, "engine must be one of"),
        ({"which": np.ones(3)}, "engine must be one of"),
        ({"which": np.ones(3), "scheduler": "tcp://a:1"}, "a scheduler belongs to"),
        ({"which": 2, "workers": 3}, "engine must be one of"),
        ({"scheduler": 8786}, "scheduler must be an address such as"),
        ({"which": "threads", "scheduler": "tcp://a:1"}, "a scheduler belongs to engine='dask'"),
        ({"scheduler": "somewhere"}, "scheduler must be an address such as"),
    ],
)
def test_an_unknown_engine_is_told_what_is_accepted(arguments, words):
    with pytest.raises(SpecError, match=words):
        engine(**arguments)


def test_a_number_of_workers_below_one_is_refused():
    with pytest.raises(ValueError, match="workers must be at least 1, but it is 0"):
        engine(0)


def test_two_runs_at_once_are_refused():
    with engine("processes", workers=1) as e:
        first = e.run(abs, [1, 2, 3])
        next(first)
        with pytest.raises(EngineError, match="a run that is not finished"):
            next(iter(e.run(abs, [1])))
        first.close()


def test_workers_that_cannot_start_are_told_of(monkeypatch):
    from chione.base.engines import worker

    monkeypatch.setattr(worker, "_PROGRAM", "raise SystemExit(7)")
    with (
        engine("processes", workers=2) as e,
        pytest.raises(EngineError, match="end before they begin, the last one with exit status 7"),
    ):
        list(e.run(abs, [1]))
