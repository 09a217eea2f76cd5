r"""The streams of all layers of some networks, seeded together.

A stream of :func:`~chione.simulation.streams.stream` costs 12 microseconds, more than the thousand
normal numbers that a small layer draws from it. Its seeding is a hash of a few words, NumPy's
``SeedSequence`` [1]_, and twelve steps of SFC64 [2]_; both are promised to stay as they are. Here
they run on arrays, for all layers at once: the states, and so the numbers, are the same.

References
----------
.. [1] M. E. O'Neill, "Developing a seed_seq alternative" (2015); ``numpy.random.SeedSequence``.
.. [2] C. Doty-Humphrey, PractRand, ``sfc64``, as in ``numpy.random.SFC64``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chione.simulation.streams import Draw, Purpose, stream

Words = NDArray[np.uint32]

_OF_LAYERS = (Purpose.WEIGHTS, Purpose.BIASES, Purpose.ERROR, Purpose.BACKWARD)
_POOL = 4  # words
_MULT_A, _MULT_B = 0x931E8875, 0x58F38DED
_INIT_A, _INIT_B = 0x43B0D7E5, 0x8B51F9DD
_MIX_L, _MIX_R = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)
_MASK = 0xFFFFFFFF
_HASHED = 16  # times a word was hashed when the pool of the seed alone was mixed: 4 + 4 * 3
_MANY = 24  # streams of one purpose whose arrays are worth it
_STEPS = 12  # of SFC64 before its first number


class Streams:
    """Generators of the layers of networks side by side.

    Parameters
    ----------
    draws : sequence of Draw
        The networks.
    layers : int
        Layers are numbered from 0 to this.
    """

    def __init__(self, draws: Sequence[Draw], layers: int) -> None:
        self._draws, self._layers = tuple(draws), layers
        self._states: dict[Purpose, NDArray[np.uint64]] = {}
        self._bits = np.random.SFC64(0)
        self._generator = np.random.Generator(self._bits)
        # longer numbers are hashed differently, and seldom met; few are quicker one by one
        self._together = len(self._draws) * layers >= _MANY and all(
            d.seed < 1 << 32 * _POOL and max(d.network, layers) <= _MASK for d in self._draws
        )

    def __len__(self) -> int:
        return len(self._draws)

    def part(self, start: int, stop: int) -> Streams:
        """Those of some of the networks."""
        some = Streams(self._draws[start:stop], self._layers)
        some._together = self._together
        if self._together:
            some._states = {p: self._seeded(p)[start:stop] for p in _OF_LAYERS}
        return some

    def of(self, place: int, layer: int, purpose: Purpose) -> np.random.Generator:
        """What ``stream`` gives for the network at that place; good until the next call."""
        if not self._together:
            return stream(*self._draws[place], layer, purpose)
        self._bits.state = {
            "bit_generator": "SFC64",
            "state": {"state": self._seeded(purpose)[place, layer]},
            "has_uint32": 0,
            "uinteger": 0,
        }
        return self._generator

    def _seeded(self, purpose: Purpose) -> NDArray[np.uint64]:
        if purpose not in self._states:
            self._states[purpose] = _states(self._draws, self._layers, purpose)
        return self._states[purpose]


def _states(draws: Sequence[Draw], layers: int, purpose: Purpose) -> NDArray[np.uint64]:
    """States of the generators of one purpose: (R, layers + 1, 4)."""
    # (4, R, 1): what the seed alone makes of the pool
    pools = [np.random.SeedSequence(d.seed).pool for d in draws]
    pool = list(np.stack(pools, axis=1)[:, :, None])
    network = np.array([d.network for d in draws], np.uint32)[:, None]
    factor = _INIT_A * pow(_MULT_A, _HASHED, 1 << 32) & _MASK
    for word in (network, np.arange(layers + 1, dtype=np.uint32), np.array([purpose], np.uint32)):
        for k in range(_POOL):
            mixed = word ^ np.uint32(factor)
            factor = factor * _MULT_A & _MASK
            mixed = mixed * np.uint32(factor)
            mixed ^= mixed >> _SHIFT
            pool[k] = _MIX_L * pool[k] - _MIX_R * mixed
            pool[k] ^= pool[k] >> _SHIFT
    return _sfc64([_seed_word(pool, k) for k in range(3)])


def _seed_word(pool: Sequence[Words], k: int) -> NDArray[np.uint64]:
    """The k-th word of 64 bits that a SeedSequence of this pool generates."""
    halves = []
    for place in (2 * k, 2 * k + 1):
        factor = _INIT_B * pow(_MULT_B, place, 1 << 32) & _MASK
        word = pool[place % _POOL] ^ np.uint32(factor)
        word = word * np.uint32(factor * _MULT_B & _MASK)
        word ^= word >> _SHIFT
        halves.append(word.astype(np.uint64))
    return np.asarray(halves[0] | halves[1] << np.uint64(32))


def _sfc64(words: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The state of SFC64 after its first steps, from three words of seed: (..., 4)."""
    a, b, c = words
    for count in range(1, _STEPS + 1):
        out = a + b + np.uint64(count)
        a = b ^ (b >> np.uint64(11))
        b = c + (c << np.uint64(3))
        c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + out
    return np.stack([a, b, c, np.full_like(a, _STEPS + 1)], axis=-1)
