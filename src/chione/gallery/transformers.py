"""Transformers at initialisation: two figures of the literature, with exact attention weights."""

from __future__ import annotations

import math

import numpy as np

from chione.activations import activation
from chione.base import Array
from chione.gallery.drawing import finish, name_marks, points
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Entry, Reproduction, Variable, worst
from chione.networks import (
    Attention,
    Dense,
    Input,
    Layers,
    Network,
    Nonlinearity,
    Norm,
    Repeat,
    Residual,
)
from chione.plotting import new_figure, style
from chione.simulation import simulate_network
from chione.theory import derivative_second_moment, propagate, second_moment
from chione.theory.depth.transformer_phase import token_gap
from chione.theory.meanfield.token_map import TokenMap
from chione.theory.moments.attention_weights import row_moments

# what the experiments of Giorlandino & Goldt fix
_VAR_W, _VAR_B = 0.2, 4e-4
_BETAS = (0.5, 3.0)


# ---- Giorlandino & Goldt: two failure modes ------------------------------------------------------


def cosines(quick: bool) -> Reproduction:
    """Cosine similarity of tokens over depth, and how attention condenses."""
    tokens, depth = (16, 8) if quick else (64, 40)
    width, heads, networks = (192, 6, 6) if quick else (512, 8, 8)
    exact = np.array([_exact(beta, tokens, depth) for beta in _BETAS])
    limit = np.array([_energy_model(beta, depth) for beta in _BETAS])
    found = [_simulated(beta, tokens, depth, width, heads, networks) for beta in _BETAS]
    mean, error = (np.array([run[k] for run in found]) for k in (0, 1))
    betas = np.linspace(0.0, 4.0, 17 if quick else 81)
    sizes = np.array([16, 256, 65536, 10**9])
    share = np.array([[_share(float(b), int(n)) for b in betas] for n in sizes])
    model = np.maximum(0.0, 1.0 - math.sqrt(2.0) / np.maximum(betas, 1e-12))
    layers = np.arange(depth + 1, dtype=np.float64)
    with style():
        figure = new_figure(9.4, 4.0)
        left, right = figure.subplots(1, 2)
        for i, beta in enumerate(_BETAS):
            line(left, layers, exact[i], i, rf"$\beta = {beta:g}$, {tokens} tokens")
            left.plot(layers, limit[i], color="0.55", lw=1.0, ls=":",
                      label="infinitely many tokens" if i else None)  # fmt: skip
            points(left, layers, mean[i], error[i], i)
        name_marks(left, "simulated networks")
        finish(left, "Tokens become alike", "block", "cosine of two tokens")
        for i, n in enumerate(sizes):
            line(right, betas, share[i], i, f"{n:,} tokens")
        right.plot(betas, model, color="0.55", lw=1.0, ls=":", label="infinitely many")
        finish(right, "Attention condenses", r"score scale $\beta$", r"$E \sum_s w_s^2$")
    data = {
        "beta": Variable(("beta",), np.array(_BETAS), "score scale over sqrt(log T)"),
        "block": Variable(("block",), layers, "blocks passed"),
        "cosine": Variable(("beta", "block"), exact, "cosine of two tokens"),
        "random_energy_model": Variable(("beta", "block"), limit, "the same, T to infinity"),
        "simulated": Variable(("beta", "block"), mean, "the same, simulated"),
        "standard_error": Variable(("beta", "block"), error, "of the simulated mean"),
        "grid_beta": Variable(("grid",), betas, "score scale, right panel"),
        "tokens": Variable(("size",), sizes, "number T of tokens"),
        "participation": Variable(("size", "grid"), share, "E sum of squared weights"),
    }
    gaps = np.abs(share - model).max(axis=1)
    drawn = np.array([_drawn_share(float(b), 256) for b in betas])
    checks = (
        # a width of w leaves 1 / w a block
        worst("cosines, simulated", mean, exact, 5.0 * error + depth / width / 4.0),
        worst("weights of 256 tokens, drawn", drawn[:, 0], share[1], 5.0 * drawn[:, 1] + 1e-12),
        worst("more tokens are nearer to the limit", np.diff(gaps) < 0.0, 1.0, 0.0),
    )
    return Reproduction(figure, data, checks)


def _bert(beta: float, tokens: int, heads: int) -> Layers:
    """One post-norm block of the experiments: attention and two relu layers."""
    root = math.sqrt(beta) * math.log(tokens) ** 0.25
    sigma, bias = math.sqrt(_VAR_W), math.sqrt(_VAR_B)
    attend = Attention(heads, sigma_q=root, sigma_k=root, sigma_v=sigma)
    within = (Dense(sigma, bias), Nonlinearity("relu"), Dense(sigma, bias))
    return (
        Residual((attend, Dense(1.0, bias))), Norm("layer"), Residual(within), Norm("layer"),
    )  # fmt: skip


