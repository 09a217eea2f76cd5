r"""Tables of an activation that is another one in other units.

.. math:: \phi(x) = a\,\psi(b x): \quad E\,\phi^2(q) = a^2 E\,\psi^2(b^2 q), \quad
   E\,\phi'^2(q) = a^2 b^2 E\,\psi'^2(b^2 q)

The ratios that the tables hold are those of psi at :math:`b^2 q`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chione.activations import AbstractActivation
from chione.explorer.tables import Tables

# name -> (relative, a, b); signs do not matter to second moments of two inputs
RELATIVES = {
    "celu": ("elu", 1.0, 1.0),
    "logsigmoid": ("softplus", -1.0, -1.0),
    "quick_gelu": ("silu", 1.0 / 1.702, 1.702),
}


def in_other_units(tables: Tables, a: float, b: float) -> Tables:
    """The tables of a psi(b x) from those of psi."""
    if tables.jumps:
        raise ValueError("the size N of an activation that jumps has units of its own.")
    shift, size = 2.0 * math.log(abs(b)), 2.0 * math.log(abs(a))
    pieces = []
    for piece in tables.pieces:
        columns = piece.columns.copy()
        columns[0, 0] += size
        columns[1, 0] += size + shift
        pieces.append(
            replace(piece, low=piece.low - shift, high=piece.high - shift, columns=columns)
        )
    return replace(tables, pieces=tuple(pieces))


def check(phi: AbstractActivation, psi: AbstractActivation, a: float, b: float) -> None:
    """Refuse a relation that does not hold."""
    z = np.linspace(-6.0, 6.0, 61)
    if not np.allclose(phi.value(z), a * psi.value(b * z), rtol=1e-13, atol=1e-15):
        raise ValueError(f"{phi.name} is not {a} {psi.name}({b} x).")
