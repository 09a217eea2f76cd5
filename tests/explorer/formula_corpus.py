"""Formulas for the two readers: valid ones drawn from the grammar, and hostile ones."""

from __future__ import annotations

import random

ONE = [
    "relu",
    "tanh",
    "erf",
    "gelu",
    "silu",
    "sigmoid",
    "softplus",
    "mish",
    "elu",
    "selu",
    "sin",
    "cos",
    "exp",
    "abs",
    "sqrt",
    "log",
    "log1p",
    "expm1",
    "exp2",
    "log2",
    "log10",
    "cbrt",
    "square",
    "tan",
    "arcsin",
    "arccos",
    "sinh",
    "cosh",
    "arccosh",
    "arctanh",
    "atan",
    "asinh",
    "floor",
    "ceil",
    "round",
    "erfc",
    "ndtr",
    "sinc",
    "arctan",
    "arcsinh",
    "softsign",
    "hardtanh",
    "relu6",
    "leaky_relu",
    "prelu",
    "shifted_relu",
    "squared_relu",
    "erf_scaled",
    "hardsigmoid",
    "gelu_tanh",
    "quick_gelu",
    "hardswish",
    "celu",
    "siren",
    "gaussian",
    "quadratic",
    "cubic",
    "step",
    "sign",
    "softshrink",
    "hardshrink",
    "tanhshrink",
    "logsigmoid",
    "linear",
    "swish",
]
TWO = ["max", "min", "maximum", "minimum", "hypot", "arctan2", "logaddexp"]


def _number(rng: random.Random) -> str:
    return rng.choice(
        ["0", "1", "2", "3", "0.5", ".25", "7.", "1e-3", "2.5e+1", "1_0", "0x1F", "pi", "e", "-2"]
        + [repr(round(rng.uniform(-3, 3), 3)) for _ in range(6)]
    )


def _formula(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return "x" if rng.random() < 0.6 else _number(rng)
    a, b, c = (_formula(rng, rng.randrange(depth)) for _ in range(3))
    kind = rng.randrange(10)
    if kind < 3:
        return f"{rng.choice(ONE)}({a})"
    if kind == 3:
        return f"{rng.choice(TWO)}({a}, {b})"
    if kind == 4:
        return f"clip({a}, {_number(rng)},\n {_number(rng)})"
    if kind == 5:
        test = f"{a} {rng.choice(['<', '<=', '>', '>='])} {b}"
        if rng.random() < 0.3:
            test += f" {rng.choice(['<', '>='])} {c}"
        inner = rng.choice([f"({test})", f"({b} if {test} else {c})", f"where({test}, {a}, {c})"])
        return inner
    if kind == 6:
        return f"{rng.choice(['-', '+', '--', '-+'])}{_formula(rng, depth - 1)}"
    if kind == 7:
        return f"({a}){rng.choice(['**', '^', ' ** -', '%'])}{rng.choice(['2', '3', '0.5', '1.5'])}"
    operator = rng.choice(["+", "-", "*", "/", " * ", "%", "**"])
    left, right = (f"({s})" if rng.random() < 0.7 else s for s in (a, b))
    return f"{left}{operator}{right}"


def valid_formulas(count: int, seed: int) -> list[str]:
    """Random formulas that hold x, from short to long."""
    rng = random.Random(seed)
    out: list[str] = []
    while len(out) < count:
        text = _formula(rng, rng.randint(1, 5))
        if "x" in text.replace("0x", "").replace("exp", "").replace("max", "") and len(text) < 300:
            out.append(text)
    return out


HOSTILE = [
    *("", " ", "()", "x(", ")x(", "((x)", "x)", "x x", "2x", "x 2", "x2", "2if x", "x,", "x,x"),
    *("x;x", "x=1", "x:=1", "(x:=1)", "lambda x: x", "lambda: x", "def f(x): x", "import os"),
    *("__import__('os')", "eval('x')", "Function('x')", "window", "document.title", "this", "x.y"),
    *("x.__class__", "x[0]", "[x]", "[x for x in x]", "{x}", "{x: x}", "{}", "(x, x)", "(x,)"),
    *("*x", "**x", "f(*x)", "tanh(*x)", "tanh(**x)", "tanh(x=x)", "tanh(x, y)", "tanh()", "tanh"),
    *("tanh(x)(x)", "(tanh)(x)(x)", "tanh tanh x", "tanh(x x)", "max(x)", "max(x, x, x)", "max()"),
    *("clip(x)", "clip(x, 0)", "where(x)", "where(x > 0, x)", "if(x)", "x if x", "x else x"),
    *("if x else x", "x if else x", "x if x else", "x and x", "x or 1", "not x", "x not in x"),
    *("x in x", "x is x", "x is not x", "x == x", "x != 0", "x <> 0", "x === x", "x << 1"),
    *("x >> 1", "x & 1", "x | 1", "x // 2", "x @ x", "~x", "!x", "x!", "x ? 1 : 0", "x++", "++x+"),
    *("x--", "x+", "+", "-", "*", "x*", "*x*", "x***x", "x//", "x<", "<x", "x<<", "x%", "%x"),
    *("1j*x", "x + 2J", "None", "True", "x*True", "x if True else x", "False + x", "...", "x..."),
    *("'x'", '"x"', "x'", "f'{x}'", "b'x'", "`x`", "x$", "$x", "x#", "#x", "x # y\n + 1", "x\n+x"),
    *("x\\y", "\\x", "\x00", "x\x00", "x\u200b", "\u00d7x", "x\u00b2", "\u03c0*x", "y", "X", "xx"),
    *(
        "x_",
        "_x",
        "constructor(x)",
        "__proto__(x)",
        "toString(x)",
        "hasOwnProperty(x)",
        "valueOf(x)",
    ),
    *(
        "prototype",
        "constructor",
        "Math.sin(x)",
        "np.sin(x)",
        "self.x",
        "globalThis",
        "x.constructor",
    ),
    *("rel(x)", "tahn(x)", "sigmoid2(x)", "sine(x)", "ln(x)", "exp (x", "pi", "e", "3", "pi(x)"),
    *("e(x)", "3(x)", "x(3)", "(x)(3)", "x(x)", "1/0", "0/0", "2**3", "tanh(1)", "inf", "nan*x"),
    *(
        "0123*x",
        "1__0*x",
        "0x*x",
        "0b2*x",
        "1e*x",
        "1e+*x",
        "._5*x",
        "5_*x",
        "0x" + "f" * 280 + "*x",
    ),
    *(
        "yield x",
        "await x",
        "async x",
        "return x",
        "x; import os",
        "del x",
        "x if x > 0",
        "x\t\n\tx",
    ),
    *(
        "assert x",
        "print(x)",
        "open('x')",
        "exec(x)",
        "compile(x)",
        "x if (x",
        "max(x,,0)",
        "max(,x)",
    ),
    *("tanh(x),", "tanh(x);", ";", ",", ".", "..", "x .", ". x", "1.2.3*x", "x=x", "x += 1", "@x"),
    "(" * 26 + "x" + ")" * 26,
    "(" * 150 + "x" + ")" * 149,
    "-" * 299 + "x",
    "x" + "+x" * 60,
    "x" + "**x" * 60,
    "x" * 301,
    "tanh(" * 30 + "x" + ")" * 30,
    "+".join(["max(x,1)"] * 33),
    "x if x else " * 24 + "x",
    "[" * 200,
    "(" * 290,
    "<" * 290,
    "x<" * 140 + "x",
    "*".join(["sin(cos(x))"] * 24),
    "x" + "\n" * 20 + "y",
]
