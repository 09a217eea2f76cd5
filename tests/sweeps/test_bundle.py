"""Stacked trainings against torch loops with the same weights and batches."""

import math
from dataclasses import replace

import numpy as np
import pytest

from chione.base import SpecError
from chione.simulation.streams import Purpose, stream
from chione.sweeps.bundle import SHARES, batches, train
from chione.sweeps.chunk import Chunk
from chione.sweeps.initial import draw, trained_activation
from chione.sweeps.stacking import members_at_a_time
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training


def untimed(outcome):
    """All words of an outcome but the seconds, NaN made equal to itself."""
    return repr(replace(outcome, seconds=0.0))


TASK = load_task("synthetic")
SMALL = Training("tanh", 1.3, 0.1, 4, 24, data="synthetic", steps=25, batch=16, dtype="float64")


def torch_network(training, functions=None):
    """Weights, biases and loss of a torch network at inputs `index`, masks of dropout given."""
    torch = pytest.importorskip("torch")
    drawn = draw(training, trained_activation(training), TASK)
    ws = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in drawn.matrices]
    bs = [torch.tensor(b, dtype=torch.float64, requires_grad=True) for b in drawn.biases]
    phi = (functions or FUNCTIONS)[training.activation](torch)
    x, y = torch.tensor(TASK.x_train), torch.tensor(TASK.y_train)

    def loss(index, masks=None):
        h = torch.nn.functional.linear(x[index], ws[0], bs[0])
        for layer, (w, b) in enumerate(zip(ws[1:], bs[1:], strict=True)):
            s = phi(h) if masks is None else phi(h) * masks[layer].T
            h = torch.nn.functional.linear(s, w, b)
        return torch.nn.functional.cross_entropy(h, y[index])

    return ws, bs, loss


def torch_losses(training):
    """Cross-entropy of each step of a loop that torch differentiates and steps, in float64."""
    torch = pytest.importorskip("torch")
    ws, bs, loss_of = torch_network(training)
    rate = training.rate
    opt = {
        "sgd": lambda p: torch.optim.SGD(p, lr=rate),
        "momentum": lambda p: torch.optim.SGD(p, lr=rate, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=rate),
    }[training.optimizer]([*ws, *bs])
    rng = stream(training.seed, 0, 0, Purpose.MASKS)
    p, shape = training.dropout, (training.width, training.batch)
    out = []
    for index in batches(training, len(TASK.x_train)):
        masks = None
        if p:
            kept = [rng.random(shape, dtype=np.float32) >= p for _ in range(training.depth)]
            masks = [torch.tensor(k / (1.0 - p)) for k in kept]
        loss = loss_of(index, masks)
        opt.zero_grad()
        loss.backward()
        opt.step()
        out.append(loss.item())
    return np.array(out)


