"""Modules taken as one step: pointwise functions and home-made norms; saturation of a function."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable

import torch

from chione.networks import Norm
from chione.torch.layers.norm import normed
from chione.torch.layers.tensors import Affine

SATURATED = 1e-3  # |phi'| below this counts as saturated: 1e-6 of the mean-square gradient passes


def is_elementwise(module: torch.nn.Module) -> bool:
    """Whether a module without parameters applies one function to each entry.

    It is tried on a copy with 12 numbers: the values may depend neither on the neighbours, nor on
    the order, nor on the shape, nor on chance, and must not be the input itself.
    """
    if isinstance(module, _NOT_POINTWISE):
        return False
    if type(module) in _POINTWISE:
        return True
    if any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
        return False
    x = torch.linspace(-2.1, 2.3, 12, dtype=torch.float64)
    order = torch.arange(12).reshape(3, 4).T.reshape(-1)
    try:
        trial = _bare_copy(module)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            y = trial(x.clone())
            if not isinstance(y, torch.Tensor) or y.shape != x.shape or torch.equal(y, x):
                return False
            others = (
                (trial(x[order]), y[order]),
                (trial(x[:5].clone()), y[:5]),
                (trial(x.clone().reshape(3, 4)), y.reshape(3, 4)),
            )
    except Exception:  # whatever a stranger's module raises on such an input, it is no function
        return False
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-9) for a, b in others)


def pointwise_key(module: torch.nn.Module) -> Hashable:
    """What determines the values of a pointwise module of torch: its type and its options."""
    if type(module) not in _POINTWISE:
        return None
    options = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    options = {k: v for k, v in options.items() if k not in ("training", "inplace")}
    plain = all(isinstance(v, (int, float, str)) for v in options.values())
    return (type(module), *sorted(options.items())) if plain else None


def _bare_copy(module: torch.nn.Module) -> torch.nn.Module:
    """A copy without hooks, so that a trial run is seen by nobody."""
    trial: torch.nn.Module = copy.deepcopy(module)
    for part in trial.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks):
            hooks.clear()
    return trial


def is_norm(module: torch.nn.Module, x: torch.Tensor) -> tuple[Norm, Affine, str] | None:
    """A normalisation written by hand, told from what it makes of random rows.

    A module without modules inside, whose parameters, if there are any, have one entry for each
    channel; tried on a copy. The gain is what it multiplies by, such as w or 1 + w.
    """
    parameters = [p.detach() for p in module._parameters.values() if p is not None]
    if isinstance(module, _NATIVE_NORMS) or any(module.children()) or len(parameters) > 2:
        return None
    width = x.shape[-1]
    if not parameters or x.dim() < 2 or width < 2 or any(p.shape != (width,) for p in parameters):
        return None
    generator = torch.Generator().manual_seed(0)
    trial = 1.0 + torch.randn(6, *x.shape[1:-1], width, generator=generator)
    trial = trial * torch.arange(1, 7).reshape(-1, *(1,) * (x.dim() - 1))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            rows = trial.to(device=x.device, dtype=x.dtype)
            out = _bare_copy(module)(rows.clone())
    except Exception:  # whatever a stranger's module raises on such rows, it is no norm
        return None
    if not isinstance(out, torch.Tensor) or out.shape != rows.shape:
        return None
    return _told(module, parameters, rows.reshape(-1, width).double(), out.reshape(-1, width))


def _told(
    module: torch.nn.Module, parameters: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> tuple[Norm, Affine, str] | None:
    """Gain and shift with which rows y are the normalised rows x, if there are any."""
    y, (form, z) = y.double(), ("rms", x)
    for form, z in (("rms", x), ("layer", x - x.mean(dim=1, keepdim=True))):  # noqa: B007
        z = z / z.square().mean(dim=1, keepdim=True).sqrt()
        middle, level = z.mean(dim=0), y.mean(dim=0)
        gain = ((z - middle) * (y - level)).sum(dim=0) / (z - middle).square().sum(dim=0)
        shift = level - gain * middle
        miss = (y - gain * z - shift).abs().max()
        if bool(miss <= 1e-2 * y.abs().max().clamp_min(1e-30)):
            break
    else:
        return None
    size = gain.abs().max().clamp_min(1e-30)
    shifted = bool(shift.abs().max() > 1e-2 * size)
    names = [name for name, p in module._parameters.items() if p is not None]
    gaps = [gain - p.double() for p in parameters]
    at = min(range(len(gaps)), key=lambda i: float(gaps[i].std()))
    offset = float(gaps[at].mean())
    offset = 0.0 if abs(offset) < 1e-2 * float(size) else offset
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", 1e-6))
    eps = float(eps) if isinstance(eps, (int, float)) else 1e-6
    tensors = Affine(gain.float(), shift.float() if shifted else None, names[at], offset)
    return normed(form, tensors, eps), tensors, "rms_norm" if form == "rms" else "layer_norm"


_NOT_POINTWISE = (
    torch.jit.ScriptModule,
    torch.nn.Identity,
    torch.nn.Flatten,
    torch.nn.Sequential,
    torch.nn.modules.dropout._DropoutNd,
)
_POINTWISE = frozenset(
    (
        torch.nn.ReLU, torch.nn.ReLU6, torch.nn.Tanh, torch.nn.Sigmoid, torch.nn.GELU,
        torch.nn.SiLU,
        torch.nn.ELU, torch.nn.SELU, torch.nn.CELU, torch.nn.Mish, torch.nn.Softplus,
        torch.nn.Softsign, torch.nn.Hardtanh, torch.nn.Hardswish, torch.nn.LeakyReLU,
    )
)  # fmt: skip
_NATIVE_NORMS = (
    torch.nn.LayerNorm,
    torch.nn.GroupNorm,
    torch.nn.modules.batchnorm._NormBase,
    *((torch.nn.RMSNorm,) if "RMSNorm" in dir(torch.nn) else ()),
)


def saturation(
    function: Callable[[torch.Tensor], torch.Tensor], h: torch.Tensor, *, channels_first: bool
) -> torch.Tensor | None:
    """Fractions of saturated entries and of dead units, as a tensor of two.

    A unit is dead if it is saturated for every input (and position) of the batch.
    """
    # Own hooks on what is saved: those of a surrounding checkpoint must not count it.
    kept = torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)
    with torch.enable_grad(), kept:
        x = h.detach().requires_grad_()
        y = function(x.clone())  # a function that works in place must not meet a leaf
        if not y.requires_grad:
            return None
        slope: torch.Tensor | None = torch.autograd.grad(y.sum(), x, allow_unused=True)[0]
    if slope is None:
        return None
    flat = slope.abs() < SATURATED
    axis = 1 if channels_first and flat.dim() > 2 else flat.dim() - 1
    units = flat.movedim(axis, -1).reshape(-1, flat.shape[axis]) if flat.dim() else flat[None, None]
    return torch.stack([flat.float().mean(), units.all(dim=0).float().mean()])
