"""Small images of triangles, parallelograms and ellipses.

After the data set Shapeset-3x2 of Glorot & Bengio (2010, section 2.1): one or two shapes in an
image, of random place, size, direction and grey level, the second drawn over the first. They vary
less than there, where images came without end: a network of three layers of 100 units gets nine in
ten of the training images right after 800 steps of Adam, and three in four of those held apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array

SIDE = 20
_FINE = 2  # points a pixel and direction, so that edges are grey
_SHAPES = 3


def one(n: int = 3000, seed: int = 3) -> tuple[Array, NDArray[Any]]:
    """`n` images of one shape; the label says which of three."""
    rng = np.random.Generator(np.random.PCG64(seed))
    kind = rng.integers(_SHAPES, size=n)
    return _image(rng, [kind]), kind


def one_or_two(n: int = 9000, seed: int = 9) -> tuple[Array, NDArray[Any]]:
    """`n` images of one or two shapes; nine labels: three shapes alone, six unordered pairs."""
    rng = np.random.Generator(np.random.PCG64(seed))
    configurations = [(a, -1) for a in range(_SHAPES)]
    configurations += [(a, b) for a in range(_SHAPES) for b in range(a, _SHAPES)]
    label = rng.integers(len(configurations), size=n)
    pair = np.array(configurations)[label]
    swapped = (pair[:, 1] >= 0) & (rng.random(n) < 0.5)  # which one lies in front says nothing
    pair[swapped] = pair[swapped, ::-1]
    return _image(rng, [pair[:, 0], pair[:, 1]]), label


def _image(rng: np.random.Generator, kinds: list[NDArray[Any]]) -> Array:
    """Images (n, SIDE^2) with the shapes of `kinds` painted one over the other (-1: none)."""
    n = len(kinds[0])
    fine = SIDE * _FINE
    at = (np.arange(fine) + 0.5) / fine * 2.0 - 1.0
    picture = np.zeros((n, fine, fine), np.float32)
    toward = rng.uniform(0.0, 2.0 * np.pi, n)
    for number, kind in enumerate(kinds):
        # a second shape lies about opposite the first, so that both are seen
        angle = toward + number * (np.pi + rng.uniform(-0.6, 0.6, n))
        place = rng.uniform(0.2, 0.45, n) * np.stack([np.cos(angle), np.sin(angle)])
        size = rng.uniform(0.4, 0.6, n)
        turn = rng.uniform(-0.35, 0.35, n)
        aspect = rng.uniform(0.8, 1.0, n)
        slant = rng.uniform(-0.2, 0.2, n)
        grey = rng.uniform(0.5, 1.0, n)
        for i in np.flatnonzero(kind >= 0):
            x, y = at[None, :] - place[0, i], at[:, None] - place[1, i]
            u = (np.cos(turn[i]) * x + np.sin(turn[i]) * y) / size[i]
            v = (np.cos(turn[i]) * y - np.sin(turn[i]) * x) / (size[i] * aspect[i])
            picture[i][_inside(int(kind[i]), u, v, slant[i])] = grey[i]
    pixels = picture.reshape(n, SIDE, _FINE, SIDE, _FINE).mean(axis=(2, 4))
    return np.asarray(pixels.reshape(n, -1), np.float64)


def _inside(kind: int, u: Array, v: Array, slant: float) -> NDArray[np.bool_]:
    """Points of a triangle, parallelogram or ellipse of about unit size."""
    if kind == 0:  # base at v = -0.7, its apex moved by the slant
        half = (1.0 - v) / 1.7
        return np.asarray((v > -0.7) & (np.abs(u - slant * (v + 0.7)) < half))
    if kind == 1:
        return np.asarray((np.abs(v) < 0.75) & (np.abs(u - slant * v) < 0.75))
    return np.asarray(u * u + v * v < 0.85)
