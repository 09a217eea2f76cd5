"""Activations: the catalogue, and a user's own functions with the same abilities."""

from chione.activations.affine import Affine
from chione.activations.custom import Custom
from chione.activations.exponential import CELU, ELU, SELU, Exp, Gaussian, LogSigmoid, Softplus
from chione.activations.gated import GELU, GELUTanh, Mish, QuickGELU, SiLU
from chione.activations.own import from_callable, from_expression
from chione.activations.periodic import Cos, Sin, Siren
from chione.activations.piecewise_linear import (
    Abs,
    HardSigmoid,
    HardTanh,
    LeakyReLU,
    Linear,
    PReLU,
    ReLU,
    ReLU6,
    ShiftedReLU,
    SoftShrink,
)
from chione.activations.piecewise_polynomial import Cubic, HardSwish, Quadratic, SquaredReLU
from chione.activations.protocol import AbstractActivation, ActivationLike, ClosedForms
from chione.activations.registry import catalogue
from chione.activations.resolve import activation
from chione.activations.sigmoidal import (
    Arcsinh,
    Arctan,
    Erf,
    ErfScaled,
    Sigmoid,
    Softsign,
    Tanh,
    TanhShrink,
)
from chione.activations.steps import HardShrink, Sign, Step

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Abs",
    "AbstractActivation",
    "ActivationLike",
    "Affine",
    "Arcsinh",
    "Arctan",
    "ClosedForms",
    "Cos",
    "Cubic",
    "Custom",
    "Erf",
    "ErfScaled",
    "Exp",
    "GELUTanh",
    "Gaussian",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "Quadratic",
    "QuickGELU",
    "ReLU",
    "ReLU6",
    "ShiftedReLU",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Sin",
    "Siren",
    "SoftShrink",
    "Softplus",
    "Softsign",
    "SquaredReLU",
    "Step",
    "Tanh",
    "TanhShrink",
    "activation",
    "catalogue",
    "from_callable",
    "from_expression",
]
