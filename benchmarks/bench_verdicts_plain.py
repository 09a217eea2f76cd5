"""Does `analyze` say before what training shows after? Random plain networks, really trained.

    python benchmarks/bench_verdicts_plain.py [--half development|held] [--page] [--train]

Prints for each part how often each answer of the rule, asked for the network's own optimiser, met
each outcome of training, with binomial standard errors, by optimiser and by kind of network, and
every network that was judged wrongly. --page writes the tables into docs/trainability.md; --train
first trains what has no label yet (two seconds a network on one core) and asks theory for what has
no features. Networks: benchmarks/verdicts/networks.py; labels: labels.py; thresholds, set on the
first thousand: chione.theory.depth.trainability.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from chione.theory.depth import trainability as rules
from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import OPTIMIZERS, trainability
from page import DOCS, fill
from verdicts import features, labels
from verdicts.networks import COUNT, Net, everything

WORDS = ("yes", "doubtful", "no")
PARTS = ("development", "held", "fresh")
TITLES = {
    "development": "Development half",
    "held": "First held half",
    "fresh": "Fresh networks",
}
NAMES = {"sgd": "gradient descent", "momentum": "momentum", "adam": "Adam"}


@dataclass(frozen=True)
class Judged:
    """A network with what was said of it and what training showed."""

    net: Net
    answer: str
    earlier: str  # answer of the rule that does not know the optimiser
    trains: bool
    reached: float  # largest share of 0.25, 0.5, 0.75 that the accuracy reached


def judged(half: str | None = None) -> list[Judged]:
    """All networks that are labelled."""
    known, said = labels.read(), features.read()
    out = []
    for net in everything():
        if net.number in known and half in (None, net.half):
            way, row = features.way(said[net.number]), known[net.number]
            answer = trainability(way, net.optimizer).answer
            earlier = trainability(_unknown(way)).answer
            reached = max(share for _, _, share, _ in row["runs"])
            out.append(Judged(net, answer, earlier, row["trains"], reached))
    return out


def _unknown(way: Passage) -> Passage:
    """The passage without width and optimiser."""
    return replace(way, stiffness=math.nan, contrast=math.nan, forgotten=math.nan)


def share(k: int, n: int) -> str:
    """A share with its binomial standard error."""
    if n == 0:
        return "0 of 0"
    p = k / n
    return f"{k} of {n} ({100 * p:.1f} +- {100 * math.sqrt(p * (1 - p) / n):.1f} %)"


def scores(rows: Iterable[Judged]) -> tuple[str, str, str]:
    """How many "yes" train, how many "no" do not, and how many are doubtful."""
    found = Counter((j.answer, j.trains) for j in rows)
    count = {w: found[w, True] + found[w, False] for w in WORDS}
    return (
        share(found["yes", True], count["yes"]),
        share(found["no", False], count["no"]),
        share(count["doubtful"], sum(count.values())),
    )


def confusion(rows: list[Judged]) -> str:
    """Answers against outcomes, in Markdown."""
    found = Counter((j.answer, j.trains) for j in rows)
    lines = ["| verdict, asked for its optimiser | trains | does not train |", "|---|---|---|"]
    lines += [f"| {w} | {found[w, True]} | {found[w, False]} |" for w in WORDS]
    return "\n".join(lines)


def parts(rows: list[Judged]) -> str:
    """The three scores for all, for each optimiser, each kind, and the rule without optimiser."""
    lines = ["| networks | *yes* that train | *no* that do not | doubtful |", "|---|---|---|---|"]
    groups = {"all": rows}
    groups |= {NAMES[o]: [j for j in rows if j.net.optimizer == o] for o in OPTIMIZERS}
    groups |= {
        "near the border": [j for j in rows if j.net.stratum == "near"],
        "sigmas as typed": [j for j in rows if j.net.stratum == "plain"],
        "catalogue": [j for j in rows if "(" not in j.net.activation],
        "expressions": [j for j in rows if "(" in j.net.activation],
        "width to 128": [j for j in rows if j.net.width <= 128],
        "wider": [j for j in rows if j.net.width > 128],
        "rule without width and optimiser": [replace(j, answer=j.earlier) for j in rows],
    }
    lines += [f"| {name} | {' | '.join(scores(group))} |" for name, group in groups.items()]
    return "\n".join(lines)


def wrong(rows: list[Judged]) -> str:
    """Every network whose answer was firm and wrong."""
    lines = [
        "| activation | sigma_w | sigma_b | depth | width | optimiser | verdict | accuracy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for j in rows:
        if j.answer == ("no" if j.trains else "yes"):
            n = j.net
            phi = n.activation.replace("|", "\\|").replace("*", "\\*")
            lines.append(
                f"| {phi} | {n.sigma_w:g} | {n.sigma_b:g} | {n.depth} | {n.width} | "
                f"{NAMES[n.optimizer]} | {j.answer} | {j.reached:g} |"
            )
    return "\n".join(lines)


def limits() -> str:
    """The thresholds as they stand in the code, in Markdown."""
    tables = {
        "order: $-d\\,\\sqrt{L}$": rules.ORDER,
        "chaos: $f$ (Adam: $s$)": rules.FORGOTTEN,
        "stiff: $\\Lambda + 2 \\log L$ (Adam: $+\\, 4 \\log L$)": rules.STIFF,
        "faint: $-D\\,\\sqrt{L}$": rules.FAINT,
    }
    lines = ["| limit | gradient descent | momentum 0.9 | Adam |", "|---|---|---|---|"]
    for name, table in tables.items():
        cells = " | ".join(f"{table[o][0]:g} +- {table[o][1]:g}" for o in OPTIMIZERS)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def sentence(rows: list[Judged], title: str) -> str:
    """What a half came to."""
    yes, no, doubtful = scores(rows)
    middle = sum(not j.trains and j.reached >= 0.5 for j in rows)
    trains = sum(j.trains for j in rows)
    return (
        f"**{title}**, {len(rows)} networks, {trains} of which train: of those "
        f"called *yes* {yes} train, of those called *no* {no} do not; {doubtful} are *doubtful*. "
        f"{middle} that count as not trained had reached an accuracy of 0.5."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=PARTS, help="only this part")
    parser.add_argument("--page", action="store_true", help="fill docs/trainability.md")
    parser.add_argument("--train", action="store_true", help="label what has no label yet")
    options = parser.parse_args()
    if options.train:
        features.fill()
        labels.fill(labels.FILE)
    if options.page:
        fill("limits", limits(), DOCS / "trainability.md")
    for half in PARTS:
        if options.half in (None, half):
            rows = judged(half)
            text = sentence(rows, TITLES[half])
            print(f"{text}\n\n{confusion(rows)}\n\n{parts(rows)}\n\n{wrong(rows)}\n")
            if options.page:
                table = f"{text}\n\n{confusion(rows)}\n\n{parts(rows)}"
                fill(f"verdicts-{half}", table, DOCS / "trainability.md")
                if half == "fresh":
                    fill("wrong-fresh", wrong(rows), DOCS / "trainability.md")
    missing = 2 * COUNT - len(labels.read())
    if missing > 0:
        print(f"{missing} of {2 * COUNT} networks have no label yet; --train trains them.")


if __name__ == "__main__":
    main()
