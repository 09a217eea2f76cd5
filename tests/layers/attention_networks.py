"""One attention layer of finite width in plain NumPy, written from the definition.

It shares nothing with the package: weights are drawn, softmax and its derivative are written out,
and the tangent kernel is the sum over parameters of products of gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Given:
    """What a layer is made of; `shift` (H, A, T, S) is added to the scores."""

    heads: int
    size: int
    sigmas: tuple = (1.0, 1.0, 1.0, 1.0)  # q, k, v, o
    bias: float = 0.0
    shift: object = 0.0
    rope: float | None = None
    norm: bool = False
    groups: int | None = None
    out: int = 72
    divisor: float | None = None  # of the scores, the root of `size` by default


class Layer:
    """Drawn weights; `forward`, then `backward` for a cotangent (A, T, out)."""

    def __init__(self, rng, given, width, memory_width):
        g, kv = given, given.groups or given.heads
        sizes = [
            (g.heads * g.size, width),
            (kv * g.size, memory_width),
            (kv * g.size, memory_width),
            (g.out, g.heads * g.size),
        ]
        sigmas = list(g.sigmas)
        if g.norm:
            sigmas[:2] = 1.0, 1.0
        self.scales = [s / np.sqrt(n) for s, (_, n) in zip(sigmas, sizes, strict=True)]
        self.w = [s * rng.standard_normal(n) for s, n in zip(self.scales, sizes, strict=True)]
        self.b = [g.bias * rng.standard_normal(n[0]) for n in sizes]
        self.given, self.repeat = g, g.heads // kv
        self.divisor = g.divisor or np.sqrt(g.size)

    def forward(self, x, m):
        g = self.given
        q, k, v = (z @ w.T + b for z, w, b in zip((x, m, m), self.w[:3], self.b[:3], strict=True))
        self.x, self.m = x, m
        q, k, v = self.split(q), self.split(k), self.split(v)
        self.q0, self.k0 = q, k
        if g.norm:
            self.rq, self.rk = (np.sqrt((z**2).mean(-1, keepdims=True)) for z in (q, k))
            q, k = g.sigmas[0] * q / self.rq, g.sigmas[1] * k / self.rk
        q, k = self.rotate(q, 1), self.rotate(k, 1)
        self.q, self.k, self.v = q, *(np.repeat(z, self.repeat, axis=1) for z in (k, v))
        scores = np.einsum("ahtc,ahsc->ahts", q, self.k) / self.divisor
        scores = scores + np.swapaxes(np.asarray(g.shift), 0, 1) if np.ndim(g.shift) else scores
        e = np.exp(scores - scores.max(-1, keepdims=True))
        self.p = e / e.sum(-1, keepdims=True)
        self.o = self.join(np.einsum("ahts,ahsc->ahtc", self.p, self.v))
        return self.o @ self.w[3].T + self.b[3]

    def backward(self, cotangent):
        """Gradients at x, at m (keys, values), and what reaches the outputs of the four maps."""
        g = self.given
        go = self.split(cotangent @ self.w[3])
        gp = np.einsum("ahtc,ahsc->ahts", go, self.v)
        gs = self.p * (gp - (self.p * gp).sum(-1, keepdims=True)) / self.divisor
        gq = self.rotate(np.einsum("ahts,ahsc->ahtc", gs, self.k), -1)
        gk = self.rotate(self.fold(np.einsum("ahts,ahtc->ahsc", gs, self.q)), -1)
        gv = self.fold(np.einsum("ahts,ahtc->ahsc", self.p, go))
        if g.norm:
            gq = self.unnormalise(gq, self.q0, self.rq, g.sigmas[0])
            gk = self.unnormalise(gk, self.k0, self.rk, g.sigmas[1])
        flat = [self.join(z) for z in (gq, gk, gv)]
        home = [z @ w for z, w in zip(flat, self.w[:3], strict=True)]
        return home, [*flat, cotangent]

    def split(self, z):
        a, t, _ = z.shape
        return np.swapaxes(z.reshape(a, t, -1, self.given.size), 1, 2)

    @staticmethod
    def join(z):
        z = np.swapaxes(z, 1, 2)
        return z.reshape(*z.shape[:2], -1)

    def fold(self, z):
        a, h, s, c = z.shape
        return z.reshape(a, h // self.repeat, self.repeat, s, c).sum(2)

    def rotate(self, z, sign):
        if self.given.rope is None:
            return z
        half = z.shape[-1] // 2
        angle = sign * np.arange(z.shape[2])[:, None]
        angle = angle * self.given.rope ** (-np.arange(half) / half)
        one, two = z[..., :half], z[..., half:]
        cos, sin = np.cos(angle), np.sin(angle)
        return np.concatenate([one * cos - two * sin, one * sin + two * cos], axis=-1)

    @staticmethod
    def unnormalise(g, z, r, gain):
        unit = z / r
        return gain / r * (g - unit * (g * unit).mean(-1, keepdims=True))

    def tangent(self, rng):
        """Theta of v . y / sqrt(n), |v|^2 = n, for all sites of the output."""
        a, t, n = self.x.shape[0], self.x.shape[1], self.given.out
        v = rng.standard_normal(n)
        v *= np.sqrt(n) / np.linalg.norm(v)
        found = []
        for site in range(a * t):
            cotangent = np.zeros((a * t, n))
            cotangent[site] = v / np.sqrt(n)
            found.append(self.backward(cotangent.reshape(a, t, n))[1])
        total = np.zeros((a * t, a * t))
        entering = (self.x, self.m, self.m, self.o)
        for i, (z, scale) in enumerate(zip(entering, self.scales, strict=True)):
            z = z.reshape(-1, z.shape[-1])
            g = np.stack([f[i].reshape(len(z), -1) for f in found])  # (site, position, channel)
            by_weights = np.einsum("iuc,ux->icx", g, z).reshape(len(g), -1)
            by_bias = g.sum(1)
            total += scale**2 * by_weights @ by_weights.T
            total += self.given.bias**2 * by_bias @ by_bias.T
        return total


def frame(rng, gram, inputs, width):
    """Inputs (A, T, width) of exactly these second moments."""
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    basis, _ = np.linalg.qr(rng.standard_normal((width, len(gram))))
    return (np.sqrt(width) * root @ basis.T).reshape(inputs, -1, width)


def measured(given, gram, memory=None, inputs=2, width=96, memory_width=64, draws=100, ntk=False):
    """Means and standard errors over draws: K, iid and shared P at x and at m, Theta."""
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(draws):
        x = frame(rng, gram, inputs, width)
        m = x if memory is None else frame(rng, memory, inputs, memory_width)
        layer = Layer(rng, given, x.shape[-1], m.shape[-1])
        y = layer.forward(x, m)
        row = {"K": second(y)}
        for name in ("iid", "shared"):
            c = rng.standard_normal(y.shape)
            if name == "shared":
                c = np.broadcast_to(c[:1, :1], y.shape)
            (gq, gk, gv), _ = layer.backward(c)
            row |= {f"{name} x": second(gq)} if memory is not None else {}
            row[f"{name} m" if memory is not None else f"{name} x"] = second(
                gk + gv if memory is not None else gq + gk + gv
            )
        if ntk and len(rows) < 40:
            row["ntk"] = layer.tangent(rng)
        rows.append(row)
    out = {}
    for name in rows[0]:
        drawn = np.array([row[name] for row in rows if name in row])
        out[name] = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    return out


def second(z):
    flat = z.reshape(-1, z.shape[-1])
    return flat @ flat.T / flat.shape[1]
