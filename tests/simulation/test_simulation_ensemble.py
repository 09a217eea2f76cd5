"""The ensemble: reproducible however it is run, interruptible, and plain about bad input."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import chione
from chione.base import ConvergenceError, SpecError
from chione.base.engines import engine
from chione.networks import resnet
from chione.simulation import correlated_inputs, input_pair
from chione.simulation.ensemble import NAMES


def net(**changes):
    phi = changes.pop("activation", chione.activation("tanh"))
    fields = {"sigma_w": 1.4, "sigma_b": 0.2, "depth": 4, "width": (40, 33, 47, 36)}
    fields |= {"input_width": 38} | changes
    return chione.MLP(phi, **fields)


def same(a, b):
    assert a.observables == b.observables
    for name in a.mean:
        assert np.array_equal(a.mean[name], b.mean[name]), name
        assert np.array_equal(a.stderr[name], b.stderr[name]), name
    return True


@pytest.fixture(scope="module")
def processes():
    with engine("processes", workers=2) as e:
        yield e


@pytest.mark.parametrize("sampler", ["dense", "matrix-free"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_do_not_depend_on_batch_workers_or_memory(sampler, dtype):
    options = {"n_networks": 7, "seed": 3, "observe": NAMES, "sampler": sampler, "dtype": dtype}
    plain = chione.simulate(net(), **options)
    assert plain.n_networks == 7
    same(plain, chione.simulate(net(), **options, workers=3, batch=2))
    same(plain, chione.simulate(net(), **options, workers=2, batch=100))
    same(plain, chione.simulate(net(), **options, memory=1))


@pytest.mark.parametrize("sampler", ["dense", "matrix-free"])
def test_numbers_do_not_depend_on_the_engine(processes, sampler):
    options = {"n_networks": 19, "seed": 3, "observe": NAMES, "sampler": sampler}
    plain = chione.simulate(net(), **options)
    same(plain, chione.simulate(net(), **options, engine=processes))
    same(plain, chione.simulate(net(), **options, engine=processes, batch=3, memory=1))
    same(plain, chione.simulate(net(), **options, engine="threads", workers=3))


WIDE = """
import hashlib, os, sys
import chione
net = chione.MLP(chione.activation("tanh"), 1.4, 0.2, depth=2, width=1000)
run = chione.simulate(net, n_networks=2, sampler="dense", engine=sys.argv[1], workers=2)
x = b"".join(run.mean[name].tobytes() for name in run.mean)
print(hashlib.sha256(x).hexdigest())
"""


def test_numbers_do_not_depend_on_the_threads_of_linear_algebra():
    """A product of 1000 x 1000 that four threads share rounds otherwise than that of one."""
    seen = set()
    for threads, which in (("1", "here"), ("4", "threads"), ("4", "processes")):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", WIDE, which]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seen.add(done.stdout)
    assert len(seen) == 1


def test_networks_of_any_layers_do_not_depend_on_the_engine(processes):
    network = resnet(depth=2, width=12)
    plain = chione.simulate(network, n_networks=9, seed=3, ntk=True)
    for options in ({"engine": processes}, {"workers": 2}):
        other = chione.simulate(network, n_networks=9, seed=3, ntk=True, **options)
        assert np.array_equal(plain.ntk, other.ntk)
        assert np.array_equal(plain.ntk_stderr, other.ntk_stderr)
        for a, b in zip(plain.rows, other.rows, strict=True):
            assert a.place == b.place
            assert np.array_equal(a.second_moments, b.second_moments)
            assert np.array_equal(a.shared, b.shared)


def test_spectra_and_limits_do_not_depend_on_the_engine(processes):
    plain = chione.simulate_spectrum(net(), n_networks=5, seed=2)
    other = chione.simulate_spectrum(net(), n_networks=5, seed=2, engine=processes)
    assert np.array_equal(plain.log_singular_values, other.log_singular_values)
    options = {"kernel": np.eye(2), "widths": (5, 9), "n_outputs": 7, "n_networks": 11}
    x = input_pair(38, seed=1)
    limit = chione.gaussian_limit(net(width=9), x, **options)
    other = chione.gaussian_limit(net(width=9), x, **options, engine=processes)
    assert np.array_equal(limit.kurtosis, other.kurtosis)
    assert np.array_equal(limit.mmd2, other.mmd2)


def test_an_activation_that_cannot_travel_is_told_of_and_runs_in_threads(processes):
    own = net(activation=chione.activation(lambda z: np.tanh(z) + 0.1 * z))
    with pytest.raises(SpecError, match="cannot be sent to another process"):
        chione.simulate(own, n_networks=2, engine=processes)
    same(
        chione.simulate(own, n_networks=4),
        chione.simulate(own, n_networks=4, engine="threads", workers=2),
    )


def test_an_error_in_a_worker_is_the_same_as_in_this_process(processes):
    steep = net(sigma_w=1e200, depth=6, width=38, activation=chione.activation("relu"))
    for which in (None, processes):
        with pytest.raises(ConvergenceError, match="leaves the range of float64 in layer"):
            chione.simulate_spectrum(steep, n_networks=2, engine=which)


def test_more_networks_extend_a_run_and_do_not_change_its_first_ones():
    seen = []
    for count in (5, 6):
        run = chione.simulate(net(), n_networks=count, seed=4, observe="lengths")
        seen.append(run.mean["lengths"] * count)
    sixth = seen[1] - seen[0]
    assert np.all(sixth > 0.0)
    other = chione.simulate(net(), n_networks=5, seed=5, observe="lengths")
    assert not np.array_equal(other.mean["lengths"] * 5, seen[0])


def test_the_seed_that_was_drawn_is_stored_and_repeats_the_run():
    first = chione.simulate(net(), n_networks=2, seed=None)
    same(first, chione.simulate(net(), n_networks=2, seed=first.seed))


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}, {"engine": "processes"}])
def test_an_interrupt_keeps_what_has_been_computed(options):
    def stop_at_three(done, total):
        assert total == 50
        if done == 3:
            raise KeyboardInterrupt

    options = {"seed": 1, **options}
    run = chione.simulate(net(), n_networks=50, progress=stop_at_three, **options)
    assert run.n_networks == 3
    assert run.interrupted
    assert "3 of 50" in run.warnings[0]
    same(run, chione.simulate(net(), n_networks=3, seed=1))


def test_an_interrupt_before_the_first_network_is_passed_on(monkeypatch):
    def refuse(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("chione.simulation.measuring._rows", refuse)
    with pytest.raises(KeyboardInterrupt):
        chione.simulate(net())


def test_default_inputs_have_mean_square_one_and_correlation_one_half():
    run = chione.simulate(net(), n_networks=1)
    assert np.allclose(run.input_gram, [[1.0, 0.5], [0.5, 1.0]], rtol=1e-13)
    x = input_pair(17, q0=2.5, c0=-1.0)
    assert np.allclose(x @ x.T / 17, [[2.5, -2.5], [-2.5, 2.5]], rtol=1e-13)


def test_inputs_have_exactly_the_products_that_were_asked_for():
    gram = np.array([[1.0, 0.2, -0.3], [0.2, 2.0, 0.5], [-0.3, 0.5, 0.7]])
    x = correlated_inputs(9, gram, seed=2)
    assert np.allclose(x @ x.T / 9, gram, atol=1e-14)
    with pytest.raises(ValueError, match="positive semidefinite"):
        correlated_inputs(9, [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"rank 3.*width 3 or more, not 2"):
        correlated_inputs(2, gram)


def test_float32_follows_float64_within_its_precision():
    x = correlated_inputs(38, np.eye(3), seed=1)
    options = {"n_networks": 300, "observe": ("lengths", "gradients")}
    a = chione.simulate(net(), x, **options, dtype="float64", seed=1)
    b = chione.simulate(net(), x, **options, dtype="float32", seed=2)
    assert b.dtype == "float32"
    for name in options["observe"]:
        spread = np.hypot(a.stderr[name], b.stderr[name]) + 1e-6
        assert np.all(np.abs(a.mean[name] - b.mean[name]) < 5.0 * spread)


@pytest.mark.parametrize("law", ["uniform", "truncated", "delta", "orthogonal"])
def test_first_layer_has_the_same_mean_length_under_every_law(law):
    run = chione.simulate(net(weights=law), n_networks=200, observe="lengths", sampler="dense")
    expected = 1.4**2 + 0.2**2
    z = (run.mean["lengths"][0] - expected) / run.stderr["lengths"][0]
    assert np.all(np.abs(z) < 4.5)


def test_torch_products_draw_from_the_same_law():
    pytest.importorskip("torch")
    options = {"n_networks": 100, "observe": ("lengths", "gradients", "correlations")}
    for law in ("gaussian", "orthogonal"):
        a = chione.simulate(net(weights=law), **options, seed=1, sampler="dense")
        b = chione.simulate(net(weights=law), **options, seed=2, backend="torch")
        assert b.sampler == "dense-torch"
        for name in options["observe"]:
            spread = np.hypot(a.stderr[name], b.stderr[name]) + 1e-12
            assert np.all(np.abs(a.mean[name] - b.mean[name]) < 5.0 * spread)
    same(b, chione.simulate(net(weights=law), **options, seed=2, backend="torch", workers=2))


def test_signals_that_overflow_are_reported_and_never_look_like_numbers():
    network = chione.MLP(chione.activation("quadratic"), 3.0, 0.0, depth=12, width=50)
    run = chione.simulate(network, n_networks=3)
    assert not np.isfinite(run.mean["lengths"][-1]).any()
    assert any("lengths: not finite in layers" in w for w in run.warnings)
    assert run.to_dict()["observables"]["lengths"]["mean"][-1] == [None, None]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_networks": 0}, ValueError, "n_networks must be at least 1, but it is 0"),
        ({"n_networks": 2.5}, TypeError, "n_networks must be an integer"),
        ({"inputs": np.full((2, 38), np.nan)}, ValueError, "inputs must be finite.*nan"),
        ({"inputs": np.ones((2, 37))}, ValueError, r"\(2, 37\); the network's input_width is 38"),
        ({"inputs": np.ones((0, 38))}, ValueError, "inputs must have shape"),
        ({"inputs": np.ones((1, 2, 38))}, ValueError, "inputs must have shape"),
        ({"inputs": ["a"] * 38}, TypeError, "inputs must hold real numbers"),
        ({"observe": ("lengths", "legnths")}, ValueError, "observe must be one of.*'legnths'"),
        ({"observe": ()}, ValueError, "observe must name at least one"),
        ({"sampler": "exact"}, ValueError, "sampler must be one of auto, dense, matrix-free"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of float32, float64"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": "x"}, TypeError, "seed must be an integer"),
        ({"workers": 0}, ValueError, "workers must be at least 1"),
        ({"backend": "jax"}, ValueError, "backend must be one of numpy, torch"),
        ({"backend": "torch", "sampler": "matrix-free"}, ValueError, "dense weights only"),
    ],
)
def test_bad_input_is_refused_in_one_clear_sentence(options, error, message):
    with pytest.raises(error, match=message) as caught:
        chione.simulate(net(), options.pop("inputs", None), **options)
    assert "\n" not in str(caught.value)


def test_networks_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="width must be at least 1"):
        net(width=(40, 0, 47, 36))
    with pytest.raises(TypeError, match=r"network must be a chione\.MLP"):
        chione.simulate("tanh")
    with pytest.raises(ValueError, match="inputs must be given where input_width is 1"):
        chione.simulate(net(input_width=1))
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match="device must be one that PyTorch has"):
        chione.simulate(net(), backend="torch", device="abacus")


def test_a_single_network_has_means_but_no_standard_errors():
    run = chione.simulate(net(), n_networks=1)
    assert np.all(np.isfinite(run.mean["lengths"]))
    assert np.all(np.isnan(run.stderr["lengths"]))
    assert any("no standard error" in w for w in run.warnings)


def test_standard_errors_shrink_with_the_root_of_the_number_of_networks():
    few, many = (chione.simulate(net(), n_networks=n, observe="lengths") for n in (50, 3200))
    ratio = np.mean(few.stderr["lengths"]) / np.mean(many.stderr["lengths"])
    assert abs(math.log2(ratio) - 3.0) < 0.3
