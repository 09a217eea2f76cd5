"""A page of the atlas as Markdown, from the numbers of one activation."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import fields

from atlas import measured, snippets
from atlas.critical import phases
from atlas.entries import Entry
from atlas.facts import DEPTH, Facts, alternatives
from atlas.schemes import DEPTHS, SCHEMES, WIDTH, Outcome
from atlas.words import escaped, number, row_table, value_row
from chione.activations import AbstractActivation, Affine, activation
from chione.base import Status
from chione.diagnosis.numbers import error_text, power_text, value_text
from chione.explorer import fragment
from chione.theory import Recommendation
from chione.theory.critical.recommendation import MEANINGS
from chione.theory.depth.weighing import Start

# Letters, not LaTeX: tables are read without a network as well.
MOMENTS = {
    "mean": "E φ(z)",
    "square": "E φ(z)²",
    "fourth": "E φ(z)⁴",
    "slope": "E φ′(z)²",
    "length": "d/dq E φ(√q z)²",
    "uncorrelated": "E φ(z₁) φ(z₂), correlation 0",
    "half": "E φ(z₁) φ(z₂), correlation 1/2",
}
NEIGHBOURS = "<!-- neighbours -->"
"""Where the build writes the neighbours, which one page alone does not know."""


def page(found: Facts) -> str:
    """The page of one activation, but for its neighbours."""
    parts = [
        _head(found),
        _moments(found),
        phases(found),
        _advice(found),
        _code(found),
        _schemes(found),
        _jacobian(found),
        _finite_width(found),
        measured.section(found.entry.slug),
        ["## Neighbours", "", NEIGHBOURS],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def explorer_link(spec: str, sigma_w: float, sigma_b: float) -> str:
    """Address of the explorer at a point, seen from a page of the atlas."""
    w, b = (float(number(x, 9)) for x in (sigma_w, sigma_b))
    state = fragment(activation=spec, sigma_w=w, sigma_b=b, depth=DEPTH, width=WIDTH)
    return f"../../explorer.html#{state}"


def _head(found: Facts) -> list[str]:
    entry, phi = found.entry, found.phi
    point = found.plain
    sigmas = (point.sigma_w, point.sigma_b) if point.exists else (1.0, 0.0)
    given = ", ".join(f"{name} = {x:g}" for name, x in parameters_of(entry, phi).items())
    facts = [f"- Formula: `{formula_of(entry, phi)}`{f' with {given}' if given else ''}"]
    facts += [f"- Where it breaks: {_breaks(found)}"]
    facts += [f"- Introduced by: {entry.source}"] if entry.source else []
    every = (("PyTorch", entry.torch), ("JAX", entry.jax), ("Keras", entry.keras))
    names = [(word, code) for word, code in every if code]
    facts += (
        ["- In code: " + "; ".join(f"{word} `{code}`" for word, code in names)] if names else []
    )
    facts += [f"- In chione: `{entry.spec}`"]
    link = explorer_link(entry.spec, *sigmas)
    note = ["", _note(entry)] if entry.note else []
    return [
        f"# {entry.title}",
        "",
        *facts,
        *note,
        "",
        f"![Graph, phase diagram and Jacobian of {entry.title}]({entry.slug}.png)",
        "",
        f'<a href="{link.replace("&", "&amp;")}">Drag this point in the explorer</a>',
    ]


def formula_of(entry: Entry, phi: AbstractActivation) -> str:
    """The formula in one line."""
    return entry.spec if entry.is_formula else phi.formula


def parameters_of(entry: Entry, phi: AbstractActivation) -> dict[str, float]:
    """The parameters that a formula of the catalogue names."""
    if entry.is_formula:
        return {}
    return {f.name: getattr(phi, f.name) for f in fields(phi)}


def _breaks(found: Facts) -> str:
    phi = found.phi
    if not phi.kinks:
        return "nowhere"
    words = []
    for at in phi.kinks:
        order = next((k for k in (0, 1, 2) if phi.jump(k, at)), 3)
        what = ("it jumps", "the slope jumps", "the second derivative jumps", "a later one jumps")
        words.append(f"{what[order]} at {at:g}")
    return ", ".join(words)


def _note(entry: Entry) -> str:
    if entry.note != "{rrelu}":
        return entry.note
    from atlas.random_slope import sentence

    return sentence()


def _moments(found: Facts) -> list[str]:
    rows = [value_row(MOMENTS[name], e) for name, e in found.moments.items()]
    return [
        "## At length 1",
        "",
        "Gaussian expectations for pre-activations of mean square 1, z a standard normal:",
        "",
        *row_table(("", "value", "error"), rows),
    ]


def _advice(found: Facts) -> list[str]:
    lines = ["## Which initialisation", ""]
    plain, best = found.plain, found.best
    lines += [f"For {DEPTH} layers of width {WIDTH}:", ""]
    if plain.exists:
        lines += [
            f"**sigma_w = {number(plain.sigma_w, 9)}, sigma_b = {number(plain.sigma_b, 9)}** "
            f"({plain.kind}), {plain.weights} weights, first layer times "
            f"{number(plain.first_layer, 4)}.",
            "",
        ]
    else:
        lines += ["**None with the activation as it is.**", ""]
    lines += _reasons(plain.reason, found.criticality.reason) or ["For the reason above."]
    if found.changes:
        code = snippets.changed(activation(best.activation))
        lines += [
            "",
            f"With the activation changed to `{code}`, f the activation: **sigma_w = "
            f"{number(best.sigma_w, 9)}, sigma_b = {number(best.sigma_b, 9)}** ({best.kind}).",
            "",
            *_reasons(best.reason),
        ]
    options = alternatives(found)
    if options:
        lines += ["", f"What was weighed, in decades over {DEPTH} layers; the smallest total wins:"]
        lines += ["", *row_table(_OPTION_HEAD, [_option(o) for o in options]), "", _legend(found)]
    return lines


def _legend(found: Facts) -> str:
    """What the columns of the table say."""
    name = shlex.quote(found.entry.spec)
    return (
        f"*Gradient*: {MEANINGS['gradient']}. *Distance of two inputs*: {MEANINGS['distance']}, "
        f"for a correlation of {number(Start().c0)} at the input; the close pair above has 0.9 "
        f"there. *Fluctuation*: {MEANINGS['fluctuation']}. The total counts more figures, and "
        f"`chione gain {name} --depth {DEPTH} --width {WIDTH}` prints all of them."
    )


def _reasons(text: str, above: str = "") -> list[str]:
    """The reason of an advice, a sentence a line, without what the page says elsewhere."""
    said: list[str] = []
    for sentence in re.split(r"(?<=\.) (?=[A-Z0-9])", text):
        again = sentence.startswith("Over ") and any(s.startswith("Over ") for s in said)
        again = again or sentence in above
        if not again and not sentence.startswith(("Against it:", "Replace ")):
            said.append(sentence)
    return [f"- {_powers(escaped(sentence))}" for sentence in said]


def _powers(text: str) -> str:
    """Powers of ten as a reader writes them."""
    return re.sub(r"10\^([+-]?)(\d+\.\d+)", r"10<sup>\1\2</sup>", text)


_OPTION_HEAD = ("", "sigma_w", "sigma_b", "chi_parallel", "error", "gradient",
                "distance of two inputs", "fluctuation", "total")  # fmt: skip


def _option(o: Recommendation) -> tuple[str, ...]:
    shown = [f"{o.weighed[key]:+.2f}" for key in ("gradient", "distance", "fluctuation")]
    chi = (value_text(o.chi_parallel, 6), error_text(o.chi_parallel))
    total = f"{o.total:.2f}" if math.isfinite(o.total) else "lost"
    return (o.name, number(o.sigma_w), number(o.sigma_b), *chi, *shown, total)


def numbers_of(o: Recommendation) -> snippets.Numbers:
    """What of an advice goes into code."""
    return snippets.Numbers(o.sigma_w, o.sigma_b, o.weights, o.first_layer)


def _code(found: Facts) -> list[str]:
    advice = found.plain if found.plain.exists else found.best
    if not advice.exists:
        return []
    n = numbers_of(advice)
    lines = ["## To paste", ""]
    if not found.plain.exists:
        f = activation(advice.activation)
        if isinstance(f, Affine):
            lines += ["For the changed activation:", "", "```python"]
            lines += [f"phi = lambda x: {snippets.changed(f)}", "```", ""]
    for title, code in (
        ("PyTorch", snippets.pytorch(n)),
        ("JAX with Flax", snippets.flax(n)),
        ("Keras", snippets.keras(n)),
    ):
        lines += [f"{title}:", "", "```python", code, "```", ""]
    if n.weights == "orthogonal":
        gaussian = snippets.Numbers(n.sigma_w, n.sigma_b)
        lines += [
            "Gaussian weights of the same size: "
            f"`{snippets.pytorch(gaussian).splitlines()[0]}`. The first layer has another number "
            "of inputs, so take Gaussian weights there:",
        ]
    else:
        lines += ["In the first layer:"]
    first = snippets.Numbers(n.sigma_w * n.first_layer, n.sigma_b)
    lines += [
        "",
        "```python",
        snippets.pytorch(first).splitlines()[0],
        "```",
        "",
        "Then lengths of inputs of mean square 1 start where the advice wants them. What a "
        "truncated normal does to the numbers is on the [first page](index.md).",
    ]
    return lines


def _schemes(found: Facts) -> list[str]:
    names = SCHEMES | {
        "recommended": f"recommended, for {DEPTH} layers",
        "changed": "recommended, activation changed",
    }
    head = ("", "sigma_w", "sigma_b", "phase",
            *(f"{d} layers" for d in DEPTHS), "", "", "")  # fmt: skip
    rows = []
    for key, title in names.items():
        if key in found.rows:
            rows.append(_scheme_row(title, found.rows[key]))
    return [
        "## Beside the usual ones",
        "",
        f"Layers of width {WIDTH}, inputs of mean square 1, Gaussian weights: the factor on the "
        "mean square gradient over all layers, and whether such a network trains.",
        "",
        *row_table(head[:7], [row[:7] for row in rows], "lrrllll"),
        *(_JUMPS if found.moments["slope"].status is Status.INFINITE else ()),
    ]


_JUMPS = (
    "",
    "Where an activation jumps, the factor of theory is infinite. Automatic differentiation does "
    "not see the jump; the verdict is about the gradient that it computes.",
)


def _scheme_row(title: str, runs: list[Outcome]) -> tuple[str, ...]:
    first = runs[0]
    cells = [f"{power_text(o.log10_gradient)}: {o.trains}{_why(o)}" for o in runs]
    return (title, number(first.sigma_w), number(first.sigma_b), first.phase, *cells)


def _why(o: Outcome) -> str:
    return "" if o.problem == "none" else f", {o.problem}"


def _jacobian(found: Facts) -> list[str]:
    if not found.spectra:
        return []
    first = found.spectra[0]
    rows = []
    for one in found.spectra:
        law = one.law
        top = f"{math.sqrt(law.edges[1]):.6g}" if law.support or law.atoms else "none"
        atoms = ", ".join(f"{m:.4g} at {math.sqrt(a):.4g}" for a, m in law.atoms) or "none"
        mean, error = law.moments(1).value[0], law.moments(1).error[0]
        rows.append((one.weights, f"{mean:.9g}", f"{error:.0e}", f"{law.variance:.6g}", top, atoms))
    head = ("weights", "mean of the squares", "error", "their variance", "largest", "point masses")
    what = "" if found.plain.exists else ", activation changed"
    return [
        f"## Jacobian of {DEPTH} layers",
        "",
        f"Singular values of the input-output Jacobian at sigma_w = {number(first.law.sigma_w)}, "
        f"sigma_b = {number(first.law.sigma_b)}{what}, at infinite width. {_length_words(found)}",
        "",
        *row_table(head, rows, "lrrrrl"),
    ]


def _length_words(found: Facts) -> str:
    q = found.spectra[0].q_star
    settled = float(found.point.q_star.value)
    if math.isfinite(settled) and settled > 0.0:
        return f"All layers are at q* = {number(q)}."
    return (
        "Lengths have no fixed point above 0 there; all layers are taken at that of layer "
        f"{DEPTH}, {number(q)}, for inputs of mean square 1."
    )


def _finite_width(found: Facts) -> list[str]:
    known = [(weights, t) for weights, t in found.trust if t is not None]
    if not known:
        return []
    rows = [
        (
            weights,
            value_text(t.relative_spread, 3),
            error_text(t.relative_spread),
            "any" if math.isinf(float(t.ratio.value)) else value_text(t.ratio, 3),
        )
        for weights, t in known
    ]
    head = (
        "weights",
        f"relative spread in layer {DEPTH}",
        "next order",
        "depth over width up to which theory holds",
    )
    return [
        "## Finite width",
        "",
        f"At the same point and width {WIDTH}, how much the mean square of a layer differs from "
        "network to network (standard deviation over mean):",
        "",
        *row_table(head, rows),
    ]
