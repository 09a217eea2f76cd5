"""Gaussian expectations of a formula as a page of the atlas writes it, without the library.

The text is evaluated by Python on NumPy arrays, and integrated by Gauss-Legendre on panels that are
split at the kinks which the page names.
"""

import ast
import math
import re

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy import special

FUNCTIONS = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "arctan": np.arctan, "arcsinh": np.arcsinh,
    "erf": special.erf, "ndtr": special.ndtr, "abs": np.abs, "sign": np.sign, "where": np.where,
    "max": np.maximum, "sinc": np.sinc, "clip": np.clip, "pi": math.pi,
    "sigmoid": special.expit, "softplus": lambda x: np.logaddexp(0.0, x),
    "gelu": lambda x: x * special.ndtr(x),
}  # fmt: skip
# The page rounds SELU's constants; these are those of the paper's code.
SELU = {"1.0507": "1.0507009873554805", "1.67326": "1.6732632423543772"}


class _Choices(ast.NodeTransformer):
    """``a if b else c`` becomes ``where(b, a, c)``."""

    def visit_IfExp(self, node):
        self.generic_visit(node)
        chosen = ast.Call(ast.Name("where", ast.Load()), [node.test, node.body, node.orelse], [])
        return ast.copy_location(chosen, node)


def formula(text, parameters=None):
    """The function of a formula such as ``x if x > 0 else a*expm1(x)``."""
    text = text.replace("^", "**")
    for short, full in SELU.items():
        text = re.sub(rf"(?<![\d.]){re.escape(short)}(?!\d)", full, text)
    tree = ast.fix_missing_locations(_Choices().visit(ast.parse(text, mode="eval")))
    code = compile(tree, "formula", "eval")

    def value(x):
        x = np.asarray(x, float)
        with np.errstate(over="ignore", invalid="ignore"):
            names = {**FUNCTIONS, **(parameters or {}), "x": x}
            return np.asarray(eval(code, {"__builtins__": {}}, names), float) + 0.0 * x

    return value


def nodes(kinks, q, reach=14.0, panels=320, order=12):
    """Nodes and weights of N(0, q), panels split at the kinks."""
    end = reach * math.sqrt(q)
    edges = np.unique(np.concatenate([np.linspace(-end, end, panels + 1),
                                      [k for k in kinks if abs(k) < end]]))  # fmt: skip
    t, w = leggauss(order)
    half = np.diff(edges)[:, None] / 2.0
    x = (edges[:-1, None] + half + half * t).ravel()
    weight = (half * w).ravel() * np.exp(-x * x / (2.0 * q)) / math.sqrt(2.0 * math.pi * q)
    return x, weight


def slope(f, x, kinks, step=2e-4):
    """Sixth-order central difference; the step is shorter next to a kink."""
    near = np.min([np.abs(x - k) for k in kinks], axis=0) if len(kinks) else np.full(x.shape, 1.0)
    h = np.minimum(step, 0.3 * near)
    parts = ((45.0, 1), (-9.0, 2), (1.0, 3))
    return sum(a * (f(x + n * h) - f(x - n * h)) for a, n in parts) / (60.0 * h)


def moments(f, kinks, q=1.0):
    """E phi, E phi^2, E phi^4, E phi'^2, d/dq E phi^2 at N(0, q)."""
    x, w = nodes(kinks, q)
    y, d = f(x), slope(f, x, kinks)
    return {
        "mean": w @ y,
        "square": w @ y**2,
        "fourth": w @ y**4,
        "slope": w @ d**2,
        "slope_fourth": w @ d**4,
        "length": (w * (x * x / q - 1.0)) @ y**2 / (2.0 * q),
    }


def kernel_half(f, kinks):
    """E phi(z1) phi(z2) at correlation 1/2: kinks lie along the axes, so a product rule does."""
    x, w = nodes(kinks, 1.0, panels=90, order=8)
    c, y = 0.5, f(x)
    # the density beside the product of the two normals
    a, b = x[:, None], x[None, :]
    ratio = np.exp((2 * c * a * b - c * c * (a * a + b * b)) / (2 * (1 - c * c)))
    return (w * y) @ (ratio / math.sqrt(1 - c * c)) @ (w * y)
