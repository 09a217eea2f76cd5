"""Which activations have a page: the catalogue, PyTorch's others, and some of the field."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chione.activations import AbstractActivation, activation, catalogue


@dataclass(frozen=True)
class Entry:
    """An activation of the atlas.

    Parameters
    ----------
    slug : str
        Name of the page.
    spec : str
        What :func:`chione.activation` takes: a name, or a formula in x.
    title : str
        What people call it.
    source : str
        Where it was introduced; that of the catalogue by default.
    torch, jax, keras : str
        How the three frameworks write it, as an expression; empty where they have none.
    note : str
        What has to be said beside the numbers.
    leaves_out : str
        Usual scheme that is not followed: its lengths diverge, where each costs a second.
    """

    slug: str
    spec: str
    title: str
    source: str = ""
    torch: str = ""
    jax: str = ""
    keras: str = ""
    note: str = ""
    leaves_out: str = ""

    @property
    def activation(self) -> AbstractActivation:
        """The activation itself."""
        return activation(self.spec)

    @property
    def is_formula(self) -> bool:
        """Whether it is written as a formula and has no name of its own in the catalogue."""
        return self.slug not in catalogue()


# Expressions of the frameworks for names of the catalogue: torch.nn, jax.nn or jax.numpy, Keras.
_FRAMEWORKS = {
    "linear": ("torch.nn.Identity()", "jax.nn.identity", 'keras.activations.get("linear")'),
    "relu": ("torch.nn.ReLU()", "jax.nn.relu", 'keras.activations.get("relu")'),
    "leaky_relu": (
        "torch.nn.LeakyReLU()",
        "jax.nn.leaky_relu",
        "keras.layers.LeakyReLU(negative_slope=0.01)",
    ),
    "prelu": ("torch.nn.PReLU()", "", ""),
    "abs": ("torch.abs", "jax.numpy.abs", ""),
    "relu6": ("torch.nn.ReLU6()", "jax.nn.relu6", 'keras.activations.get("relu6")'),
    "hardtanh": ("torch.nn.Hardtanh()", "jax.nn.hard_tanh", 'keras.activations.get("hard_tanh")'),
    "tanh": ("torch.nn.Tanh()", "jax.nn.tanh", 'keras.activations.get("tanh")'),
    "erf": ("torch.erf", "jax.scipy.special.erf", ""),
    "sigmoid": ("torch.nn.Sigmoid()", "jax.nn.sigmoid", 'keras.activations.get("sigmoid")'),
    "hardsigmoid": (
        "torch.nn.Hardsigmoid()",
        "jax.nn.hard_sigmoid",
        'keras.activations.get("hard_sigmoid")',
    ),
    "softplus": ("torch.nn.Softplus()", "jax.nn.softplus", 'keras.activations.get("softplus")'),
    "gelu": (
        "torch.nn.GELU()",
        "functools.partial(jax.nn.gelu, approximate=False)",
        'keras.activations.get("gelu")',
    ),
    "gelu_tanh": ('torch.nn.GELU(approximate="tanh")', "jax.nn.gelu", ""),
    "silu": ("torch.nn.SiLU()", "jax.nn.silu", 'keras.activations.get("silu")'),
    "hardswish": (
        "torch.nn.Hardswish()",
        "jax.nn.hard_swish",
        'keras.activations.get("hard_silu")',
    ),
    "mish": ("torch.nn.Mish()", "jax.nn.mish", 'keras.activations.get("mish")'),
    "selu": ("torch.nn.SELU()", "jax.nn.selu", 'keras.activations.get("selu")'),
    "elu": ("torch.nn.ELU()", "jax.nn.elu", 'keras.activations.get("elu")'),
    "celu": ("torch.nn.CELU()", "jax.nn.celu", 'keras.activations.get("celu")'),
    "softsign": ("torch.nn.Softsign()", "jax.nn.soft_sign", 'keras.activations.get("softsign")'),
    "arctan": ("torch.atan", "jax.numpy.arctan", ""),
    "arcsinh": ("torch.asinh", "jax.numpy.arcsinh", ""),
    "sin": ("torch.sin", "jax.numpy.sin", ""),
    "cos": ("torch.cos", "jax.numpy.cos", ""),
    "exp": ("torch.exp", "jax.numpy.exp", 'keras.activations.get("exponential")'),
    "quadratic": ("torch.square", "jax.numpy.square", ""),
    "sign": ("torch.sign", "jax.numpy.sign", ""),
    "softshrink": ("torch.nn.Softshrink()", "", 'keras.activations.get("soft_shrink")'),
    "hardshrink": ("torch.nn.Hardshrink()", "", 'keras.activations.get("hard_shrink")'),
    "tanhshrink": ("torch.nn.Tanhshrink()", "", 'keras.activations.get("tanh_shrink")'),
    "logsigmoid": (
        "torch.nn.LogSigmoid()",
        "jax.nn.log_sigmoid",
        'keras.activations.get("log_sigmoid")',
    ),
}


_TITLES = {"linear": "linear (no activation)", "step": "step (Heaviside)", "silu": "silu (swish)"}

_NOTES = {
    "leaky_relu": (
        "PyTorch and JAX draw the negative side with slope 0.01. Keras's default is another one, "
        "0.2 as a function and 0.3 as a layer: hand the slope in."
    ),
    "gelu": (
        "`jax.nn.gelu` is the [tanh approximation](gelu_tanh.md) unless it is told "
        "`approximate=False`; PyTorch's and Keras's defaults are the exact one."
    ),
    "siren": (
        "Its authors draw weights uniformly within sqrt(6 / fan-in) / w0, that is sigma_w = "
        f"sqrt(2) / w0 = {math.sqrt(2.0) / 30.0:.6g}: on the critical line at every length that is "
        "not small."
    ),
    "prelu": "The slope is learned. This is what it is at initialisation, 0.25.",
    "hardsigmoid": (
        "Keras before version 3 had `clip(0.2*x + 0.5, 0, 1)` under this name: other numbers."
    ),
}

_PYTORCH = (
    Entry(
        "rrelu",
        "leaky_relu(0.22916666666666666)",
        "rrelu (random slope)",
        "Xu, Wang, Chen, Li (2015)",
        torch="torch.nn.RReLU().eval()",
        note="{rrelu}",
    ),
    Entry(
        "threshold",
        "where(x > 0.1, x, 0)",
        "threshold (0.1, 0)",
        "PyTorch's `Threshold(threshold, value)`",
        torch="torch.nn.Threshold(0.1, 0.0)",
        note=(
            "`torch.nn.Threshold` has two parameters and no defaults; this page is of "
            "`Threshold(0.1, 0.0)`. Only with `value = threshold` there is no jump; then it is "
            "`max(x, value)`, which [shifted_relu](shifted_relu.md) has for a value below zero."
        ),
    ),
)

_FIELD = (
    Entry(
        "snake",
        "x + sin(x)^2",
        "snake",
        "Ziyin, Hartwig, Ueda (2020)",
        note="With He's sigma_w lengths diverge; that row is left out, since following a formula "
        "that turns so often at such lengths takes long.",
        leaves_out="he",
    ),
    Entry(
        "starrelu",
        "0.8944*max(x, 0)^2 - 0.4472",
        "StarReLU",
        "Yu et al. (2022), MetaFormer baselines for vision",
        note=(
            "Scale and offset are learned. They start where the mean is 0 and the mean square "
            "nearly 1 at length 1, which is not enough: see the slope of the length map."
        ),
    ),
    Entry(
        "tanhexp",
        "x*tanh(exp(x))",
        "TanhExp, TeLU",
        "Liu, Di (2020); Fernandez, Mali (2024)",
    ),
    Entry("serf", "x*erf(softplus(x))", "serf", "Nag, Bhattacharyya (2021)"),
    Entry("logish", "x*log(1 + sigmoid(x))", "logish", "Zhu et al. (2021)"),
    Entry("smish", "x*tanh(log(1 + sigmoid(x)))", "smish", "Wang, Ren, Wang (2022)"),
    Entry("phish", "x*tanh(gelu(x))", "phish", "Naveen (2022)"),
    Entry("elish", "sigmoid(x)*where(x > 0, x, expm1(x))", "ELiSH", "Basirat, Roth (2018)"),
    Entry("bent_identity", "(sqrt(x^2 + 1) - 1)/2 + x", "bent identity"),
    Entry(
        "squareplus",
        "(x + sqrt(x^2 + 4))/2",
        "squareplus",
        "Barron (2021)",
        jax="jax.nn.squareplus",
        keras='keras.activations.get("squareplus")',
    ),
    Entry("isru", "x/sqrt(1 + x^2)", "ISRU", "Carlile et al. (2017)"),
    Entry("isrlu", "where(x > 0, x, x/sqrt(1 + x^2))", "ISRLU", "Carlile et al. (2017)"),
    Entry(
        "lecun_tanh",
        "1.7159*tanh(2*x/3)",
        "LeCun's tanh",
        "LeCun, Bottou, Orr, Müller (1998), Efficient BackProp",
    ),
    Entry(
        "lisht",
        "x*tanh(x)",
        "LiSHT",
        "Roy et al. (2019)",
        note="With He's sigma_w lengths double with each layer; that row is left out, since "
        "following a formula without closed forms at such lengths takes long.",
        leaves_out="he",
    ),
    Entry("gcu", "x*cos(x)", "growing cosine unit", "Noel et al. (2021)"),
    Entry("sinc", "sinc(x/pi)", "sinc, sin(x)/x", "Saratchandran et al. (2024)"),
    Entry("ricker", "(1 - x^2)*exp(-x^2/2)", "Ricker wavelet (Mexican hat)"),
    Entry("symlog", "sign(x)*log1p(abs(x))", "symlog", "Hafner et al. (2023)"),
    Entry("normal_cdf", "ndtr(x)", "normal distribution function"),
)


def entries() -> tuple[Entry, ...]:
    """Every activation with a page, those of the catalogue first."""
    own = []
    for name, phi in catalogue().items():
        torch, jax, keras = _FRAMEWORKS.get(name, ("", "", ""))
        own.append(
            Entry(
                name,
                name,
                _TITLES.get(name, name),
                phi.source,
                torch,
                jax,
                keras,
                _NOTES.get(name, ""),
            )
        )
    return (*own, *_PYTORCH, *_FIELD)
