"""Laws that are exact: constants, identities, orthogonal matrices, sines, copied rows."""

from __future__ import annotations

import math

import numpy as np
import torch

from chione.torch.audits.summary import Summary

_ROWS = 48  # rows of which products are looked at; independent entries never pass with three
_FEWEST = 6  # orthogonal rows of fewer entries come about by chance of rounding alone


def matrix(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor as ``torch.nn.init.orthogonal_`` sees it: rows, and all the rest."""
    return tensor.detach().flatten(1)


def tolerance(summary: Summary) -> float:
    """Rounding of a product of rows, relative to their squares; of a QR in float32 at least."""
    return max(4.0 * 2.0**-summary.bits, 3e-5)


def orthogonal_gain(tensor: torch.Tensor, summary: Summary, blocks: int = 1) -> float | None:
    r"""G where :math:`W W^T = g^2 1` (or :math:`W^T W`, the smaller of the two), else None.

    Parameters
    ----------
    blocks : int
        Number of equal blocks of rows that are orthogonal each: 4 for the gates of an LSTM.
    """
    if len(summary.shape) < 2 or summary.bad or summary.zero == summary.n:
        return None
    w = matrix(tensor)
    if w.shape[0] % blocks or w.shape[0] < 2 * blocks:
        return None
    gains = [_gain(part, tolerance(summary)) for part in w.chunk(blocks)]
    known = [g for g in gains if g is not None]
    if len(known) < blocks or max(known) - min(known) > 1e-2 * max(known):
        return None
    return float(np.mean(known))


def _gain(w: torch.Tensor, tol: float) -> float | None:
    if min(w.shape) < 2 or max(w.shape) < _FEWEST:
        return None
    flat = w if w.shape[0] <= w.shape[1] else w.T
    step = max(1, flat.shape[0] // _ROWS)
    rows = flat[::step][:_ROWS].double().cpu()
    first = flat[: min(8, flat.shape[0])].double().cpu()  # neighbours, which steps never pair
    gains = []
    for x in (rows, first):
        gram = x @ x.T
        square = float(gram.diagonal().mean())
        if not square > 0.0:
            return None
        off = gram / square - torch.eye(len(x), dtype=torch.float64)
        # products of independent rows of length m are of size 1/sqrt(m), the largest 3/sqrt(m)
        if float(off.abs().max()) > min(tol, 0.5 / math.sqrt(x.shape[1])):
            return None
        gains.append(math.sqrt(square))
    return gains[0]


def delta_gain(tensor: torch.Tensor, summary: Summary) -> tuple[str, float] | None:
    """``dirac`` or ``delta-orthogonal`` and its gain: a kernel with its centre tap alone."""
    shape = summary.shape
    if len(shape) < 3 or not 0 < summary.zero < summary.n:
        return None
    tap = tensor.detach()
    for k in shape[2:]:
        tap = tap.select(2, k // 2)
    if int(torch.count_nonzero(tap)) + summary.zero != summary.n:
        return None
    unit = identity_gain(tap)
    if unit is not None:
        return "dirac", unit
    gain = _gain(tap, tolerance(summary))
    return None if gain is None else ("delta-orthogonal", gain)


def identity_gain(w: torch.Tensor) -> float | None:
    """C where the matrix has c on its diagonal and zeros elsewhere."""
    if w.dim() != 2 or min(w.shape) < 2:
        return None
    diagonal = w.detach().diagonal()
    c = float(diagonal[0])
    if c == 0.0 or bool((diagonal != c).any()):
        return None
    return c if int(torch.count_nonzero(w)) == len(diagonal) else None


def is_sinusoidal(tensor: torch.Tensor, summary: Summary) -> bool:
    """Whether rows are sines and cosines of positions, in pairs or in halves, for all rows."""
    if len(summary.shape) < 2 or summary.bad or max(abs(summary.low), abs(summary.high)) > 1.001:
        return False
    w = tensor.detach().reshape(-1, summary.shape[-1]).double()
    d = w.shape[1] // 2 * 2
    if len(w) < 3 or d < 4:
        return False
    half = d // 2
    allowed = max(1e-4, 8.0 * 2.0**-summary.bits)
    for a, b in ((w[:, 0:d:2], w[:, 1:d:2]), (w[:, :half], w[:, half:d])):
        miss = ((a * a + b * b - 1.0).abs() > allowed).any(dim=1)
        if int(miss.sum()) <= 1:  # a padding row may be zero
            return True
    return False


def repeated_rows(tensor: torch.Tensor, summary: Summary) -> tuple[int, int]:
    """Number of rows that equal an earlier one, and of rows; rows of zeros do not count."""
    if len(summary.shape) < 2 or summary.bad or summary.zero == summary.n:
        return 0, 0
    w = matrix(tensor)
    if w.shape[1] < 4 or w.shape[0] < 2:
        return 0, int(w.shape[0])
    probe = torch.from_numpy(np.random.default_rng(1).standard_normal(w.shape[1]))
    step = max(1, 2**21 // len(probe))
    probe = probe.to(w.device)
    parts = (w[k : k + step].double() @ probe for k in range(0, len(w), step))
    keys = np.concatenate([p.cpu().numpy() for p in parts])
    alive = np.flatnonzero((summary.rows > 0.0) & (keys != 0.0))
    order = alive[np.argsort(keys[alive], kind="stable")]
    # the sums of equal rows may differ in their last bits; chance neighbours are compared in full
    near = np.flatnonzero(
        np.abs(np.diff(keys[order])) <= 1e-12 * np.maximum(np.abs(keys[order[1:]]), 1e-300)
    )
    same = sum(bool(torch.equal(w[int(order[i])], w[int(order[i + 1])])) for i in near[:4096])
    return same * max(1, len(near) // 4096), len(alive)
