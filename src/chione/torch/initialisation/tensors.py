r"""Initialisers for single tensors that keep the mean square whatever the shape.

Each draws weights with :math:`E\,W^2 = \sigma_w^2 / n_{in}`, the convention of the whole package,
so a layer maps inputs of mean square 1 to pre-activations of mean square :math:`\sigma_w^2`, be it
128 -> 512, 512 -> 128 or a convolution. (``torch.nn.init.orthogonal_`` loses the factor
:math:`\sqrt{n_{out} / n_{in}}` where a layer widens.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from chione.activations import ActivationLike
from chione.base import checks
from chione.torch.capture.layouts import Layout, layout_of
from chione.torch.recommendation.gains import recommended


def orthogonal_(
    tensor: torch.Tensor,
    sigma_w: float = 1.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    stride: int | Sequence[int] = 1,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Fill a weight with a Haar-distributed isometry, scaled to keep the mean square.

    .. math:: W = \sigma_w \max\bigl(1, \sqrt{n_{out} / n_{in}}\bigr)\, Q, \qquad
              Q^\top Q = 1 \ \text{or}\ Q Q^\top = 1, \qquad
              \tfrac{1}{n_{out}} \operatorname{tr} W W^\top = \sigma_w^2

    Parameters
    ----------
    tensor : Tensor
        Weight of shape (out, in) or (out, in / groups, *kernel); changed in place. A kernel is
        flattened into the input axis. Computed in float32 or better and rounded at the end.
    sigma_w : float
        Standard deviation :math:`\sigma_w`, zero or above.
    groups : int
        Groups of a convolution; each gets an isometry of its own.
    transposed : bool
        Whether the input axis comes first (transposed convolutions).
    stride : int or sequence of int
        Stride of a transposed convolution; it thins the sum that makes one output.
    generator : torch.Generator, optional
        Source of randomness; the global one of torch if not given.

    Returns
    -------
    Tensor
        The same tensor.

    Raises
    ------
    ValueError
        For a tensor with one axis, negative sigma_w, or groups that do not fit.

    References
    ----------
    .. [1] F. Mezzadri, How to generate random matrices from the classical compact groups (2007).
    """
    sigma_w = checks.non_negative("sigma_w", sigma_w)
    layout = layout_of(tensor, groups=groups, transposed=transposed, stride=stride)
    columns = layout.inputs * math.prod(layout.kernel)
    dtype = _working(tensor)
    blocks = [haar(layout.outputs, columns, generator, dtype) for _ in range(layout.groups)]
    # tr Q Q^T = min(out, columns); the factor makes it out * sigma_w^2 * (columns / fan_in).
    scale = sigma_w * math.sqrt(max(layout.outputs, columns) / layout.fan_in)
    return _write(tensor, [scale * block for block in blocks], layout)


