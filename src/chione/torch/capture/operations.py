"""What each function of torch does, by its name: the table the tracer reads.

Names are those of ``func.__name__`` under a ``TorchFunctionMode``; methods, operators and
functions of one operation share it (``x + y``, ``torch.add``, ``Tensor.add``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from chione.torch.layers.nonlinearity import Applied


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIEWS = _words(
    "view reshape flatten transpose permute contiguous squeeze unsqueeze t swapaxes swapdims "
    "split chunk unbind __getitem__ narrow select clone to float double half bfloat16 type "
    "unflatten movedim ravel view_as reshape_as type_as __get__ split_with_sizes tensor_split "
    "squeeze_ unsqueeze_ transpose_ adjoint moveaxis roll flip alias requires_grad_ cpu cuda "
    "expand expand_as"
)
COPIES = _words("contiguous clone to float double half bfloat16 type type_as alias")
SWAPS = _words("t transpose swapaxes swapdims permute __get__ adjoint")
ADDS = _words("add add_ __add__ __radd__ __iadd__ sub sub_ __sub__ __isub__ subtract")
PRODUCTS = _words("mul mul_ __mul__ __rmul__ __imul__ multiply")
QUOTIENTS = _words("div div_ __truediv__ __itruediv__ true_divide divide")
CONCATS = _words("cat concat concatenate stack hstack vstack")
DROPOUTS = _words("dropout dropout1d dropout2d dropout3d dropout_")
MATMULS = _words("matmul mm __matmul__ bmm")
CONVOLUTIONS = _words("conv1d conv2d conv3d")
TRANSPOSED = _words("conv_transpose1d conv_transpose2d conv_transpose3d")
NORMS = _words("layer_norm rms_norm batch_norm group_norm instance_norm")
ATTENTIONS = _words("scaled_dot_product_attention multi_head_attention_forward")
EMBEDDINGS = _words("embedding embedding_bag")
POOLS = _words(
    "mean avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"
)

_PLAIN = _words(
    "relu gelu silu tanh sigmoid elu selu celu leaky_relu prelu rrelu softplus softsign mish "
    "hardtanh relu6 hardswish hardsigmoid logsigmoid log_sigmoid tanhshrink softshrink "
    "hardshrink threshold atan arctan asinh arcsinh special_expit"
)
# Functions that also occur inside formulas; they count as activations only if a layer reads them.
_ARITHMETIC = _words(
    "sin cos exp erf abs absolute square pow __pow__ clamp clip clamp_min clamp_max sign sinc "
    "special_erf expm1 log1p"
)
ACTIVATIONS = _PLAIN | _ARITHMETIC

# Bookkeeping calls that no tensor of the network comes out of.
IGNORED = _words(
    "size dim stride is_contiguous numel __len__ _set_grad_enabled is_floating_point item "
    "tolist __set__ storage_offset data_ptr __bool__ __format__ __repr__ backward "
    "register_hook element_size ndimension get_device is_complex nelement __contains__ "
    "__hash__"
)

# Calls that hand the memory of a tensor to code that torch does not see.
HANDED_OUT = _words("numpy __array__ data_ptr untyped_storage storage __dlpack__ __set__")


def base_name(func: Any) -> str:
    """The name of the operation, without the underscore of the in-place form."""
    name = str(getattr(func, "__name__", func))
    if name.endswith("_") and not name.endswith("__") and name[:-1] in ACTIVATIONS:
        return name[:-1]
    return name


def applied(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Applied | None:
    """The activation in a call ``func(h, ...)``, or None where other tensors take part in it."""
    rest = args[1:]
    if not args or not isinstance(args[0], torch.Tensor):
        return None
    others = [a for a in (*rest, *kwargs.values()) if isinstance(a, torch.Tensor)]
    if name == "prelu":
        if others[0].numel() > 1 and not bool((others[0] == others[0].flatten()[0]).all()):
            return None  # a slope for each channel is not one function
        slope = float(others[0].detach().flatten()[0])
        function = torch.nn.functional.leaky_relu
        return Applied(_closure(function, (slope,), {}), f"leaky_relu({slope:g})", False)
    if others:
        return None
    options = {k: v for k, v in kwargs.items() if k not in ("inplace", "out")}
    rest = _without_inplace(name, rest)
    plain = _OUT_OF_PLACE.get(str(getattr(func, "__name__", "")), func)
    shown = ", ".join([*map(str, rest), *(f"{k}={v}" for k, v in options.items())])
    label = f"{name}({shown})" if shown else name
    scalars = (*rest, *options.values())
    told = all(isinstance(v, (int, float, str, type(None))) for v in scalars)
    key = (name, plain, rest, tuple(sorted(options.items()))) if told else None
    return Applied(_closure(plain, rest, options), label, name in _ARITHMETIC, key)


def _closure(
    func: Any, rest: tuple[Any, ...], options: dict[str, Any]
) -> Callable[[torch.Tensor], torch.Tensor]:
    def function(h: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = func(h, *rest, **options)
        return out

    return function


# Position of the `inplace` argument after the input, for the functions that have one.
_INPLACE_AT = {
    "relu": 0, "relu6": 0, "selu": 0, "hardswish": 0, "hardsigmoid": 0, "silu": 0, "mish": 0,
    "elu": 1, "celu": 1, "leaky_relu": 1, "hardtanh": 2, "threshold": 2,
}  # fmt: skip


def _without_inplace(name: str, rest: tuple[Any, ...]) -> tuple[Any, ...]:
    at = _INPLACE_AT.get(name)
    if at is not None and len(rest) > at and isinstance(rest[at], bool):
        return rest[:at]
    return rest


_F = torch.nn.functional
_OUT_OF_PLACE = {
    "relu_": torch.relu, "tanh_": torch.tanh, "sigmoid_": torch.sigmoid, "elu_": _F.elu,
    "selu_": _F.selu, "celu_": _F.celu, "leaky_relu_": _F.leaky_relu, "hardtanh_": _F.hardtanh,
    "threshold_": _F.threshold, "sin_": torch.sin, "cos_": torch.cos, "exp_": torch.exp,
    "abs_": torch.abs, "clamp_": torch.clamp, "clamp_min_": torch.clamp_min,
    "clamp_max_": torch.clamp_max, "pow_": torch.pow, "square_": torch.square,
    "erf_": torch.erf, "sign_": torch.sign, "rrelu_": _F.rrelu, "atan_": torch.atan,
    "silu_": _F.silu, "mish_": _F.mish, "hardswish_": _F.hardswish, "asinh_": torch.asinh,
}  # fmt: skip
