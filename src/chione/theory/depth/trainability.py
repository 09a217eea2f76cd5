r"""Whether a plain network trains at its depth: one rule, its thresholds, and where they come from.

With :math:`G_l` the mean square gradient and :math:`q_l` the mean square of the signal in layer l
of L, and c the correlation of two different inputs, four numbers are looked at, all natural
logarithms of mean squares:

.. math::
    g = \log \frac{G_l}{G_L}, \quad s = \log \frac{G_l\, q_l}{G_L\, q_L}, \quad
    m = \log \frac{q_l}{q_1}, \quad d = \log \frac{1 - c_L}{1 - c_0},

each in the layer where it is largest in size (s: largest). g and m change with the scale of the
signal; s, the effect of a relative change, and d, what is left of a difference, do not.

Where theory follows a network whose width is known, three more say what an optimiser meets: how
strongly the weights move an output, :math:`\Lambda`, how much of that tells two inputs apart, D
(:mod:`chione.theory.depth.tangent`), and over how many depth scales similarity is forgotten in
chaos, :math:`f = L / \xi_c`. Each optimiser then has its own answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chione.base import checks, plain
from chione.theory.depth.passage import Passage

OPTIMIZERS = ("sgd", "momentum", "adam")
YES, DOUBTFUL, NO = "yes", "doubtful", "no"

# ---- one optimiser ------------------------------------------------------------------------------
# (middle, half width) of the range of doubt, from a thousand networks that were really trained, 300
# steps at the best of three rates (benchmarks/verdicts, docs/trainability.md). Middle and scale are
# those of logistic curves that were fitted together; half widths are 1.2 to 1.5 scales.
# Why there is a limit at all; the powers of L were found, not derived:
# * order, on -d L^(1/2): the kernel of two inputs differs by e^d of itself, so that descent takes
#   e^-d steps to tell them apart, and the more layers have to change for it the smaller is the
#   rate; momentum of 0.9 walks ten times as far. Adam rescales each weight by itself, grows the
#   weights out of order and comes much further.
ORDER = {"sgd": (13.8, 4.7), "momentum": (25.0, 3.5), "adam": (62.0, 15.0)}
# * chaos, on f (Adam: s): after so many depth scales inputs that are alike come out like any
#   others; Schoenholz et al. (ICLR 2017) count 6, this many steps reach 4. Adam comes further where
#   layers are few, until a relative change has grown by e^11.5, near the limit `CHAOS` below.
FORGOTTEN = {"sgd": (4.05, 0.65), "momentum": (4.1, 0.8), "adam": (11.5, 0.65)}
# * stiff, on Lambda + 2 log L (Adam: 4 log L): a step of gradient descent has the size rate times
#   e^(Lambda / 2) and what it does adds up over the layers; for a rate of 1e-3 (momentum: 1e-4, ten
#   steps of which add up) it becomes that of all weights at about 22. The size of Adam's steps does
#   not depend on it, but what they do to the output does.
STIFF = {"sgd": (22.9, 1.2), "momentum": (21.7, 2.0), "adam": (29.5, 2.8)}
# * faint, on -D L^(1/2): at a rate of 0.1 (momentum: 0.01) what tells inputs apart in an output
#   moves by 0.1 e^D in a step, by 1 within 300 steps at D = -3.4.
FAINT = {"sgd": (13.4, 2.6), "momentum": (11.5, 3.2), "adam": (51.0, 9.0)}
# An even activation does not tell an input from its negative. Of those networks beyond this depth
# that would be called *yes* 4 trained and 8 did not: none of them is firm.
EVEN_LAYERS = 6
# Theory speaks of the mean over networks; where the last mean square spreads by more than twice
# itself, a single one is something else, and no *yes* is firm. Not from training: a caution.
SPREAD = 2.0

# ---- any network, as measured -----------------------------------------------------------------
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


@dataclass(frozen=True)
class Trainability:
    """The verdict on a passage.

    Parameters
    ----------
    answer : {"yes", "doubtful", "no"}
        Of a named optimiser: it trains, it is near the border, it does not. Of none: each of them
        does, it depends on the optimiser, none does.
    problem : str
        "none", "vanishing gradient", "exploding gradient", "vanishing signal", "exploding signal",
        "collapsed inputs", or "no gradient".
    size : float
        The logarithm that decided.
    reason : str
        Why, in one sentence.
    optimizers : mapping of str to str
        The answer for each of "sgd", "momentum" and "adam", where enough is known to tell them
        apart; else empty.
    """

    answer: str
    problem: str
    size: float
    reason: str
    optimizers: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "answer": self.answer,
            "problem": self.problem,
            "size": plain(self.size),
            "reason": self.reason,
            "optimizers": dict(self.optimizers),
        }


def trainability(passage: Passage, optimizer: str | None = None) -> Trainability:
    r"""Judge a network by what it does over its depth.

    Parameters
    ----------
    passage : Passage
        The logarithms.
    optimizer : {"sgd", "momentum", "adam"}, optional
        What trains it: plain gradient descent, with momentum of 0.9, or Adam. Without one the
        answer is what holds for all three, *doubtful* where it depends on the optimiser.

    Returns
    -------
    Trainability

    Raises
    ------
    ValueError
        If the optimiser is not one of them.

    Notes
    -----
    What is no number, and what leaves float32 or the epsilon of Adam, trains with none: *no* where
    g < -36.8, g > 88.7 or |m| is beyond the same.

    Where :math:`\\Lambda`, D and f are known, an optimiser has four limits (the tables above): on
    -d, f, :math:`\\Lambda` and -D. *No* where one is exceeded by more than its half width, *yes*
    where all are kept by as much (and the spread is below 2, and an even activation has at most 6
    layers), else *doubtful*; the one that is exceeded most is named.

    Where they are not (a measured passage), optimisers are not told apart: *no* where s > 12 or
    d < -18, *doubtful* where one of the four numbers is beyond 6 in size, else *yes*; the first of
    these is named, a *no* before a *doubtful*.

    For plain networks of widths 64 to 512 that are trained in float32 for some hundred steps at
    usual rates. Normalisation and skip connections enter only through `passage`.

    Examples
    --------
    >>> trainability(Passage(gradient=-50.0, relative=0.0, length=-1.0, difference=-1.0)).answer
    'no'
    >>> trainability(Passage(gradient=2.0, relative=1.0, length=1.0, difference=-2.0)).problem
    'none'
    """
    if optimizer is not None:
        checks.one_of("optimizer", optimizer, OPTIMIZERS)
    impossible = _impossible(passage)
    p = passage
    known = not math.isnan(p.stiffness + p.contrast + p.forgotten + p.layers)
    if impossible is not None:
        return replace(impossible, optimizers=dict.fromkeys(OPTIMIZERS, NO) if known else {})
    if not known:
        return _as_measured(passage)
    each = {name: _limits(passage, name) for name in OPTIMIZERS}
    answers = {name: _answer(worst) for name, worst in each.items()}
    if optimizer is not None:
        return _told(each[optimizer], answers[optimizer], "", answers)
    if len(set(answers.values())) == 1:
        return _told(each["adam"], answers["adam"], "", answers)
    worst = max(each.values(), key=lambda limit: limit.excess)
    return _told(worst, DOUBTFUL, _depends(answers), answers)


def _impossible(p: Passage) -> Trainability | None:
    """What no optimiser can train, whatever else is known."""
    g, m = p.gradient, p.length
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
    return None


def _as_measured(p: Passage) -> Trainability:
    """The rule where no optimiser is told from another."""
    g, m, s, d = p.gradient, p.length, p.relative, p.difference
    if s > CHAOS:
        return _chaos(NO, s)
    if d < ALIKE:
        return _alike(NO, p)
    if s > CAREFUL:
        return _chaos(DOUBTFUL, s)
    if d < -CAREFUL:
        return _alike(DOUBTFUL, p)
    if abs(g) > CAREFUL:
        return _gradient(DOUBTFUL, g)
    if abs(m) > CAREFUL:
        return _signal(DOUBTFUL, m)
    return Trainability(YES, "none", 0.0, "Signals and gradients both pass through all layers.")


# ---- one optimiser ------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Limit:
    """How far a limit is exceeded, in half widths of its range of doubt, and what that means."""

    excess: float
    problem: str
    size: float
    text: str


def _limits(p: Passage, optimizer: str) -> _Limit:
    """The limit that is exceeded most, or kept most narrowly."""
    adam, root = optimizer == "adam", math.sqrt(p.layers)

    def excess(table: Mapping[str, tuple[float, float]], value: float) -> float:
        limit, half = table[optimizer]
        return (value - limit) / half

    fades = p.gradient < -CAREFUL
    steep = max(p.relative, p.gradient) > CAREFUL
    chaos = (p.relative if p.forgotten > 0.0 else 0.0) if adam else p.forgotten
    found = [
        _Limit(
            excess(ORDER, -p.difference * root),
            "vanishing gradient" if fades else "collapsed inputs",
            p.difference,
            f"inputs become alike, their squared distance shrinks by {_decades(p.difference)} "
            f"decades over {p.layers:.6g} layers",
        ),
        _Limit(
            excess(FORGOTTEN, chaos),
            "exploding gradient",
            p.relative,
            f"it is {p.forgotten:.1f} depth scales of chaos deep, after which similar inputs "
            "differ as much as others",
        ),
        _Limit(
            excess(STIFF, p.stiffness + (4.0 if adam else 2.0) * math.log(p.layers)),
            "exploding gradient" if steep else "exploding signal",
            p.stiffness,
            f"the squared gradient of an output is 10^{p.stiffness / math.log(10.0):.1f}, so that "
            f"steps of any usual rate throw it about behind {p.layers:.6g} layers",
        ),
        _Limit(
            excess(FAINT, -p.contrast * root),
            "vanishing gradient" if fades else "vanishing signal",
            p.contrast,
            "what differs between inputs has a squared gradient of only "
            f"10^{p.contrast / math.log(10.0):.1f}, so that steps of any usual rate hardly move it",
        ),
        _Limit(
            0.0 if p.spread > SPREAD else -math.inf,
            "vanishing signal",
            p.spread,
            f"the mean square of the last layer spreads by {p.spread:.1f} times itself from "
            "network to network, so that most have far less than the mean",
        ),
        _Limit(
            0.0 if p.even and p.layers > EVEN_LAYERS else -math.inf,
            "collapsed inputs",
            p.layers,
            "an even activation does not tell an input from its negative, which trains at few "
            "layers only",
        ),
    ]
    return max((x for x in found if not math.isnan(x.excess)), key=lambda x: x.excess)


def _answer(worst: _Limit) -> str:
    return NO if worst.excess > 1.0 else YES if worst.excess < -1.0 else DOUBTFUL


_NAMES = {"sgd": "plain gradient descent", "momentum": "momentum", "adam": "Adam"}


def _depends(answers: Mapping[str, str]) -> str:
    """Which optimiser does what, for the start of a sentence."""
    groups = []
    for word, one, more in (
        (YES, "trains it", "train it"),
        (DOUBTFUL, "may train it", "may train it"),
        (NO, "does not", "do not"),
    ):
        names = [_NAMES[name] for name in reversed(OPTIMIZERS) if answers[name] == word]
        if names:
            groups.append(f"{' and '.join(names)} {one if len(names) == 1 else more}")
    text = ", ".join(groups)
    return text[0].upper() + text[1:]


def _told(worst: _Limit, answer: str, depends: str, answers: Mapping[str, str]) -> Trainability:
    """The limit in a sentence; `depends` stands before it."""
    if answer == YES:
        words = "Signals and gradients both pass through all layers."
        return Trainability(YES, "none", 0.0, words, answers)
    text = f"{depends}: {worst.text}." if depends else f"{worst.text[0].upper()}{worst.text[1:]}."
    return Trainability(answer, worst.problem, worst.size, text, answers)


# ---- sentences of the measured rule -------------------------------------------------------------
def _chaos(answer: str, s: float) -> Trainability:
    by = f"grows by {_decades(s)} decades relative to the signal"
    text = (
        f"Gradients explode: their mean square {by} (chaos), which no learning rate undoes."
        if answer == NO
        else f"The mean square gradient {by} (chaos), so that training may fail."
    )
    return Trainability(answer, "exploding gradient", s, text)


def _alike(answer: str, p: Passage) -> Trainability:
    """Inputs become alike; in order gradients vanish with their distance, and are named then."""
    d, vanish = p.difference, p.gradient < -CAREFUL
    text = f"Gradients fade and {p.pair}" if vanish else p.pair.capitalize()
    text += " become alike"
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


def _decades(x: float) -> str:
    """Decades of a natural logarithm: to a tenth where they are few."""
    decades = abs(x) / math.log(10.0)
    if math.isinf(decades):
        return "all"
    return f"{decades:.1f}" if decades < 9.95 else f"{decades:.0f}"
