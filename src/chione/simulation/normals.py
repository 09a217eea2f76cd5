"""Standard normal numbers in bulk."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

_BLOCK = 1 << 14  # pairs at a time: five such float32 arrays stay in the cache


def fill(rng: np.random.Generator, out: FloatArray) -> None:
    """Fill `out`, float32 or float64 and contiguous, with standard normal numbers.

    float64 comes from NumPy's ziggurat. For float32 the Box-Muller form runs on vector
    instructions three times faster (2.1 against 7.0 ns a number, AVX-512); uniforms of 32 bits
    let it reach 6.7 standard deviations. Its last digit depends on the processor.
    """
    if out.dtype == np.float64:
        rng.standard_normal(out=out)
        return
    flat = out.reshape(-1)
    for start in range(0, flat.size, 2 * _BLOCK):
        piece = flat[start : start + 2 * _BLOCK]
        pairs = (piece.size + 1) // 2
        radius, angle = _uniform(rng, 2 * pairs).reshape(2, pairs).astype(np.float32)
        radius += np.float32(0.5)  # never zero
        radius *= np.float32(2.0**-32)
        np.log(radius, out=radius)
        radius *= np.float32(-2.0)
        np.sqrt(radius, out=radius)
        angle *= np.float32(math.tau * 2.0**-32)
        np.multiply(radius, np.cos(angle), out=piece[:pairs])
        np.sin(angle, out=angle)
        np.multiply(radius[: piece.size - pairs], angle[: piece.size - pairs], out=piece[pairs:])


def _uniform(rng: np.random.Generator, n: int) -> NDArray[np.uint32]:
    """N words of 32 bits, n even: those of ``rng.integers``, drawn in pairs in half the time.

    A generator of 64 bits hands out the lower half of a word first and keeps the upper one.
    """
    if sys.byteorder == "big" or rng.bit_generator.state["has_uint32"]:
        return rng.integers(2**32, size=n, dtype=np.uint32)
    return rng.integers(2**64, size=n // 2, dtype=np.uint64).view(np.uint32)
