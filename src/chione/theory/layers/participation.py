r"""How many tokens a row of attention looks at: :math:`E \sum_s w_{ts}^2`, from 1 / T to 1."""

from __future__ import annotations


def participation(layer, stream, walk):
    raise NotImplementedError
