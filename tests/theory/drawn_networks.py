"""Networks drawn in plain numpy, and what advice is weighed by as measured on them."""

import numpy as np


def isometry(rng, rows, columns):
    """A random matrix with orthogonal rows or columns and entries of variance 1 / columns."""
    tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))
    return (q if rows >= columns else q.T) * np.sqrt(max(rows, columns) / columns)


def measured(value, slope, made, *, depth, width, networks, seed, inputs=256, q0=1.0, c0=0.5):
    """Log10 figures of each network, names as in a recommendation, shape (networks,) each."""
    rng = np.random.default_rng(seed)
    names = ("gradient", "weight gradients", "distance", "length", "output")
    out = {name: np.empty(networks) for name in names}
    for i in range(networks):
        out_i = _one(value, slope, made, rng, depth, width, inputs, q0, c0)
        for name in names:
            out[name][i] = out_i[name]
    return out


def _one(value, slope, made, rng, depth, width, inputs, q0, c0):
    basis = isometry(rng, inputs, inputs)[:2]
    basis *= np.sqrt(q0 * inputs) / np.linalg.norm(basis, axis=1, keepdims=True)
    x = np.stack([basis[0], c0 * basis[0] + np.sqrt(1.0 - c0**2) * basis[1]])
    weights, hidden, entering = [], [], []
    for _ in range(depth):
        n = x.shape[1]
        if made.weights == "orthogonal":
            w = isometry(rng, width, n)
        else:
            w = rng.standard_normal((width, n)) / np.sqrt(n)
        b = made.sigma_b * rng.standard_normal(width)
        entering.append(np.mean(x[0] ** 2))
        h = made.sigma_w * x @ w.T + b
        weights.append(w)
        hidden.append(h)
        x = value(h)
    first, last = hidden[0], hidden[-1]
    # a random gradient at the pre-activations of a further layer, pulled back
    g = rng.standard_normal(width)
    further = (
        isometry(rng, width, width)
        if made.weights == "orthogonal"
        else (rng.standard_normal((width, width)) / np.sqrt(width))
    )
    top = np.mean(g**2)
    at, of_weights = made.sigma_w * g @ further, []
    for layer in range(depth - 1, -1, -1):
        at = at * slope(hidden[layer][0])
        of_weights.append(np.log10(np.mean(at**2) * entering[layer]))
        size = np.mean(at**2)
        at = made.sigma_w * at @ weights[layer]
    gap = 1.0 - last[0] @ last[1] / np.linalg.norm(last[0]) / np.linalg.norm(last[1])
    return {
        "gradient": np.log10(size / top),
        "weight gradients": max(of_weights) - min(of_weights),
        "distance": np.log10(gap / (1.0 - c0)),
        "length": np.log10(np.mean(last[0] ** 2) / np.mean(first[0] ** 2)),
        "output": np.log10(np.mean(x[0] ** 2)),
    }
