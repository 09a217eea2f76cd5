r"""When a measured step is worth a word: bands about step 0, and about theory.

Logarithms are natural and of mean squares, as in :mod:`chione.theory.depth.trainability`. Gradients
are judged by their profile

.. math:: g_l = \log \frac{n_l G_l}{n_L G_L},

L the output, which neither a loss scale nor a falling loss changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chione.torch.monitoring.probe import OUTPUT
from chione.torch.monitoring.record import (
    ExpectedSignal,
    MonitoredStep,
    ParameterUpdate,
    Remark,
)

_WHILE = 20  # steps over which sizes of updates stay large or small before it is told
_THOUSAND = 2.0 * math.log(1e3)  # a factor 1000 in size, as logarithm of a mean square


@dataclass(frozen=True)
class MonitorBands:
    """The borders of what is said nothing about.

    Parameters
    ----------
    update : (float, float)
        Size of an update relative to its weight; outside ten times this band it is told.
    dead : float
        Share of the channels of a layer that may die after step 0.
    profile : float
        By how much the logarithm g may move from that of step 0, and how far it may be from 0 at
        step 0.
    signal : float
        By how much the logarithm of a mean square may grow.
    logits : float
        Root mean square of logits beyond which a softmax is saturated.
    entropy : float
        Relative entropy of attention below which it has collapsed, if it began at twice that.
    theory : float
        Factor between the measured mean square of a layer at step 0 and that of theory.
    """

    update: tuple[float, float] = (1e-4, 1e-2)
    dead: float = 0.5
    profile: float = _THOUSAND
    signal: float = _THOUSAND
    logits: float = 30.0
    entropy: float = 0.02
    theory: float = 10.0


def judge(
    now: MonitoredStep, before: Sequence[MonitoredStep], bands: MonitorBands
) -> Iterator[Remark]:
    """What a step gives to say, beside the first step and all before it."""
    broken = list(_not_finite(now))
    if broken:
        yield broken[0]
        return
    first = before[0] if before else now
    yield from _dead(now, first, bands)
    yield from _gradients(now, first, before, bands)
    yield from _signals(now, first, bands)
    yield from _updates(now, before, bands)
    yield from _attention(now, first, bands)


def off_theory(expected: Sequence[ExpectedSignal], bands: MonitorBands) -> Iterator[Remark]:
    """The first layer whose mean square is far from what theory expects of its weights."""
    for e in expected:
        if e.mean_square > 0.0 and e.measured > 0.0:
            factor = e.measured / e.mean_square
            if not 1.0 / bands.theory <= factor <= bands.theory:
                yield Remark(
                    0, "off theory", e.name,
                    f"the mean square of {e.name!r} is {factor:.2g} times what theory expects of "
                    "random weights of this size: they are not independent (copied, trained or "
                    "of low rank), or the layer is narrow.",
                )  # fmt: skip
                return


def _not_finite(now: MonitoredStep) -> Iterator[Remark]:
    for p in now.parameters:
        if not math.isfinite(p.weight):
            yield Remark(
                now.step, "not finite", p.name,
                f"the parameter {p.name!r} holds NaN or infinities before step {now.step}: an "
                "earlier step was too large. Go back to a checkpoint and use a smaller learning "
                "rate, or clip gradients.",
            )  # fmt: skip
    for x in now.layers:
        if not math.isfinite(x.mean_square):
            yield Remark(
                now.step, "not finite", x.name,
                f"{x.name!r} is the first to give NaN or infinities in step {now.step}, from "
                "finite parameters: look at the batch, at divisions and logarithms there, or at "
                "the range of its number format (chione.torch.precision).",
            )  # fmt: skip
    for p in now.parameters:
        if math.isinf(p.gradient):
            yield Remark(
                now.step, "not finite", p.name,
                f"the gradient of {p.name!r} is not finite in step {now.step}; clip it, or lower "
                "the loss scale.",
            )  # fmt: skip


def _dead(now: MonitoredStep, first: MonitoredStep, bands: MonitorBands) -> Iterator[Remark]:
    top = now.layer(OUTPUT)
    if top is None or not top.gradient > 0.0:
        return  # no gradient at all says nothing of units
    for x in now.layers:
        old = first.layer(x.name)
        start = 0.0 if old is None or math.isnan(old.dead) or now is first else old.dead
        if x.dead == 1.0 and now is first:
            continue  # a branch behind it begins at zero
        if x.dead - start > bands.dead and x.name != OUTPUT:
            grown = "" if now is first else f", up from {start:.0%}"
            yield Remark(
                now.step, "dead units", x.name,
                f"{x.dead:.0%} of the channels of {x.name!r} get no gradient from any input"
                f"{grown}: they no longer learn. Use a smaller learning rate, or an activation "
                "without a flat side.",
            )  # fmt: skip
            return


def _profile(step: MonitoredStep) -> Mapping[str, float]:
    top = step.layer(OUTPUT)
    if top is None or not top.gradient > 0.0:
        return {}
    end = math.log(top.gradient) + math.log(top.size)
    return {
        x.name: math.log(x.gradient) + math.log(x.size) - end
        if x.gradient > 0.0 else -math.inf
        for x in step.layers if not math.isnan(x.gradient) and x.name != OUTPUT
    }  # fmt: skip


def _gradients(
    now: MonitoredStep, first: MonitoredStep, before: Sequence[MonitoredStep], bands: MonitorBands
) -> Iterator[Remark]:
    profile, start = _profile(now), _profile(first)
    for name, g in profile.items():
        g0 = start.get(name, 0.0)
        moved = g if now is first or not math.isfinite(g0) else g - g0
        if abs(g) <= bands.profile or abs(moved) <= bands.profile / 2.0 or _blocked(start, name):
            continue
        word, way = ("vanishing", "small") if g < 0.0 else ("exploding", "large")
        size = "zero" if g == -math.inf else f"10^{g / 2.0 / math.log(10.0):.1f} times that"
        at_start = "" if now is first else f" (10^{g0 / 2.0 / math.log(10.0):.1f} at step 0)"
        yield Remark(
            now.step, f"{word} gradient", name,
            f"the gradient at {name!r} is too {way} beside that of the output: {size}{at_start}. "
            "chione.torch.inspect shows where it is lost; chione.torch.initialize_ sets weights "
            "that keep it.",
        )  # fmt: skip
        break
    norms = [s.gradient_norm for s in before]
    most = max((x for x in norms if x > 0.0), default=math.nan)
    if now.gradient_norm > 1e3 * most:
        yield Remark(
            now.step, "exploding gradient", "all",
            f"the gradient of all parameters is {now.gradient_norm / most:.0f} times the largest "
            f"one before: the training is about to leave its range. Use a smaller learning rate, "
            "or clip gradients.",
        )  # fmt: skip


def _blocked(start: Mapping[str, float], name: str) -> bool:
    """Whether a layer had no gradient at step 0 because a branch behind it begins at zero."""
    some = any(math.isfinite(g) for g in start.values())
    return start.get(name, 0.0) == -math.inf and some


def _signals(now: MonitoredStep, first: MonitoredStep, bands: MonitorBands) -> Iterator[Remark]:
    for x in now.layers:
        old = first.layer(x.name)
        if old is None or not old.mean_square > 0.0 or not x.mean_square > 0.0:
            continue
        grown = math.log(x.mean_square) - math.log(old.mean_square)
        if grown > bands.signal and x.mean_square > 1e6 and x.name != OUTPUT:
            yield Remark(
                now.step, "exploding signal", x.name,
                f"the signal at {x.name!r} is {math.exp(grown / 2.0):.0f} times that of step 0 "
                f"(rms {math.sqrt(x.mean_square):.2g}). Use a smaller learning rate, weight decay "
                "or a normalisation there.",
            )  # fmt: skip
            break
    yield from _collapsed(now, first)
    top, old = now.layer(OUTPUT), first.layer(OUTPUT)
    if top is None or old is None or not now.softmax:
        return
    rms, begun = math.sqrt(top.mean_square), math.sqrt(old.mean_square)
    if rms > bands.logits and (rms > 10.0 * begun or now is first):
        grown_from = "at step 0" if now is first else f"from {begun:.2g} at step 0"
        yield Remark(
            now.step, "growing logits", OUTPUT,
            f"the logits have a root mean square of {rms:.3g}, {grown_from}: the softmax is "
            "saturated. Use a smaller learning rate, weight decay on the head, or a penalty on "
            "the log-partition function (z-loss).",
        )  # fmt: skip


def _collapsed(now: MonitoredStep, first: MonitoredStep) -> Iterator[Remark]:
    top, old = now.layer(OUTPUT), first.layer(OUTPUT)
    if top is None or old is None or now is first or not now.softmax:  # else a mean is learnt
        return
    if 0.0 <= top.one_minus_c < 1e-3 * old.one_minus_c and top.one_minus_c < 1e-4:
        yield Remark(
            now.step, "collapsed inputs", OUTPUT,
            f"the outputs of different inputs have become alike: 1 - c is {top.one_minus_c:.1e}, "
            f"from {old.one_minus_c:.1e} at step 0. The model ignores its input.",
        )  # fmt: skip


def _updates(
    now: MonitoredStep, before: Sequence[MonitoredStep], bands: MonitorBands
) -> Iterator[Remark]:
    low, high = bands.update[0] / 10.0, bands.update[1] * 10.0
    told = [p for p in now.parameters if p.rank > 1 and p.weight > 0.0 and p.update >= 0.0]
    largest = max((_relative(p) for p in told), default=0.0)
    for p in told:
        ratio = _relative(p)
        # first steps of adaptive optimizers, and from a weight of zero, are large and soon smaller
        lately = _lately(now, before, p.name)
        if ratio > 1.0 or (ratio > high and lately and min(lately) > high):
            yield Remark(
                now.step, "large updates", p.name,
                f"a step changes {p.name!r} by {ratio:.2g} of its size, where "
                f"{bands.update[0]:g} to {bands.update[1]:g} is usual. Use a smaller learning "
                "rate, or warm it up.",
            )  # fmt: skip
            break
    for p in told:
        ratio = _relative(p)
        never = bool(_lately(now, before, p.name)) and all(_ever(s, p.name) < low for s in before)
        if ratio < low and never and (largest > bands.update[0] or _all_small(told, low)):
            why = (
                "no parameter moves more: the learning rate is too small"
                if largest < low
                else "others do: its gradient vanishes, its learning rate is small, or eps of "
                "Adam is above its gradient"
            )
            yield Remark(
                now.step, "small updates", p.name,
                f"a step changes {p.name!r} by {ratio:.1e} of its size, too little to learn; "
                f"{why}.",
            )  # fmt: skip
            break


def _relative(p: ParameterUpdate) -> float:
    """Size of the update beside that of the weight, or a tenth of its natural size if larger."""
    natural = 0.1 * p.natural if p.natural > 0.0 else 0.0
    return p.update / max(p.weight, natural)


def _ever(step: MonitoredStep, name: str) -> float:
    p = step.parameter(name)
    return math.inf if p is None or not p.weight > 0.0 else _relative(p)


def _lately(now: MonitoredStep, before: Sequence[MonitoredStep], name: str) -> list[float]:
    """Sizes of steps over the last while; empty where less is known."""
    out = []
    for step in reversed(before):
        p = step.parameter(name)
        out.append(math.nan if p is None or not p.weight > 0.0 else _relative(p))
        if now.step - step.step >= _WHILE:
            return [] if any(math.isnan(x) for x in out) else out
    return []


def _all_small(told: Sequence[ParameterUpdate], low: float) -> bool:
    return all(_relative(p) < low for p in told)


def _attention(now: MonitoredStep, first: MonitoredStep, bands: MonitorBands) -> Iterator[Remark]:
    start = dict(first.entropy)
    for name, entropy in now.entropy:
        if entropy < bands.entropy and (now is first or start.get(name, 0.0) > 2.0 * bands.entropy):
            yield Remark(
                now.step, "attention entropy", name,
                f"the weights of {name} look at one position each (entropy {entropy:.1%} of that "
                "of equal weights): no gradient passes through them. Normalise queries and keys, "
                "or use a smaller learning rate.",
            )  # fmt: skip
            break