def _network(beta: float, tokens: int, depth: int, width: int, heads: int) -> Network:
    entering = Input(width, (tokens,), inputs=((1.0,),), positions=0.2)
    return Network((Repeat(depth, _bert(beta, tokens, heads)),), entering)


def _exact(beta: float, tokens: int, depth: int) -> Array:
    streams = propagate(_network(beta, tokens, depth, 512, 8)).streams
    gaps = [token_gap(streams["input"])]
    gaps += [token_gap(streams[f"layers[0]#{k}"]) for k in range(depth)]
    return 1.0 - np.array(gaps)


def _simulated(
    beta: float, tokens: int, depth: int, width: int, heads: int, networks: int
) -> tuple[Array, Array]:
    """Mean cosine of pairs of tokens behind each block, and its standard error."""
    each = []
    for seed in range(networks):
        run = simulate_network(
            _network(beta, tokens, depth, width, heads), n_networks=1, seed=seed, effort=100.0
        )
        rows = [run.row("input"), *(run.row(f"layers[0]#{k}") for k in range(depth))]
        each.append([_cosine(row.second_moments) for row in rows])
    a = np.array(each)
    return a.mean(axis=0), a.std(axis=0, ddof=1) / math.sqrt(networks)


def _cosine(k: Array) -> float:
    root = np.sqrt(np.diagonal(k))
    pairs = np.triu_indices(len(k), 1)
    return float(np.mean((k / np.outer(root, root))[pairs]))


def _energy_model(beta: float, depth: int) -> Array:
    """The block of infinitely many tokens: weights are those of a random energy model."""
    c = [0.2]
    for _ in range(depth):
        p = c[-1]
        critical = math.sqrt(2.0 / (1.0 - p)) if p < 1.0 else math.inf
        share = max(0.0, 1.0 - critical / beta)
        q_a, p_a = _VAR_W * (p + (1.0 - p) * share) + _VAR_B, _VAR_W * p + _VAR_B
        p = (p + p_a) / (1.0 + q_a)
        q1, p1 = _VAR_W + _VAR_B, _VAR_W * p + _VAR_B
        r = min(p1 / q1, 1.0)
        kernel = (math.sqrt(1.0 - r * r) + r * (math.pi - math.acos(r))) / math.pi
        q2 = 0.5 * _VAR_W * q1 + _VAR_B
        p2 = 0.5 * _VAR_W * q1 * kernel + _VAR_B
        c.append((p + p2) / (1.0 + q2))
    return np.array(c)


def _share(beta: float, tokens: int) -> float:
    """E sum w^2 of scores of variance beta^2 log T."""
    return row_moments(beta**2 * math.log(tokens), tokens).square


