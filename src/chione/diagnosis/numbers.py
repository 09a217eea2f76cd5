"""Numbers as a person reads them: as many digits as are known, factors as factors."""

from __future__ import annotations

import math

from chione.base import Estimate, Status

# What stands in a table where a number would, for each status without one.
_WORDS = {
    Status.DIVERGENT: "diverges",
    Status.INFINITE: "infinite",
    Status.NONE: "none",
    Status.CONTINUUM: "any",
    Status.CRITICAL: "infinite",
    Status.UNDEFINED: "undefined",
    Status.NOT_COMPUTED: "not computed",
    Status.INSTANT: "0",
    Status.OVERFLOW: "beyond float64",
    Status.RESOLUTION: "not resolved",
}


def status_of(estimate: Estimate) -> Status:
    """The status of a scalar estimate."""
    return Status(int(estimate.status))


def value_text(estimate: Estimate, digits: int = 10) -> str:
    """The value with the digits that its error leaves, or the word that says why there is none."""
    value, error = float(estimate.value), float(estimate.error)
    if not math.isfinite(value):
        return _WORDS.get(status_of(estimate), "none")
    if value == 0.0:
        return "0"
    if math.isinf(error):
        return _WORDS[Status.RESOLUTION]
    if error > 0.0:
        known = math.floor(math.log10(abs(value))) - math.floor(math.log10(error))
        digits = min(digits, max(known, 1))
    text = f"{value:.{digits}g}"
    return text if abs(value) < 1e6 else f"{value:.{max(digits - 1, 0)}e}"


def error_text(estimate: Estimate) -> str:
    """The error to one digit; empty where there is no value."""
    value, error = float(estimate.value), float(estimate.error)
    if not (math.isfinite(value) and math.isfinite(error)):
        return ""
    return f"{error:.0e}" if error else "exact"


def measured_text(mean: float, stderr: float) -> str:
    """A mean with its standard error to two digits, both to the same place."""
    if not math.isfinite(mean):
        return ""
    if not stderr > 1e-12 * abs(mean):  # one network, or networks that all agree
        return f"{mean:.4g}"
    power = math.floor(math.log10(max(abs(mean), stderr)))
    if -3 <= power < 5:
        return _plus_minus(mean, stderr)
    return f"({_plus_minus(mean / 10.0**power, stderr / 10.0**power)})e{power:+d}"


def _plus_minus(mean: float, stderr: float) -> str:
    places = max(0, 1 - math.floor(math.log10(stderr)))
    return f"{mean:.{places}f} +- {stderr:.{places}f}"


def factor_text(factor: float) -> str:
    """A factor as people say it: ``1.09x``, ``74x``, ``2.9e-04x``."""
    if factor == 0.0 or not math.isfinite(factor):
        return f"{factor:g}x"
    if 0.8 < factor < 1.25:  # what matters is the distance from 1: one digit of it, or two places
        distance = abs(factor - 1.0)
        places = 2 if distance < 5e-10 else max(2, -math.floor(math.log10(distance)))
        return f"{factor:.{places}f}x"
    if 0.01 <= factor < 100.0:
        digits = 3 if 1.0 < factor < 10.0 else 2
        places = max(0, digits - 1 - math.floor(math.log10(factor)))
        return f"{factor:.{places}f}x"
    if 100.0 <= factor < 1e4:
        return f"{factor:.0f}x"
    return f"{factor:.1e}x"


def power_text(log10_factor: float) -> str:
    """A factor given by its decimal logarithm, also where float64 could not hold it."""
    if math.isnan(log10_factor):
        return "unknown"
    if abs(log10_factor) < 300.0:
        return factor_text(10.0**log10_factor)
    if math.isinf(log10_factor):
        return "infinite" if log10_factor > 0 else "0x"
    return f"1e{log10_factor:+.0f}x"
