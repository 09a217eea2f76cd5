"""The gain of an activation, in the form PyTorch users know, and advice in a sentence."""

from __future__ import annotations

import torch

from chione.activations import AbstractActivation, ActivationLike
from chione.activations import activation as make_activation
from chione.base import ConvergenceError, SpecError, checks
from chione.torch.capture.identify import identify
from chione.torch.recommendation.recipes import Recipe, recipe

# What torch.nn.init.calculate_gain accepts besides activations: layers, which are linear.
_LINEAR = frozenset(["linear", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))])


def calculate_gain(
    activation: ActivationLike, param: float | None = None, *, depth: int | None = None
) -> float:
    r"""The gain of an activation: a drop-in for ``torch.nn.init.calculate_gain``.

    .. math:: \sigma_w = \frac{1}{\sqrt{E\,\phi'(\sqrt{q_*} z)^2}}

    With weights of standard deviation :math:`\sigma_w / \sqrt{n_{in}}` (``xavier_normal_`` or
    ``kaiming_normal_`` take it as `gain`) the mean-square gradient keeps its size from layer to
    layer, at the length :math:`q_*` at which lengths keep theirs. PyTorch's own gains keep the
    forward variance (ReLU), or are found by trial (tanh 5/3, SELU 3/4) and let gradients vanish or
    explode: over 50 layers of tanh, 5/3 multiplies them by thousands.

    Parameters
    ----------
    activation : str, Module or callable
        A name that PyTorch or ``chione.activation`` knows, a module, or a function on tensors.
    param : float, optional
        Negative slope of ``leaky_relu``, as in PyTorch; alpha of ``elu`` and ``celu``.
    depth : int, optional
        Number of layers the gain is chosen for, 50 if not given.

    Returns
    -------
    float
        :math:`\sigma_w`.

    Raises
    ------
    SpecError
        If the activation is not understood, or `param` does not belong to it.
    ConvergenceError
        If no gain keeps gradients (softplus); the message says what else can be done.

    Notes
    -----
    It controls both directions only together with the right biases: tanh, GELU, SiLU, SELU and
    others need sigma_b > 0 to hold the length q* (``chione.gain`` gives it,
    ``chione.torch.initialize_`` sets both). For ReLU, leaky ReLU and linear the value is PyTorch's.

    Examples
    --------
    >>> from chione.torch import calculate_gain
    >>> round(calculate_gain("relu"), 4), round(calculate_gain("gelu"), 4)
    (1.4142, 1.3988)
    """
    return recommended(activation, param=param, depth=50 if depth is None else depth).sigma_w


def recommended(
    activation: ActivationLike, *, param: float | None = None, depth: int = 50
) -> Recipe:
    """The recommendation, or ConvergenceError with the reason where there is none."""
    depth = checks.integer("depth", depth)
    found = recipe(as_activation(activation, param), depth, scaled=False)
    if not found.exists:
        raise ConvergenceError(found.sentence, found)
    return found


def as_activation(spec: ActivationLike, param: float | None = None) -> AbstractActivation:
    """The activation of a name, a module or a function on tensors."""
    if isinstance(spec, str):
        name = spec.strip().lower()
        if name in _LINEAR:
            return make_activation("linear")
        if param is not None:
            if name not in ("leaky_relu", "elu", "celu"):
                raise SpecError(
                    f"param belongs to leaky_relu, elu and celu, but the activation is {spec!r}; "
                    "leave it out."
                )
            return make_activation(f"{name}({checks.finite('param', param)!r})")
        return make_activation(spec)
    if isinstance(spec, AbstractActivation):
        return spec
    function = spec.forward if isinstance(spec, torch.nn.Module) else spec
    if isinstance(spec, torch.nn.PReLU):
        return make_activation(f"leaky_relu({float(spec.weight.detach().mean())!r})")
    found = identify(function) if callable(function) else None
    if found is None:
        raise SpecError(
            f"The activation must be a name, a module or a function of one tensor, applied to each "
            f"entry, but it is {spec!r}."
        )
    return found


def advice(activation: str | None, depth: int = 50) -> str:
    """What to do about `depth` layers that do not let signals through, in a sentence."""
    call = "Call chione.torch.initialize_(model, batch)"
    if activation is None:
        return f"{call}."
    try:
        found = recipe(make_activation(activation), max(depth, 2))
    except (SpecError, ValueError):
        return f"{call}."
    if not found.exists:
        return found.sentence
    return (
        f"{call}: for {found.activation} it sets sigma_w = {found.sigma_w:.4g}, "
        f"sigma_b = {found.sigma_b:.3g}."
    )