def _drawn_share(beta: float, tokens: int) -> tuple[float, float]:
    """The same from drawn scores, with its standard error."""
    rng = np.random.default_rng(11)
    scores = beta * math.sqrt(math.log(tokens)) * rng.standard_normal((4000, tokens))
    w = np.exp(scores - scores.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    squares = np.sum(w**2, axis=1)
    return float(squares.mean()), float(squares.std() / math.sqrt(len(squares)))


# ---- Cowsik et al.: angle and gradient exponents -------------------------------------------------


def exponents(quick: bool) -> Reproduction:
    """Angle exponent of collapsed tokens and gradient exponent over (alpha, sigma_w)."""
    tokens = 16 if quick else 64
    alpha = np.linspace(0.1, 0.95, 5 if quick else 16)
    sigma = np.linspace(1.0, 4.0, 4 if quick else 13)
    found = [[_exponents(float(a), float(s), tokens) for a in alpha] for s in sigma]
    angle = np.array([[cell[0] for cell in row] for row in found])
    gradient = np.array([[cell[1] for cell in row] for row in found])
    closed = np.array([[_closed_angle(float(a), float(s)) for a in alpha] for s in sigma])
    at = [(0.3, 1.5), (0.6, 2.5), (0.8, 3.5)]
    runs = np.array([_measured_angle(a, s, 16, 8 if quick else 20) for a, s in at])
    expected = np.array([_exponents(a, s, 16)[0] for a, s in at])
    with style():
        figure = new_figure(9.6, 4.0)
        for ax, values, words in zip(
            figure.subplots(1, 2),
            (angle, gradient),
            (r"angle exponent $\lambda_1$ of collapsed tokens", r"gradient exponent $\lambda_g$"),
            strict=True,
        ):
            top = float(np.nanmax(np.abs(values)))
            mesh = ax.pcolormesh(alpha, sigma, values, cmap="RdBu_r", vmin=-top, vmax=top)
            if values.min() < 0.0 < values.max():
                ax.contour(alpha, sigma, values, levels=[0.0], colors="k", linewidths=1.4)
                ax.plot([], [], color="k", lw=1.4, label="0")
                ax.legend(loc="lower left", frameon=True, title="exponent")
            # the line ends where the middles of the outer cells are: so does the picture
            ax.set(xlim=(alpha[0], alpha[-1]), ylim=(sigma[0], sigma[-1]))
            figure.colorbar(mesh, ax=ax)
            finish(ax, words, r"residual scale $\alpha$", r"$\sigma_w$ of the MLP", None)
    data = {
        "alpha": Variable(("alpha",), alpha, "scale of both branches"),
        "sigma_w": Variable(("sigma_w",), sigma, "weights of the MLP"),
        "angle_exponent": Variable(("sigma_w", "alpha"), angle, "lambda_1 a block"),
        "gradient_exponent": Variable(("sigma_w", "alpha"), gradient, "lambda_g a block, at c*"),
        "measured": Variable(("point",), runs[:, 0], "lambda_1 of drawn blocks"),
        "standard_error": Variable(("point",), runs[:, 1], "of it"),
    }
    checks = (
        worst("angle exponent, closed form", angle, closed, 1e-6),
        worst("angle exponent, drawn blocks", runs[:, 0], expected, 5.0 * runs[:, 1]),
        worst("tokens collapse without an MLP", _exponents(0.5, 1e-3, tokens)[0] < 0.0, 1.0, 0.0),
    )
    return Reproduction(figure, data, checks)


def _cowsik(alpha: float, sigma_w: float, heads: int = 8, score: float = 1.0) -> Layers:
    """sqrt(1 - alpha^2) x + alpha f(norm(x)), for attention and for two layers with tanh."""
    skip = math.sqrt(1.0 - alpha**2)
    attend = (Norm("rms"), Attention(heads, sigma_q=math.sqrt(score), sigma_k=math.sqrt(score)))
    within = (Norm("rms"), Dense(sigma_w), Nonlinearity("tanh"), Dense(1.0))
    return Residual(attend, skip, alpha), Residual(within, skip, alpha)


def _exponents(alpha: float, sigma_w: float, tokens: int) -> tuple[float, float]:
    found = TokenMap(_cowsik(alpha, sigma_w), tokens=tokens).exponents()
    return float(found.collapse_exponent.value), float(found.gradient_exponent.value)


def _closed_angle(alpha: float, sigma_w: float) -> float:
    """Attention keeps nothing of a small difference; its lengths add alpha^2."""
    a2, tanh = alpha**2, activation("tanh")
    m = float(second_moment(tanh, sigma_w**2).value)
    slope = sigma_w**2 * float(derivative_second_moment(tanh, sigma_w**2).value)
    # q* of q1 = (1 - a2) q + a2, q = (1 - a2) q1 + a2 m
    q = ((1.0 - a2) * a2 + a2 * m) / (1.0 - (1.0 - a2) ** 2)
    q1 = (1.0 - a2) * q + a2
    gap1 = (1.0 - a2) * q / q1
    return math.log(gap1 * ((1.0 - a2) * q1 + a2 * slope) / q)


def _measured_angle(
    alpha: float, sigma_w: float, tokens: int, networks: int
) -> tuple[float, float]:
    """Log of (1 - c') / (1 - c) from c = 1 - 1e-6, drawn, at the length that blocks keep."""
    found = TokenMap(_cowsik(alpha, sigma_w), tokens=tokens).exponents()
    q = float(found.collapsed_length.value)
    gap, width = 1e-6, 256
    entering = Input(width, (tokens,), inputs=((q,),), positions=1.0 - gap)
    block = Network(_cowsik(alpha, sigma_w), entering)
    each = []
    for seed in range(networks):
        row = simulate_network(block, n_networks=1, seed=seed, effort=100.0).row("layers[1]")
        each.append((1.0 - _cosine(row.second_moments)) / gap)
    a = np.array(each)
    return math.log(a.mean()), float(a.std(ddof=1) / math.sqrt(networks) / a.mean())


ENTRIES = (
    Entry("giorlandino-figure-1", "Giorlandino & Goldt 2026, figure 1",
          "Two failure modes of attention: tokens collapse, or attention condenses",
          "Post-norm blocks whose scores have the standard deviation beta sqrt(log T). Small ones "
          "average over tokens until all are alike; large ones look at one token. Lines are exact "
          "at the number of tokens, points are drawn networks, dots the limit of infinitely many "
          "tokens, which is approached like 1 / log T alone.",
          cosines),
    Entry("cowsik-figure-4", "Cowsik, Nebabu, Qi & Ganguli 2024, figure 4",
          "Angle and gradient exponents of a transformer block",
          "Where the angle exponent of collapsed tokens is above zero the MLP drives tokens apart "
          "as fast as attention draws them together. Both exponents vanish at the edge of chaos, "
          "near which small residual scales stay.",
          exponents),
)  # fmt: skip
