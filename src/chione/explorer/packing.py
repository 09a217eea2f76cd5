"""Tables as text for the page: whole numbers of seven bits each, deflated, in base64.

Each series is rounded to a multiple of a step, a power of two far below its largest coefficient:
high coefficients are then small numbers or zero. Bytes after inflating: the number of float64
values (uint32, little endian), these values, then all coefficients as zigzag numbers of seven bits
a byte, lowest first, the eighth bit saying that there is more.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterator

import numpy as np

from chione.base import Array
from chione.explorer.tables import ANGLES, LENGTHS, Piece, Tables

_BITS = 44  # of the slope kernel: rounding is 6e-14 of the largest coefficient of a patch
_COLUMN_BITS = 49
_FAINT = 1e-4  # of N: a patch that is nowhere larger keeps fewer digits
_SEVEN = 128


def pack(tables: Tables) -> str:
    """Tables as text."""
    floats: list[float] = [float(tables.jumps), float(tables.parity), float(len(tables.pieces))]
    numbers: list[int] = []
    floats.append(tables.pieces[0].low)
    for piece in tables.pieces:
        floats += [piece.high, float(piece.angles.size - 1), *piece.angles]
        blocks = [(x, _COLUMN_BITS, 0.0) for x in piece.columns]
        blocks += [(x, _BITS, _FAINT) for part in (piece.near, piece.far) for x in part]
        for block, bits, faint in blocks:
            step = _step(block, bits, faint)
            floats.append(step)
            numbers += [int(x) for x in np.rint(block.ravel() / step)]
    head = np.array([len(floats)], dtype="<u4").tobytes() + np.array(floats, "<f8").tobytes()
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(press.compress(head + _varints(numbers)) + press.flush()).decode()


def unpack(text: str) -> Tables:
    """Tables from their text, with what rounding left of them."""
    raw = zlib.decompress(base64.b64decode(text), -15)
    count = int(np.frombuffer(raw, "<u4", 1)[0])
    floats = iter(np.frombuffer(raw, "<f8", count, 4).tolist())
    numbers = _numbers(raw[4 + 8 * count :])
    jumps, parity, n, low = bool(next(floats)), int(next(floats)), int(next(floats)), next(floats)
    pieces = []
    for _ in range(n):
        high, k = next(floats), int(next(floats))
        angles = np.array([next(floats) for _ in range(k + 1)])
        columns = np.array([_block(floats, numbers, LENGTHS) for _ in range(4)])
        near, far = (
            np.array(
                [_block(floats, numbers, ANGLES * LENGTHS) for _ in range(k if there else 0)]
            ).reshape(-1, ANGLES, LENGTHS)
            for there in (True, parity == 0)
        )
        pieces.append(Piece(low, high, columns, angles, near, far))
        low = high
    return Tables(jumps, parity, tuple(pieces))


def _step(block: Array, bits: int, faint: float) -> float:
    largest = max(float(np.abs(block).max()), faint)
    return 2.0 ** (math.floor(math.log2(largest)) - bits) if largest > 0.0 else 1.0


def _block(floats: Iterator[float], numbers: Iterator[int], size: int) -> Array:
    step = next(floats)
    return np.array([next(numbers) for _ in range(size)], dtype=np.float64) * step


def _varints(numbers: list[int]) -> bytes:
    out = bytearray()
    for x in numbers:
        rest = 2 * x if x >= 0 else -2 * x - 1
        while rest >= _SEVEN:
            out.append(rest % _SEVEN + _SEVEN)
            rest //= _SEVEN
        out.append(rest)
    return bytes(out)


def _numbers(raw: bytes) -> Iterator[int]:
    value, factor = 0, 1
    for byte in raw:
        value += (byte % _SEVEN) * factor
        factor *= _SEVEN
        if byte < _SEVEN:
            yield -(value + 1) // 2 if value % 2 else value // 2
            value, factor = 0, 1
