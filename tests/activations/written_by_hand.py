"""Activations of the literature as people write them, each beside an independent twin.

A twin is the catalogue's activation of the same function, whose formulas share no code with the
user's, or, where the catalogue has none, the function in mpmath with the places where it breaks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp, mpf
from scipy import special

mp.dps = 30
ROOT_2 = np.sqrt(2.0)
LN2 = np.log(2.0)


@dataclass(frozen=True)
class Form:
    """One function as somebody wrote it.

    Parameters
    ----------
    written : str or callable
        What a user hands in.
    twin : str or None
        The same function in the catalogue.
    exact : callable or None
        The same function in mpmath, where the catalogue has none.
    breaks : tuple of float
        Where `exact` has kinks.
    """

    written: Any
    twin: str | None = None
    exact: Any = None
    breaks: tuple[float, ...] = ()


def _phi(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


TWINS = {
    # gates, with everything that cancels or overflows
    "gelu, erf": Form("0.5*x*(1+erf(x/sqrt(2)))", "gelu"),
    "gelu, numpy": Form(lambda x: 0.5 * x * (1 + special.erf(x / np.sqrt(2))), "gelu"),
    "gelu, erfc": Form("x*erfc(-x/sqrt(2))/2", "gelu"),
    "gelu, half and half": Form("x/2 + x*erf(x*sqrt(0.5))/2", "gelu"),
    "gelu_tanh": Form("0.5*x*(1+tanh(sqrt(2/pi)*(x+0.044715*x**3)))", "gelu_tanh"),
    "gelu_tanh, numpy": Form(
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * np.power(x, 3)))),
        "gelu_tanh",
    ),
    "quick_gelu": Form("x/(1+exp(-1.702*x))", "quick_gelu"),
    "silu": Form("x/(1+exp(-x))", "silu"),
    "silu, other way": Form(lambda x: x * np.exp(x) / (1 + np.exp(x)), "silu"),
    "silu, tanh": Form("0.5*x*(1+tanh(x/2))", "silu"),
    "silu, expit": Form(lambda x: x * special.expit(x), "silu"),
    "mish": Form("x*tanh(log(1+exp(x)))", "mish"),
    "mish, squares": Form(
        lambda x: x * ((1 + np.exp(x)) ** 2 - 1) / ((1 + np.exp(x)) ** 2 + 1), "mish"
    ),
    "mish, log1p": Form(lambda x: x * np.tanh(np.log1p(np.exp(x))), "mish"),
    # softplus and sigmoids
    "softplus": Form("log(1+exp(x))", "softplus"),
    "softplus, log1p": Form(lambda x: np.log1p(np.exp(x)), "softplus"),
    "softplus, logaddexp": Form(lambda x: np.logaddexp(0.0, x), "softplus"),
    "softplus, safe": Form(lambda x: np.maximum(x, 0) + np.log(1 + np.exp(-np.abs(x))), "softplus"),
    "logsigmoid": Form("-log(1+exp(-x))", "logsigmoid"),
    "logsigmoid, log of a sigmoid": Form(lambda x: np.log(1 / (1 + np.exp(-x))), "logsigmoid"),
    "sigmoid": Form("1/(1+exp(-x))", "sigmoid"),
    "sigmoid, other way": Form("exp(x)/(1+exp(x))", "sigmoid"),
    "sigmoid, tanh": Form(lambda x: 0.5 + 0.5 * np.tanh(x / 2), "sigmoid"),
    "sigmoid, two branches": Form(
        lambda x: np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x))), "sigmoid"
    ),
    "tanh, exponentials": Form("(exp(x)-exp(-x))/(exp(x)+exp(-x))", "tanh"),
    "tanh, one exponential": Form(lambda x: 1 - 2 / (np.exp(2 * x) + 1), "tanh"),
    "tanh, sigmoid": Form("2/(1+exp(-2*x))-1", "tanh"),
    "tanh, sinh over cosh": Form(lambda x: np.sinh(x) / np.cosh(x), "tanh"),
    "tanhshrink": Form("x-tanh(x)", "tanhshrink"),
    "erf, erfc": Form(lambda x: 1 - special.erfc(x), "erf"),
    "erf, ndtr": Form(lambda x: 2 * special.ndtr(np.sqrt(2) * x) - 1, "erf"),
    "softsign": Form(lambda x: x / (1 + abs(x)), "softsign"),
    "arcsinh, logarithm": Form("log(x+sqrt(x**2+1))", None, mp.asinh),
    "arctan": Form(lambda x: np.arctan2(x, 1.0), "arctan"),
    # exponential branches
    "elu": Form("x if x > 0 else exp(x)-1", "elu"),
    "elu, numpy": Form(lambda x: np.where(x > 0, x, np.exp(x) - 1), "elu"),
    "elu, maximum and minimum": Form(
        lambda x: np.maximum(x, 0) + np.minimum(np.exp(x) - 1, 0), "elu"
    ),
    "elu, expm1": Form(lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "elu"),
    "selu": Form(
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
        "selu",
    ),
    "celu": Form("max(x,0)+min(0,2*(exp(x/2)-1))", "celu(2)"),
    # straight lines
    "relu, where": Form(lambda x: np.where(x > 0, x, 0), "relu"),
    "relu, product": Form(lambda x: x * (x > 0), "relu"),
    "relu, absolute value": Form("(x+abs(x))/2", "relu"),
    "relu, root of a square": Form("(x+sqrt(x*x))/2", "relu"),
    "leaky_relu": Form("where(x>0,x,0.1*x)", "leaky_relu(0.1)"),
    "leaky_relu, maximum": Form(lambda x: np.maximum(0.1 * x, x), "leaky_relu(0.1)"),
    "relu6": Form(lambda x: np.minimum(np.maximum(x, 0), 6), "relu6"),
    "hardtanh": Form("clip(x,-1,1)", "hardtanh"),
    "hardtanh, absolute values": Form("(abs(x+1)-abs(x-1))/2", "hardtanh"),
    "hardswish": Form(lambda x: x * np.clip(x + 3, 0, 6) / 6, "hardswish"),
    "hardsigmoid": Form("clip(x/6+0.5,0,1)", "hardsigmoid"),
    "softshrink": Form(lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), "softshrink"),
    "squared_relu": Form(lambda x: np.maximum(x, 0) ** 2, "squared_relu"),
    # waves and bells
    "sin": Form(lambda x: np.sin(x), "sin"),
    "sin, cosine": Form("cos(x-pi/2)", "sin"),
    "cos": Form("1-2*sin(x/2)**2", "cos"),
    "gaussian": Form("1/exp(x**2)", "gaussian"),
}

EXACT = {
    "snake": Form("x+sin(x)**2", None, lambda x: x + mp.sin(x) ** 2),
    "bent identity": Form("(sqrt(x**2+1)-1)/2+x", None, lambda x: (mp.sqrt(x * x + 1) - 1) / 2 + x),
    "lisht": Form("x*tanh(x)", None, lambda x: x * mp.tanh(x)),
    "sech squared": Form("1-tanh(x)**2", None, lambda x: 1 / mp.cosh(x) ** 2),
    "one minus cosine": Form("1-cos(x)", None, lambda x: 2 * mp.sin(x / 2) ** 2),
    "logarithm of cosh": Form(
        "log(cosh(x))", None, lambda x: abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2)
    ),
    "squareplus": Form("(x+sqrt(x**2+4))/2", None, lambda x: (x + mp.sqrt(x * x + 4)) / 2),
    "sinc": Form(lambda x: np.sinc(x), None, mp.sincpi),
    "sine over x": Form(lambda x: np.sin(x) / x, None, mp.sinc),
    "bose": Form("x/(exp(x)-1)", None, lambda x: x / mp.expm1(x) if x else mpf(1)),
    "cardioid gate": Form("x*(1+cos(x))/2", None, lambda x: x * (1 + mp.cos(x)) / 2),
    "inverse square root": Form("x/sqrt(1+x**2)", None, lambda x: x / mp.sqrt(1 + x * x)),
    "islru": Form(
        lambda x: np.where(x >= 0, x, x / np.sqrt(1 + x**2)),
        None,
        lambda x: x if x >= 0 else x / mp.sqrt(1 + x * x),
        (0.0,),
    ),
    "jump and bend": Form(
        lambda x: np.where(x < 0.3, np.exp(x), 2 + np.sin(x)),
        None,
        lambda x: mp.exp(x) if x < mpf(0.3) else 2 + mp.sin(x),
        (0.3,),
    ),
    "two powers": Form(
        lambda x: np.where(x < 0, 1 + np.tanh(3 * x) + x**2, 1 - 0.5 * x),
        None,
        lambda x: 1 + mp.tanh(3 * x) + x * x if x < 0 else 1 - x / 2,
        (0.0,),
    ),
}
