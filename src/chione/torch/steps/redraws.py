"""Other draws of a model's random weights: the model as another seed would have made it.

Rows and columns of every matrix are permuted, and where its mean is zero within noise their signs
flipped; so are the entries of a vector whose mean is zero. That keeps the law of independent
entries, of orthogonal matrices, of zeros and of constants, and destroys how one matrix lies to the
next. Gains, and biases of other means, stay.
"""

from __future__ import annotations

import torch

_NOISE = 5.0  # standard errors beyond which a mean is no accident


def redraw_(parameter: torch.Tensor, generator: torch.Generator) -> None:
    """Draw a weight anew, in place."""
    if parameter.dim() == 0 or not parameter.is_floating_point():
        return
    w = parameter.detach()
    flip = _centred(w)
    if w.dim() == 1 and not flip:
        return
    for axis in range(min(w.dim(), 2)):
        n = w.shape[axis]
        order = torch.randperm(n, generator=generator).to(w.device)
        w = w.index_select(axis, order)
        if flip:
            signs = 2.0 * torch.randint(2, (n,), generator=generator) - 1.0
            shape = [1] * w.dim()
            shape[axis] = n
            w = w * signs.reshape(shape).to(w)
    with torch.no_grad():
        parameter.copy_(w)


def _centred(w: torch.Tensor) -> bool:
    mean = float(w.mean(dtype=torch.float64))
    square = float(torch.linalg.vector_norm(w, dtype=torch.float64)) ** 2 / w.numel()
    return mean * mean * w.numel() <= _NOISE**2 * max(square - mean * mean, 0.0)