FUNCTIONS = {
    "tanh": lambda torch: torch.tanh,
    "relu": lambda torch: torch.relu,
    "gelu": lambda torch: torch.nn.functional.gelu,
    "silu": lambda torch: torch.nn.functional.silu,
    "elu": lambda torch: torch.nn.functional.elu,
    "selu": lambda torch: torch.selu,
    "mish": lambda torch: torch.nn.functional.mish,
    "erf": lambda torch: torch.erf,
    "softplus": lambda torch: torch.nn.functional.softplus,
    "hardtanh": lambda torch: torch.nn.functional.hardtanh,
    "leaky_relu": lambda torch: torch.nn.functional.leaky_relu,
    "x*sigmoid(2*x) + 0.1*abs(x)": lambda torch: (
        lambda x: x * torch.sigmoid(2.0 * x) + 0.1 * torch.abs(x)
    ),
    "affine(silu, scale=1.3, shift=0.45, offset=-0.3)": lambda torch: (
        lambda x: 1.3 * torch.nn.functional.silu(x + 0.45) - 0.3
    ),
}
OPTIMIZERS = [("sgd", 0.1), ("momentum", 0.02), ("adam", 0.003)]


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize(("optimizer", "rate"), OPTIMIZERS)
@pytest.mark.sampled(4)
def test_losses_of_every_step_are_those_of_a_torch_loop(name, optimizer, rate):
    training = replace(SMALL, activation=name, optimizer=optimizer, rate=rate)
    right = torch_losses(training)
    np.testing.assert_allclose(train([training], TASK)[0].losses, right, rtol=1e-12)
    (single,) = train([replace(training, dtype="float32")], TASK)
    np.testing.assert_allclose(single.losses, right, rtol=1e-6)


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("adam", 0.001)])
def test_losses_of_deeper_networks_are_those_of_a_torch_loop(optimizer, rate):
    training = replace(SMALL, depth=20, width=50, batch=32, optimizer=optimizer, rate=rate)
    right = torch_losses(training)
    np.testing.assert_allclose(train([training], TASK)[0].losses, right, rtol=1e-12)
    (single,) = train([replace(training, dtype="float32")], TASK)
    np.testing.assert_allclose(single.losses, right, rtol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_losses_with_dropout_are_those_of_a_torch_loop_with_the_same_masks(name):
    training = replace(SMALL, activation=name, dropout=0.3)
    (got,) = train([training], TASK)
    np.testing.assert_allclose(got.losses, torch_losses(training), rtol=1e-12)
    (without,) = train([replace(training, dropout=0.0)], TASK)
    assert abs(got.losses[0] / without.losses[0] - 1.0) > 1e-4


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_gradients_by_hand_are_those_of_autograd(name):
    # one step of SGD at rate 1 moves every weight and bias by its gradient
    training = replace(SMALL, activation=name, rate=1.0, steps=1)
    act = trained_activation(training)
    drawn = draw(training, act, TASK)
    chunk = Chunk([training], [drawn], act, TASK)
    chunk.run()
    ws, bs, loss = torch_network(training)
    loss(next(batches(training, len(TASK.x_train)))).backward()
    for layer, (w, b) in enumerate(zip(ws, bs, strict=True)):
        moved = chunk.weights(0)
        for before, after, right in (
            (drawn.matrices[layer], moved.matrices[layer], w.grad.numpy()),
            (drawn.biases[layer], moved.biases[layer], b.grad.numpy()),
        ):
            size = np.abs(right).max()
            np.testing.assert_allclose(before - after, right, rtol=0, atol=1e-13 + 1e-12 * size)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_member_is_the_same_bit_for_bit_whatever_its_neighbours(optimizer, dropout):
    base = replace(
        SMALL, activation="leaky_relu", dtype="float32", optimizer=optimizer, dropout=dropout
    )
    rows = [(0, 0.05, 1.0), (1, 1e30, 3.0), (2, 0.01, 2.0), (3, 0.02, 0.5)] * 2
    bundle = [replace(base, seed=n, rate=rate, sigma_w=sigma) for n, rate, sigma in rows][:7]
    bundle[3] = replace(bundle[3], until=0.03)
    together = train(bundle, TASK)
    assert together[1].status == "diverged"
    assert 1 < len(together[3].losses) < SMALL.steps
    backwards = train(bundle[::-1], TASK)[::-1]
    for k, t in enumerate(bundle):
        (alone,) = train([t], TASK)
        assert untimed(together[k]) == untimed(alone) == untimed(backwards[k])


def test_a_bundle_of_many_chunks_comes_back_in_its_order():
    base = replace(SMALL, width=120, depth=2, steps=4, dtype="float32")
    bundle = [replace(base, seed=seed) for seed in range(7)]
    assert members_at_a_time(base) < 7
    together = train(bundle, TASK)
    for k in (0, 3, 6):
        assert untimed(together[k]) == untimed(train([bundle[k]], TASK)[0])


def test_schemes_with_activations_of_their_own_share_a_bundle():
    schemes = ["chione", "sigmas", "pytorch", "lsuv", "chione"]
    bundle = [replace(SMALL, activation="softplus", scheme=s, depth=6) for s in schemes]
    together = train(bundle, TASK)
    assert untimed(together[0]) == untimed(together[4])
    for k, t in enumerate(bundle):
        assert untimed(together[k]) == untimed(train([t], TASK)[0])


def test_a_network_that_diverges_says_when_and_keeps_the_losses_before():
    (bad, good) = train([replace(SMALL, activation="leaky_relu", rate=r) for r in (1e3, 0.1)], TASK)
    assert (bad.status, good.status) == ("diverged", "done")
    assert (bad.accuracy, bad.test_accuracy) == (0.0, 0.0)
    assert math.isnan(bad.loss)
    assert 0 < len(bad.losses) < SMALL.steps
    assert np.all(np.isfinite(bad.losses))
    assert f"step {len(bad.losses) + 1}" in bad.message


def test_a_network_that_overflows_in_its_last_step_has_diverged_too():
    training = replace(SMALL, activation="relu", rate=1e300, steps=1)
    (got,) = train([training], TASK)
    assert (got.status, len(got.losses)) == ("diverged", 1)


def test_training_ends_early_once_its_share_is_reached_and_is_the_same_until_then():
    full, early = train([replace(SMALL, steps=120, until=u) for u in (None, 0.5)], TASK)
    assert len(full.losses) == 120
    assert 10 <= len(early.losses) < 120
    assert early.losses == full.losses[: len(early.losses)]
    assert dict(full.steps_to)[0.5] == dict(early.steps_to)[0.5] == len(early.losses)
    assert early.accuracy > 0.3
    assert early.status == "done"


def test_steps_to_are_the_first_at_which_the_mean_of_ten_batches_reached_a_share():
    training = replace(SMALL, steps=80, rate=0.2)
    cuts = list(batches(training, len(TASK.x_train)))
    shares = []

    def observe(done, members, weights):
        assert members == [training]
        if done == training.steps:
            return
        h = TASK.x_train[cuts[done]].T
        for layer, (w,) in enumerate(weights):
            h = w[:, :-1] @ (h if layer == 0 else np.tanh(h)) + w[:, -1:]
        shares.append(np.mean(h.argmax(axis=0) == TASK.y_train[cuts[done]]))

    (got,) = train([training], TASK, observe)
    running = [np.mean(shares[end - 10 : end]) for end in range(10, 81)]
    expected = [
        (share, next(i for i, r in enumerate(running) if r >= share - 1e-12) + 10)
        for share in SHARES
        if max(running) >= share - 1e-12
    ]
    assert list(got.steps_to) == expected
    assert len(expected) >= 2
    assert got.loss == pytest.approx(np.mean(got.losses[-8:]), rel=1e-14)


def test_accuracies_are_shares_of_all_inputs_by_the_last_weights():
    training = replace(SMALL, steps=60, dropout=0.2)
    act = trained_activation(training)
    chunk = Chunk([training], [draw(training, act, TASK)], act, TASK)
    (got,) = chunk.run()
    w = chunk.weights(0)
    for x, y, share in (
        (TASK.x_train, TASK.y_train, got.accuracy),
        (TASK.x_test, TASK.y_test, got.test_accuracy),
    ):
        h = x
        for layer, (m, b) in enumerate(zip(w.matrices, w.biases, strict=True)):
            h = (h if layer == 0 else np.tanh(h)) @ m.T + b
        assert share == np.mean(h.argmax(axis=1) == y)
    assert got.accuracy > 0.3


def test_batches_go_through_all_inputs_before_one_comes_again():
    cuts = np.concatenate(list(batches(replace(SMALL, steps=30, batch=7), 50)))
    assert len(cuts) == 210
    for start in range(0, 200, 50):
        assert sorted(cuts[start : start + 50]) == list(range(50))
    assert list(cuts[:50]) != list(cuts[50:100])
    large = list(batches(replace(SMALL, steps=2, batch=120), 50))
    assert [len(c) for c in large] == [120, 120]


def test_trainings_that_do_not_belong_together_are_refused_in_one_sentence():
    with pytest.raises(SpecError, match="must agree in activation"):
        train([SMALL, replace(SMALL, depth=5)], TASK)
    with pytest.raises(SpecError, match="are for the data 'digits'"):
        train([replace(SMALL, data="digits")], TASK)
    assert train([], TASK) == []
    (by_digest,) = train([replace(SMALL, data=TASK.digest, steps=2)], TASK)
    assert by_digest.status == "done"


def test_a_network_that_cannot_be_drawn_fails_alone():
    # nothing can be recommended for exp, so its advice has no weights
    bundle = [
        replace(SMALL, activation="exp", scheme=s, rate=1e-4, steps=3)
        for s in ("chione", "pytorch")
    ]
    failed, done = train(bundle, TASK)
    assert failed.status == "failed"
    assert "no initialisation can be recommended" in failed.message
    assert done.status == "done"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 0}, "depth must be at least 1"),
        ({"width": 2.5}, "width must be an integer"),
        ({"rate": -1.0}, "rate must be above 0"),
        ({"rate": float("nan")}, "rate must be finite"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"optimizer": "lion"}, "optimizer must be one of"),
        ({"scheme": "magic"}, "scheme must be one of"),
        ({"weights": "cauchy"}, "weights must be one of"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"sigma_w": float("inf")}, "sigma_w must be finite"),
        ({"until": 0.0}, "until must be above 0"),
        ({"steps": True}, "steps must be an integer"),
    ],
)
def test_a_training_with_a_wrong_parameter_is_refused_in_one_sentence(change, words):
    with pytest.raises((ValueError, TypeError), match=words):
        replace(SMALL, **change)


