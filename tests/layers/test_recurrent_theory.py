"""The theory of recurrent cells against PyTorch's own, closed values, and the rnn's closed rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from chione.networks import (
    Dense,
    Input,
    Network,
    Nonlinearity,
    Recurrent,
    Residual,
    Shape,
    ShapeError,
)
from chione.simulation import simulate_network
from chione.theory import network_theory
from chione.theory.layers import recurrent_population
from chione.theory.layers.population import Population
from chione.theory.layers.recurrent_cells import Step
from chione.theory.layers.stream import from_moments
from chione.theory.layers.walk import propagate

A, T = 2, 4
START = ((0.5, 0.2), (0.2, 0.3))
RELU = Nonlinearity("relu")


def entering(times=T, seed=0):
    """Second moments over inputs and times, all correlated and of unequal lengths."""
    x = np.random.default_rng(seed).standard_normal((A * times, A * times + 1))
    return x @ x.T / (A * times)


def walked(*layers, gram=None, width=64):
    gram = entering() if gram is None else gram
    times = len(gram) // A
    shape = Shape(width, (times,))
    return propagate(Network(layers, Input(width, (times,))), from_moments(gram, shape))


def matrices(walk):
    """K, Theta and channel means of what leaves, P at the input, with their errors."""
    out = walk.output
    index = out.orbits.index
    home = {how: walk.backward(how)["input"].second_moments() for how in ("independent", "shared")}
    return {"K": out.k.at(index), "D": out.d.at(index), "Theta": out.theta.at(index),
            "mean": out.mean, **home}  # fmt: skip


# ---- the population beside the closed rule -------------------------------------------------------


class TanhCell:
    """The rnn, as a cell of the population."""

    fed = ((True, True),)
    state_is_inner = True

    def step(self, s, p):
        new = np.tanh(p[0])
        zero = np.zeros_like(s)
        return Step(new, new, zero, (1.0 - new * new,), zero + 1.0, (None,))


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("sequence", [True, False], ids=["all states", "last state"])
@pytest.mark.sampled(3)
def test_a_population_of_rnn_cells_gives_what_its_closed_rule_gives(monkeypatch, sequence, tied):
    monkeypatch.setitem(recurrent_population.CELLS, "gru", TanhCell())
    options = {"sequence": sequence, "tied": tied, "start": START}
    sampled, closed = (
        walked(Recurrent(cell, 1.4, 0.8, 0.3, 96, **options), Dense(1.1)) for cell in ("gru", "rnn")
    )
    for what, (value, error) in matrices(closed).items():
        found = matrices(sampled)[what]
        gap = np.abs(found.value - value)
        assert np.all(gap <= 1.5 * found.error + 10 * error + 1e-15), what  # 4.5 standard errors
        assert np.all(found.error <= 0.08 * np.max(np.abs(value) + (what == "mean"))), what
    for t in range(T):
        place = f"layers[0].state[{t}]"
        one, two = (w.backward("shared")[place].second_moments() for w in (sampled, closed))
        assert np.all(np.abs(one.value - two.value) <= 1.5 * one.error + 1e-14)


# ---- closed values ------------------------------------------------------------------------------

Z = np.linspace(-9.0, 9.0, 145)  # the trapezoid rule is exact to 1e-14 for what is smooth here
WEIGHT = np.exp(-0.5 * Z * Z) / np.sqrt(2 * np.pi) * (Z[1] - Z[0])


def gauss(q):
    """Nodes of N(0, q)."""
    return np.sqrt(q) * Z


def slope(gate):
    return gate * (1.0 - gate)


def test_one_step_of_an_lstm_without_a_start_is_three_independent_gates():
    u = gauss(1.21 * 1.3 + 2 * 0.09)
    inner = WEIGHT @ np.tanh(expit(u)[:, None] * np.tanh(u)) ** 2 @ WEIGHT
    wanted = inner * (WEIGHT @ expit(u) ** 2)
    outside = 0
    for seed in range(20):
        net = Network([Recurrent("lstm", 1.7, 1.1, 0.3)], Input(8, (1,), ((1.3,),)))
        k = propagate(net, seed=seed).output.k
        gap, error = abs(k.value[0] - wanted), k.error[0]
        assert gap <= 1.5 * error < 0.01 * wanted
        outside += gap > error
    assert outside <= 2


def test_one_step_of_a_gru_from_a_start_is_its_mixture():
    r"""E h^2 = E z^2 s + E (1 - z)^2 E n^2, and U^T g of the gates r, z and of n."""
    s, w2, u2, b2 = 0.4, 1.44, 0.81, 0.04
    gate = expit(gauss(w2 * s + u2 + 2 * b2))
    a, b = gauss(w2 * s + b2), gauss(u2 + b2)
    n = np.tanh(gate[:, None, None] * a[:, None] + b)  # (r, a, b)
    z2 = WEIGHT @ gate**2  # 1 - z is distributed as z

    def over_n(f):
        return np.einsum("rab,r,a,b->", f, WEIGHT, WEIGHT, WEIGHT)

    wanted = z2 * s + z2 * over_n(n**2)
    reset = slope(gate)[:, None, None] * a[:, None] * (1 - n**2)
    by_z = (WEIGHT @ slope(gate) ** 2) * (s + over_n(n**2))
    home = u2 * (z2 * over_n((1 - n**2) ** 2) + z2 * over_n(reset**2) + by_z)
    net = Network([Recurrent("gru", 1.2, 0.9, 0.2, start=((s,),))], Input(64, (1,), ((1.0,),)))
    walk = propagate(net)
    k, p = walk.output.k, walk.backward()["input"].p
    assert abs(k.value[0] - wanted) <= k.error[0] < 0.01 * wanted
    assert abs(p.value[0] - home) <= p.error[0] < 0.02 * home


# ---- PyTorch's cells ----------------------------------------------------------------------------

N, N_IN, SEEDS = 384, 256, 48
SIGMAS = (1.4, 1.2, 0.3)


def frame(gram, width, rng):
    """Vectors with exactly these second moments, (n, width)."""
    q, _ = np.linalg.qr(rng.standard_normal((width, len(gram))))
    return np.linalg.cholesky(gram) @ q.T * np.sqrt(width)


def drawn(torch, cell, rng, layers=1):
    """nn.GRU or nn.LSTM with Gaussian weights of the sigmas, in float64."""
    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}[cell]
    net = kind(N_IN, N, num_layers=layers, batch_first=True, dtype=torch.float64)
    for name, p in net.named_parameters():
        sigma = SIGMAS[2] if "bias" in name else SIGMAS["ih" in name] / np.sqrt(p.shape[-1])
        p.data = torch.from_numpy(sigma * rng.standard_normal(p.shape))
    return net


def measured(cell, layers=1):
    """Means and standard errors over networks: K of all states, P at the input, the NTK."""
    torch = pytest.importorskip("torch")
    gram, start = entering(), np.array(START)
    rows = []
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, layers])
        net = drawn(torch, cell, rng, layers)
        x = torch.from_numpy(frame(gram, N_IN, rng).reshape(A, T, N_IN)).requires_grad_()
        h0 = torch.from_numpy(np.stack([frame(start, N, rng) for _ in range(layers)]))
        given = (h0, torch.zeros_like(h0)) if cell == "lstm" else h0
        states, _ = net(x, given)
        flat = states.detach().numpy().reshape(A * T, N)
        row = {"K": flat @ flat.T / N, "mean": flat.mean(axis=1)}
        for how in ("independent", "shared"):
            cot = rng.standard_normal((*states.shape[:2], N) if how == "independent" else N)
            (g,) = torch.autograd.grad((states * torch.from_numpy(cot)).sum(), x, retain_graph=True)
            g = g.numpy().reshape(A * T, N_IN)
            row[how] = g @ g.T / N_IN
        row["Theta"] = tangent_kernel(torch, net, states, rng)
        rows.append(row)
    return {
        what: tuple(f(np.stack([r[what] for r in rows])) for f in (mean, standard_error))
        for what in rows[0]
    }


def tangent_kernel(torch, net, states, rng):
    """<df_a, df_b> for f = v . h(a, last) / sqrt(N), in the parameters of variance one."""
    v = rng.standard_normal(N)
    v = torch.from_numpy(v / np.linalg.norm(v))
    scales = [
        SIGMAS[2] if "bias" in name else SIGMAS["ih" in name] / np.sqrt(p.shape[-1])
        for name, p in net.named_parameters()
    ]
    tangents = []
    for a in range(A):
        grads = torch.autograd.grad(states[a, -1] @ v, list(net.parameters()), retain_graph=True)
        tangents.append(
            torch.cat([g.ravel() * s for g, s in zip(grads, scales, strict=True)]).numpy()
        )
    return np.array(tangents) @ np.array(tangents).T


def mean(x):
    return x.mean(axis=0)


def standard_error(x):
    return x.std(axis=0, ddof=1) / np.sqrt(len(x))


def compare(found, theory, at_last):
    for what, (value, se) in found.items():
        said = theory[what]
        if what == "Theta":
            said = said.at(np.ix_(at_last, at_last))
        gap = np.abs(said.value - value)
        size = (
            np.abs(value)
            if what == "mean"
            else np.sqrt(np.outer(np.diagonal(value), np.diagonal(value)))
        )
        allowed = 4.5 * np.hypot(se, said.error / 3.0) + 0.012 * size  # first order in 1 / N
        assert np.all(gap <= allowed), (what, np.max(gap / allowed))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.sampled(2)
def test_a_layer_is_the_limit_of_the_modules_of_pytorch(cell):
    layer = Recurrent(cell, *SIGMAS, N, sequence=True, start=START)
    theory = matrices(walked(layer, width=N_IN))
    compare(measured(cell), theory, np.arange(T - 1, A * T, T))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_two_layers_in_a_row_are_the_limit_of_stacked_modules(cell):
    stack = (Recurrent(cell, *SIGMAS, N, sequence=True, start=START),) * 2
    theory = matrices(walked(*stack, width=N_IN))
    compare(measured(cell, layers=2), theory, np.arange(T - 1, A * T, T))


# ---- maps of one channel behind the states -------------------------------------------------------

BEHIND = {
    "lstm, relu": [Recurrent("lstm", 1.8, 1.5, 0.3, sequence=True, start=START), RELU],
    "rnn, relu": [Recurrent("rnn", 1.4, 1.2, 0.3, activation="erf", start=START), RELU],
    "rnn of fresh weights, gelu": [
        Recurrent("rnn", 1.4, 1.2, 0.3, None, "relu", True, tied=False), Nonlinearity("gelu"),
    ],
    "gru, tanh, lstm": [
        Recurrent("gru", 1.5, 1.3, 0.3, sequence=True), Nonlinearity("tanh"), Recurrent("lstm", 1.5)
    ],
    "gru beside a skip, relu": [
        Dense(), Residual([Recurrent("gru", 1.5, 1.3, 0.3, sequence=True)]), RELU
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.sampled(3)
def test_activations_behind_states_are_the_limit_of_simulated_networks(name):
    gram = ((1.0, 0.5, 0.2), (0.5, 1.3, 0.4), (0.2, 0.4, 0.8))
    net = Network(
        [*BEHIND[name], Dense(1.2, 0.1)], Input(256, (3,), ((1.0, 0.4), (0.4, 1.2)), gram)
    )
    run = simulate_network(net, n_networks=24, ntk=True, seed=3)
    walk = propagate(net)
    found = {
        "second_moments": walk.streams,
        "iid": walk.backward("independent"),
        "shared": walk.backward("shared"),
    }
    for row in run.rows:
        for what, at in found.items():
            said, value, se = at[row.place].second_moments(), getattr(row, what), row.stderr[what]
            size = np.sqrt(np.outer(np.diagonal(said.value), np.diagonal(said.value)))
            allowed = 5.0 * np.hypot(se, said.error / 3.0) + 0.015 * size
            assert np.all(np.abs(said.value - value) <= allowed), (row.place, what)
    at = np.arange(A) * walk.output.positions
    theta = walk.output.theta.at(walk.output.orbits.index[np.ix_(at, at)])
    allowed = 5.0 * np.hypot(run.ntk_stderr, theta.error / 3.0) + 0.02 * theta.value.max()
    assert np.all(np.abs(theta.value - run.ntk) <= allowed)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_sampled_channels_have_the_moments_and_tangents_of_their_stream(cell):
    out = walked(Recurrent(cell, 2.5, 1.2, 0.3, sequence=True, start=START)).output
    crowd = Population(3)
    k, d, mean = crowd.moments(out.recipe, out.orbits)
    theta = crowd.kernel(out.recipe, out.orbits)
    for one, two in ((k, out.k), (d, out.d), (mean, out.mean), (theta, out.theta)):
        assert np.all(np.abs(one.value - two.value) <= 1.5 * (one.error + two.error) + 1e-12)
    assert theta.error.max() < 0.06 * theta.value.max()


# ---- what is said about them ---------------------------------------------------------------------


def test_the_table_of_a_network_says_which_rows_are_sampled():
    net = Network(
        [Recurrent("lstm", sequence=True), Dense(), Recurrent("rnn", activation="relu")],
        Input(16, (2,)),
    )
    found = network_theory(net)
    rules = dict(zip(found.places, found.rules, strict=True))
    assert rules["layers[0]"] == rules["layers[0].state[1]"] == "population"
    assert rules["layers[1]"] == rules["layers[2]"] == "closed"
    assert found.kinds[found.index("layers[2].state[0]")] == "recurrent"
    assert np.all(found.q.error[[found.index("layers[0]"), found.index("layers[2]")]] > 1e-6)


def test_errors_of_what_enters_are_carried_through_a_cell():
    gram = entering()
    given = from_moments(gram, Shape(64, (T,)))
    loose = given.with_(k=given.k._replace(error=0.03 * given.k.value.max() + 0 * given.k.value))
    net = Network([Recurrent("gru", 1.4, 1.2)], Input(64, (T,)))
    exact, wide = (propagate(net, s).output.k for s in (given, loose))
    moved = propagate(net, from_moments(1.03 * gram, Shape(64, (T,)))).output.k
    assert np.all(np.abs(moved.value - exact.value) <= wide.error)
    assert np.all(wide.error > 3.0 * exact.error)
    assert np.all(wide.error < 0.1 * exact.value.max())


def test_walks_of_one_seed_agree_and_those_of_two_differ():
    net = Network([Recurrent("gru")], Input(16, (3,)))
    one, same, other = (propagate(net, seed=seed).output.k.value for seed in (4, 4, 5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_start_of_another_number_of_inputs_is_refused():
    net = Network([Recurrent("gru", start=((1.0,),))], Input(16, (3,)))
    with pytest.raises(ShapeError, match="of 1 inputs, but 2 arrive; give a 2 x 2"):
        propagate(net)


def test_equal_inputs_have_equal_states():
    net = Network([Recurrent("lstm", 1.5)], Input(16, (3,), ((1.0, 1.0), (1.0, 1.0))))
    out = propagate(net).output
    assert np.max(out.d.value) <= 1e-12