def delta_orthogonal_(
    tensor: torch.Tensor,
    sigma_w: float = 1.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    stride: int | Sequence[int] = 1,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Fill a convolution with zeros and an orthogonal matrix in the middle of the kernel.

    .. math:: W_{ij,k} = \sigma_w \max\bigl(1, \sqrt{n_{out} / n_{in}}\bigr)\, Q_{ij}\,
              \delta_{k, \text{centre}}

    The convolution is then an isometry at each position, and no signal is lost at the borders [1]_.
    A dense weight has no kernel and gets :func:`orthogonal_`. Parameters and errors as there;
    n_out and n_in are channels of one group here.

    Notes
    -----
    With a stride a convolution only reads the positions that its centre meets, and a transposed
    convolution leaves the positions between them at zero.

    References
    ----------
    .. [1] L. Xiao et al., Dynamical isometry and a mean field theory of CNNs (2018), section 3.
    """
    sigma_w = checks.non_negative("sigma_w", sigma_w)
    layout = layout_of(tensor, groups=groups, transposed=transposed, stride=stride)
    if not layout.kernel:
        return orthogonal_(
            tensor, sigma_w, groups=groups, transposed=transposed, generator=generator
        )
    centre = 0
    for size in layout.kernel:
        centre = centre * size + (size - 1) // 2
    taps = math.prod(layout.kernel)
    thinning = taps / layout.taps  # 1 but for a transposed convolution with a stride
    scale = sigma_w * math.sqrt(max(layout.outputs, layout.inputs) / layout.inputs * thinning)
    blocks = []
    for _ in range(layout.groups):
        block = torch.zeros(layout.outputs, layout.inputs, taps, dtype=_working(tensor))
        block[:, :, centre] = (
            scale * haar(layout.outputs, layout.inputs, generator, block.dtype).cpu()
        )
        blocks.append(block.reshape(layout.outputs, -1))
    return _write(tensor, blocks, layout)


def normal_(
    tensor: torch.Tensor,
    sigma_w: float = 1.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    stride: int | Sequence[int] = 1,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Fill a weight with independent :math:`N(0, \sigma_w^2 / n_{in})`; parameters as above."""
    sigma_w = checks.non_negative("sigma_w", sigma_w)
    layout = layout_of(tensor, groups=groups, transposed=transposed, stride=stride)
    draw = torch.randn(tensor.shape, generator=generator, device=_device(generator))
    return _copy(tensor, draw * (sigma_w / math.sqrt(layout.fan_in)))


def critical_normal_(
    tensor: torch.Tensor,
    activation: ActivationLike = "tanh",
    *,
    depth: int = 50,
    groups: int = 1,
    transposed: bool = False,
    stride: int | Sequence[int] = 1,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Gaussian weights at the critical :math:`\sigma_w` of an activation.

    .. math:: W_{ij} \sim N(0, \sigma_w^2 / n_{in}), \qquad
              \sigma_w^2\, E\,\phi'(\sqrt{q_*} z)^2 \approx 1

    Parameters
    ----------
    tensor : Tensor
        Weight, changed in place; axes as in :func:`orthogonal_`.
    activation : str, Module or callable
        The activation between the layers, anything that ``chione.activation`` accepts.
    depth : int
        Number of layers the choice is made for.
    groups, transposed, stride, generator
        As in :func:`orthogonal_`.

    Returns
    -------
    Tensor
        The same tensor.

    Raises
    ------
    ConvergenceError
        For an activation that no sigma_w makes critical (softplus); the message says what else
        can be done.

    Notes
    -----
    Only the weights are set. Where the recommendation also has a sigma_b (GELU, SiLU, Mish),
    draw the biases as ``torch.nn.init.normal_(bias, std=chione.gain(activation).sigma_b)``, or
    use :func:`chione.torch.initialize_`, which does both.
    """
    sigma_w = recommended(activation, depth=depth).sigma_w
    return normal_(
        tensor, sigma_w, groups=groups, transposed=transposed, stride=stride, generator=generator
    )


def critical_uniform_(
    tensor: torch.Tensor,
    activation: ActivationLike = "tanh",
    *,
    depth: int = 50,
    groups: int = 1,
    transposed: bool = False,
    stride: int | Sequence[int] = 1,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Uniform weights of the critical variance.

    .. math:: W_{ij} \sim U(-a, a), \qquad a = \sqrt{3}\, \sigma_w / \sqrt{n_{in}}

    Parameters, returns and errors as in :func:`critical_normal_`. In the limit of wide layers
    only the variance counts; the extreme weights are smaller than for a Gaussian.
    """
    sigma_w = recommended(activation, depth=depth).sigma_w
    layout = layout_of(tensor, groups=groups, transposed=transposed, stride=stride)
    bound = math.sqrt(3.0 / layout.fan_in) * sigma_w
    draw = torch.rand(tensor.shape, generator=generator, device=_device(generator))
    return _copy(tensor, (2.0 * draw - 1.0) * bound)


def haar(
    rows: int,
    columns: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """A Haar-distributed isometry or co-isometry of shape (rows, columns)."""
    tall = (max(rows, columns), min(rows, columns))
    a = torch.randn(tall, generator=generator, dtype=dtype, device=_device(generator))
    q, r = torch.linalg.qr(a)
    # Without the signs of the diagonal of R the law of Q is not Haar ([1] of orthogonal_).
    diagonal = torch.diagonal(r)
    signed: torch.Tensor = q * torch.where(diagonal < 0, -1.0, 1.0)
    return signed if rows >= columns else signed.T.contiguous()


def _write(tensor: torch.Tensor, blocks: list[torch.Tensor], layout: Layout) -> torch.Tensor:
    """Put blocks (out, in * kernel), one for each group, into the axes of the tensor."""
    shape = (layout.outputs, layout.inputs, *layout.kernel)
    parts = [block.reshape(shape) for block in blocks]
    if layout.transposed:
        parts = [part.transpose(0, 1) for part in parts]  # (in, out, *kernel)
    return _copy(tensor, torch.cat(parts, dim=0))


def _copy(tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return tensor.copy_(values.reshape(tensor.shape))


def _working(tensor: torch.Tensor) -> torch.dtype:
    """float64 for float64; else float32, in which columns are orthogonal to 1e-6."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _device(generator: torch.Generator | None) -> torch.device:
    """Draw where the generator lives, so that one seed gives one network on every device."""
    return torch.device("cpu") if generator is None else generator.device