def test_one_and_one_point_nought_are_the_same_training():
    a = Training("tanh", 1, 0, 3, 8, rate=1)
    b = Training("tanh", np.float64(1.0), 0.0, np.int64(3), 8, rate=1.0)
    assert a == b
    assert a.key == b.key


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes",
    [
        {"depth": 1, "width": 1, "batch": 1},
        {"depth": 1, "width": 7, "batch": 1},
        {"depth": 3, "width": 1, "batch": 5},
        {"depth": 2, "width": 3, "batch": 2500, "steps": 3},
        {"depth": 40, "width": 2, "batch": 3, "steps": 5},
        {"depth": 2, "width": 300, "batch": 2, "steps": 4},
    ],
)
def test_odd_sizes_train_as_torch_does_and_alone_as_with_others(sizes, dtype):
    base = replace(SMALL, optimizer="adam", rate=1e-3, **sizes)
    bundle = [replace(base, dtype=dtype, seed=seed) for seed in range(3)]
    together = train(bundle, TASK)
    for k, t in enumerate(bundle):
        assert untimed(together[k]) == untimed(train([t], TASK)[0])
        tolerance = 1e-12 if dtype == "float64" else 1e-6
        right = torch_losses(replace(t, dtype="float64"))
        np.testing.assert_allclose(together[k].losses, right, rtol=tolerance)
