r"""Whether a plain network trains at its depth: one rule, its thresholds, and where they come from.

With :math:`G_l` the mean square gradient and :math:`q_l` the mean square of the signal in layer l
of L, and c the correlation of two different inputs, four numbers are looked at, all natural
logarithms of mean squares:

.. math::
    g = \log \frac{G_l}{G_L}, \quad s = \log \frac{G_l\, q_l}{G_L\, q_L}, \quad
    m = \log \frac{q_l}{q_1}, \quad d = \log \frac{1 - c_L}{1 - c_0},

each in the layer where it is largest in size (s: largest). g and m change with the scale of the
signal; s, the effect of a relative change, and d, what is left of a difference, do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import Array, plain

# Plain gradient descent trains down to a factor e^6: the 6 depth scales xi_c of Schoenholz et al.
# (ICLR 2017, figure 5). 83 networks of benchmarks/bench_training.py agree (docs/trainability.md).
CAREFUL = 6.0
# Adam divides each gradient by its size, so that a mere scale is no obstacle, down to its epsilon
# of 1e-8 and up to where the square of a gradient leaves float32 (3e38).
VANISHED = -2.0 * math.log(1e8)
EXPLODED = math.log(float(np.finfo(np.float32).max))
# Found by the same benchmark, for any optimiser: in chaos none trained from s = 12 on (twice the 6
# depth scales); in order Adam still did at d = -17 for relu, but of 11 networks beyond -18 only two
# of gelu did.
CHAOS = 12.0
ALIKE = -18.0

YES, DOUBTFUL, NO = "yes", "doubtful", "no"


@dataclass(frozen=True)
class Passage:
    """What a network does to gradients and signals over its depth, in natural logarithms.

    Parameters
    ----------
    gradient : float
        g where it is largest in size; NaN where lengths leave the range of numbers, infinite where
        there is no gradient.
    relative : float
        Largest s.
    length : float
        m where it is largest in size; 0 where a normalisation follows everywhere.
    difference : float
        d; NaN where there is only one input, or none is told.
    """

    gradient: float
    relative: float
    length: float
    difference: float

    @classmethod
    def of(
        cls,
        log_gradient: Sequence[float] | Array,
        log_length: Sequence[float] | Array,
        difference: float,
        *,
        normalised: Sequence[bool] | None = None,
    ) -> Passage:
        """From logarithms of G and q in layers 1 to L.

        Where a layer is `normalised`, its length does not matter and its gradient counts as
        relative to the length.
        """
        g = np.asarray(log_gradient, dtype=np.float64)
        q = np.asarray(log_length, dtype=np.float64)
        free = np.ones(g.size, dtype=bool) if normalised is None else ~np.asarray(normalised, bool)
        own = np.where(free, g, g + q)
        with np.errstate(invalid="ignore"):
            s = g + q - (g[-1] + q[-1])
            lengths = q[free] - q[free][0] if free.any() else np.zeros(1)
        return cls(_farthest(own - own[-1]), float(np.max(s)), _farthest(lengths), difference)


@dataclass(frozen=True)
class Trainability:
    """The verdict on a passage.

    Parameters
    ----------
    answer : {"yes", "doubtful", "no"}
        Plain gradient descent trains it, as Adam does; it depends on the optimiser and the
        activation; neither does.
    problem : str
        "none", "vanishing gradient", "exploding gradient", "vanishing signal", "exploding signal",
        "collapsed inputs", or "no gradient".
    size : float
        The logarithm that decided.
    reason : str
        Why, in one sentence.
    """

    answer: str
    problem: str
    size: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "answer": self.answer,
            "problem": self.problem,
            "size": plain(self.size),
            "reason": self.reason,
        }


def trainability(passage: Passage) -> Trainability:
    """Judge a network by what it does over its depth.

    The rule: *no* where g < -36.8, g > 88.7, |m| beyond the same, s > 12 or d < -18; *doubtful*
    where one of them is beyond 6 in size; else *yes*. The first of these that holds is named, a
    *no* before a *doubtful*.

    Parameters
    ----------
    passage : Passage
        The four logarithms.

    Returns
    -------
    Trainability

    Notes
    -----
    For plain networks of moderate width (128 in the benchmark) that are trained in float32 for some
    hundred steps. Normalisation and skip connections enter only through `passage`.

    Examples
    --------
    >>> trainability(Passage(gradient=-50.0, relative=0.0, length=-1.0, difference=-1.0)).answer
    'no'
    >>> trainability(Passage(gradient=2.0, relative=1.0, length=1.0, difference=-2.0)).problem
    'none'
    """
    g, m, s, d = passage.gradient, passage.length, passage.relative, passage.difference
    if math.isnan(g):
        return Trainability(
            NO, "exploding signal", math.inf, "The mean squares of a wide network are not finite."
        )
    if math.isinf(g):
        return Trainability(NO, "no gradient", g, "There is no gradient to follow.")
    if not VANISHED <= g <= EXPLODED:
        return _gradient(NO, g)
    if not VANISHED <= m <= EXPLODED:
        return _signal(NO, m)
    if s > CHAOS:
        return _chaos(NO, s)
    if d < ALIKE:
        return _alike(NO, d, g)
    if s > CAREFUL:
        return _chaos(DOUBTFUL, s)
    if d < -CAREFUL:
        return _alike(DOUBTFUL, d, g)
    if abs(g) > CAREFUL:
        return _gradient(DOUBTFUL, g)
    if abs(m) > CAREFUL:
        return _signal(DOUBTFUL, m)
    return Trainability(YES, "none", 0.0, "Signals and gradients both pass through all layers.")


def _chaos(answer: str, s: float) -> Trainability:
    by = f"grows by {_decades(s)} decades relative to the signal"
    text = (
        f"Gradients explode: their mean square {by} (chaos), which no learning rate undoes."
        if answer == NO
        else f"The mean square gradient {by} (chaos), so that training may fail."
    )
    return Trainability(answer, "exploding gradient", s, text)


def _alike(answer: str, d: float, g: float) -> Trainability:
    """Inputs become alike; in order gradients vanish with their distance, and are named then."""
    vanish = g < -CAREFUL
    text = "Gradients fade and inputs become alike" if vanish else "Inputs become alike"
    text += f": their squared distance shrinks by {_decades(d)} decades, "
    text += (
        "so that no optimiser finds the difference."
        if answer == NO
        else "too much for plain gradient descent; Adam may find the rest."
    )
    problem = "vanishing gradient" if vanish else "collapsed inputs"
    return Trainability(answer, problem, d, text)


def _gradient(answer: str, g: float) -> Trainability:
    flow, change = ("explode", "grows") if g > 0.0 else ("vanish", "shrinks")
    by = f"{change} by {_decades(g)} decades"
    text = (
        f"Gradients {flow}: their mean square {by}, more than Adam makes up for in float32."
        if answer == NO
        else f"The mean square gradient {by}, too much for plain gradient descent; Adam, which "
        "scales each gradient, may train it."
    )
    problem = f"{'exploding' if g > 0.0 else 'vanishing'} gradient"
    return Trainability(answer, problem, g, text)


def _signal(answer: str, m: float) -> Trainability:
    flow, change = ("explodes", "grows") if m > 0.0 else ("vanishes", "shrinks")
    by = f"{change} by {_decades(m)} decades"
    text = (
        f"The signal {flow}: its mean square {by}, more than training in float32 can use."
        if answer == NO
        else f"The mean square of the signal {by}, so that no one learning rate of plain gradient "
        "descent suits all layers; Adam may train it."
    )
    problem = f"{'exploding' if m > 0.0 else 'vanishing'} signal"
    return Trainability(answer, problem, m, text)


def _farthest(x: Array) -> float:
    """The entry that is largest in size; NaN if any is."""
    return float(x[int(np.argmax(np.abs(x)))]) if not np.any(np.isnan(x)) else math.nan


def _decades(x: float) -> str:
    """Decades of a natural logarithm: to a tenth where they are few."""
    decades = abs(x) / math.log(10.0)
    if math.isinf(decades):
        return "all"
    return f"{decades:.1f}" if decades < 9.95 else f"{decades:.0f}"
