"""Hold every tensor against the law that was declared for it, with one level for all lines."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special, stats

from chione.torch.audits import goodness, structured
from chione.torch.audits.entries import Entry
from chione.torch.audits.expression import Declared
from chione.torch.audits.law import Measured
from chione.torch.audits.summary import Summary, summarize

_ROUNDING = 4.0  # units in the last place by which an end of a range may be missed


@dataclass(frozen=True)
class Fit:
    """How a tensor fits a declared law.

    Parameters
    ----------
    p : float
        Chance of a draw as far from the law, corrected for the tests made on this tensor; 0 or 1
        where the law is exact.
    expected : str
        The law with its numbers.
    std : float
        Standard deviation that it says.
    why : str
        What is furthest off, where something is.
    """

    p: float
    expected: str
    std: float
    why: str = ""


def match(name: str, patterns: list[str]) -> str | None:
    """The most specific pattern that fits a name: an equal one, else that with the most letters.

    ``*`` stands for any text, dots included, ``?`` for one letter. Of equally long patterns the
    later one counts.
    """
    fitting = [p for p in patterns if p == name or fnmatch.fnmatchcase(name, p)]
    if not fitting:
        return None

    def specific(item: tuple[int, str]) -> tuple[bool, int, int]:
        at, pattern = item
        return pattern == name, sum(c not in "*?[]" for c in pattern), at

    return max(enumerate(fitting), key=specific)[1]


def fit(entry: Entry, found: Measured, law: Declared, others: Mapping[str, Entry]) -> Fit:
    """How the tensor of an entry fits a law; zero rows of an embedding are left out."""
    if law.law == "any":
        return Fit(1.0, "any", math.nan)
    if law.law == "same_as":
        return _same(entry, law.same_as, others)
    if found.kind == "garbage":
        return Fit(0.0, law.law, math.nan, found.words)
    exact = _exact(entry, found, law)
    if exact is not None:
        return exact
    if found.kind == "orthogonal":  # though its entries look normal
        return Fit(0.0, law.law, math.nan, "orthogonal")
    name, a = _resolved(entry, law)
    summary = found.summary
    if found.zero_rows and entry.role == "embedding":
        kept = np.setdiff1d(np.arange(summary.shape[0]), found.zero_rows)
        summary = summarize(entry.tensor[torch.from_numpy(kept).to(entry.tensor.device)])
    return {"normal": _normal, "trunc_normal": _truncated, "uniform": _uniform}[name](summary, a)


def _same(entry: Entry, name: str, others: Mapping[str, Entry]) -> Fit:
    other = others.get(name)
    expected = f"same as {name}"
    if other is None:
        return Fit(0.0, expected, math.nan, f"there is no tensor {name!r}")
    same = other.tensor is entry.tensor or (
        other.tensor.shape == entry.tensor.shape and bool(torch.equal(other.tensor, entry.tensor))
    )
    return Fit(float(same), expected, math.nan, "" if same else "the values differ")


def _exact(entry: Entry, found: Measured, law: Declared) -> Fit | None:
    """Laws that chance has no part in."""
    s, name = found.summary, law.law
    if name in ("zeros", "ones", "constant"):
        value = {"zeros": 0.0, "ones": 1.0}.get(name, law.arguments.get("value", 0.0))
        near = 2.0 ** (1 - s.bits) * abs(value)
        good = s.n == 0 or (abs(s.low - value) <= near and abs(s.high - value) <= near)
        return Fit(float(good), name if name != "constant" else f"constant({value:.4g})", 0.0,
                   "" if good else f"values from {s.low:.3g} to {s.high:.3g}")  # fmt: skip
    if name in ("identity", "dirac"):
        good = found.kind == name and abs(found.value - 1.0) < 1e-6
        return Fit(float(good), name, math.nan, "" if good else f"found {found.words}")
    if name == "orthogonal":
        gain = law.arguments["gain"]
        gains = [structured.orthogonal_gain(entry.tensor, s, b) for b in (1, 3, 4, 2)]
        near = max(2e-3, 8.0 * 2.0**-s.bits)
        good = any(g is not None and abs(g - gain) <= near * abs(gain) for g in gains)
        rows = max(s.shape[0], s.n // max(s.shape[0], 1)) if s.shape else 1
        return Fit(float(good), f"orthogonal({gain:.4g})", gain / math.sqrt(rows),
                   "" if good else f"found {found.words}")  # fmt: skip
    return None


def _resolved(entry: Entry, law: Declared) -> tuple[str, dict[str, float]]:
    """Xavier, Kaiming and LeCun as a normal or a uniform law for these fans."""
    a = dict(law.arguments)
    fan_in, fan_out = max(entry.fan_in, 1.0), max(entry.fan_out, 1.0)
    if law.law in ("normal", "trunc_normal", "uniform"):
        return law.law, a
    if law.law == "lecun_normal":
        return "normal", {"mean": 0.0, "std": fan_in**-0.5}
    if law.law.startswith("xavier"):
        std = a["gain"] * math.sqrt(2.0 / (fan_in + fan_out))
    else:
        gain = math.sqrt(2.0 / (1.0 + a["a"] ** 2)) if math.isnan(a["gain"]) else a["gain"]
        fan = (fan_in, fan_out, 0.5 * (fan_in + fan_out))[int(a["mode"])]
        std = gain / math.sqrt(fan)
    if law.law.endswith("normal"):
        return "normal", {"mean": 0.0, "std": std}
    return "uniform", {"a": -math.sqrt(3.0) * std, "b": math.sqrt(3.0) * std}


# ---- the tests -------------------------------------------------------------------------------


def _least(parts: dict[str, float], expected: str, std: float) -> Fit:
    """The smallest of several p-values, corrected for their number, and its name."""
    why = min(parts, key=lambda k: parts[k])
    p = min(1.0, len(parts) * parts[why])
    return Fit(p, expected, std, why if p < 0.05 else "")


def _normal(s: Summary, a: Mapping[str, float]) -> Fit:
    r"""Mean, variance (both exact), shape and extremes of N(mean, std^2)."""
    mean, std = a["mean"], abs(a["std"])
    expected = f"normal({mean:.4g}, {std:.4g})"
    if std == 0.0 or s.n < 2:
        good = s.n == 0 or (s.low == s.high == mean) or (s.n == 1 and std > 0.0)
        return Fit(float(good), expected, std)
    parts = {
        "mean": _two_sided(math.sqrt(s.n) * (s.mean - mean) / std),
        "std": _variance_p(s, std),
        "shape": goodness.kolmogorov_p(special.ndtr((s.entries - mean) / std)),
    }
    z = max(s.high - mean, mean - s.low) / std
    parts["tail cut"] = goodness.largest_too_small_p(z, s.n)
    parts["outliers"] = -math.expm1(s.n * math.log1p(-min(2.0 * special.ndtr(-z), 1.0 - 1e-16)))
    if s.n >= 50:
        parts["normality"] = goodness.anderson_darling_p(s.entries)
    return _least(parts, expected, std)


def _variance_p(s: Summary, std: float) -> float:
    """Chi-square test of the variance, two-sided."""
    ratio = (s.std / std) ** 2 * s.n
    lower = float(special.chdtr(s.n - 1, min(ratio, 1e300)))
    return min(1.0, 2.0 * min(lower, float(special.chdtrc(s.n - 1, min(ratio, 1e300)))))


def _uniform(s: Summary, a: Mapping[str, float]) -> Fit:
    low, high = min(a["a"], a["b"]), max(a["a"], a["b"])
    std = (high - low) / math.sqrt(12.0)
    expected = f"uniform({low:.4g}, {high:.4g})"
    if high <= low or s.n < 1:
        return Fit(float(s.low == s.high == low), expected, std)
    if _outside(s, low, high):
        return Fit(0.0, expected, std, f"values from {s.low:.4g} to {s.high:.4g}")
    span = min(1.0, (s.high - s.low) / (high - low))
    parts = {
        # the range of n uniform numbers follows Beta(n - 1, 2)
        "range": float(stats.beta.cdf(span, s.n - 1, 2)) if s.n > 1 else 1.0,
        "shape": goodness.kolmogorov_p(np.clip((s.entries - low) / (high - low), 0.0, 1.0)),
        "mean": _two_sided(math.sqrt(s.n) * (s.mean - 0.5 * (low + high)) / std),
    }
    if s.n >= 30:
        # of a uniform law Var s^2 = (9/5 - 1) std^4 / n
        parts["std"] = _two_sided(((s.std / std) ** 2 - 1.0) * math.sqrt(s.n / 0.8))
    return _least(parts, expected, std)


def _truncated(s: Summary, a: Mapping[str, float]) -> Fit:
    mean, sigma = a["mean"], abs(a["std"])
    low, high = min(a["a"], a["b"]), max(a["a"], a["b"])
    expected = f"trunc_normal({mean:.4g}, {sigma:.4g}, {low:.4g}, {high:.4g})"
    if sigma == 0.0 or s.n < 2 or high <= low:
        return Fit(float(s.low == s.high), expected, sigma)
    law = stats.truncnorm((low - mean) / sigma, (high - mean) / sigma, loc=mean, scale=sigma)
    m, v, k = (float(x) for x in law.stats(moments="mvk"))
    std = math.sqrt(v)
    if _outside(s, low, high):
        return Fit(0.0, expected, std, f"values from {s.low:.4g} to {s.high:.4g}")
    z_low, z_high = (low - mean) / sigma, (high - mean) / sigma
    inside = special.ndtr(z_high) - special.ndtr(z_low)
    u = (special.ndtr((s.entries - mean) / sigma) - special.ndtr(z_low)) / inside
    edge = min(s.high - mean, mean - s.low) / sigma
    parts = {
        "mean": _two_sided(math.sqrt(s.n) * (s.mean - m) / std),
        "shape": goodness.kolmogorov_p(np.clip(u, 0.0, 1.0)),
        "tail cut": _reaches_p(edge, s.n, min(-z_low, z_high), inside),
    }
    if s.n >= 30:
        parts["std"] = _two_sided(((s.std / std) ** 2 - 1.0) * math.sqrt(s.n / (k + 2.0)))
    return _least(parts, expected, std)


def _reaches_p(edge: float, n: int, cut: float, inside: float) -> float:
    """Chance that one side of n cut normal numbers stays within `edge`."""
    beyond = max(special.ndtr(-edge) - special.ndtr(-cut), 0.0) / inside
    return min(1.0, 2.0 * math.exp(n * math.log1p(-min(beyond, 1.0 - 1e-16))))


def _outside(s: Summary, low: float, high: float) -> bool:
    slack = _ROUNDING * 2.0**-s.bits
    return s.low < low - slack * abs(low) or s.high > high + slack * abs(high)


def _two_sided(z: float) -> float:
    return float(2.0 * special.ndtr(-abs(z)))


def holm(p: list[float]) -> list[float]:
    """p-values corrected for their number by Holm's steps, so that one level holds for all."""
    order = np.argsort(p, kind="stable")
    out, worst = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[int(i)]))
        out[int(i)] = worst
    return out
