"""Writes the tables and pictures of docs/trainability-measured.md from benchmarks/trainability/."""

import json
from pathlib import Path

import numpy as np

import chione as ch
from chione.gallery import glorot_training, training_speed
from chione.gallery.trainable_depth import CASES
from chione.plotting import save
from measure_trainability import file_of
from page import fill

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "trainability-measured.md"


def main():
    """Write all of it; what was not measured is left out."""
    known = {name: ch.load(file_of(name)) for name in CASES if file_of(name).exists()}
    fill("constants", constants(known), PAGE)
    fill("boundaries", "\n\n".join(boundaries(n, r) for n, r in known.items()), PAGE)
    for name, found in known.items():
        save(found.plot(), DOCS / "images" / f"{short(name)}.png")
    if file_of("speed").exists():
        fill("speed", speed(json.loads(file_of("speed").read_text())), PAGE)
    if file_of("glorot-figure-2").exists():
        fill("layers", layers(json.loads(file_of("glorot-figure-2").read_text())), PAGE)
    if file_of("glorot-figure-11").exists():
        fill("curves", curves(json.loads(file_of("glorot-figure-11").read_text())), PAGE)


def short(name):
    """Name of a picture."""
    return file_of(name).stem.replace(".", "-")


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number(x, digits=3):
    """A number for a reader; nothing for what does not exist."""
    return f"{x:.{digits}g}" if np.isfinite(x) else ""


def constants(known):
    """The fits of all cases."""
    rows = []
    for name, r in known.items():
        for c in r.constants:
            if c.scale == "xi_chi" and c.side == "ordered" and not r.dropout:
                continue  # the same scale
            which = {"xi_c": r"$\xi_c$", "xi_chi": r"$\xi_\chi$"}[c.scale]
            law = f"{c.exponent:.2f} ± {c.exponent_stderr:.2f}" if np.isfinite(c.exponent) else ""
            rows.append([
                name, c.side, which, "6 ξ up to the width" if c.restricted else "all",
                f"{c.count}{f' + {c.censored}' if c.censored else ''}",
                f"{c.a:.2f} ± {c.a_stderr:.2f}", f"{c.scatter:.0%}", law,
            ])  # fmt: skip
    head = ["case", "side", "scale", "boundaries", "number", "a", "scatter", "exponent"]
    shares = [f"{r.saved:.1f}" for r in known.values()]
    total = sum(r.trainings for r in known.values())
    return (
        f"{table(head, rows)}\n\nAll cases together took {total:,} trainings; a grid of the same "
        f"resolution takes {', '.join(shares)} times as many, case by case."
    )


def boundaries(name, r):
    """One case: picture and table."""
    sign = {1: "> ", -1: "< ", 0: ""}
    rows = [
        [
            f"{w:g}", r.side[i], f"{sign[int(r.censored[i])]}{r.depth[i]:.3g}",
            "" if r.censored[i] else f"{r.lower[i]:.3g} to {r.upper[i]:.3g}",
            number(6.0 * r.xi_c[i]), number(6.0 * r.xi_chi[i]),
            "" if r.censored[i] else number(r.depth[i] / r.xi_c[i], 2),
            "" if r.censored[i] else number(r.depth[i] / r.xi_chi[i], 2),
        ]
        for i, w in enumerate(r.sigma_w)
    ]  # fmt: skip
    head = [r"$\sigma_w$", "side", "largest depth", "68 in 100", r"$6\,\xi_c$", r"$6\,\xi_\chi$",
            r"depth / $\xi_c$", r"depth / $\xi_\chi$"]  # fmt: skip
    return f"### {name}\n\n![{r.title}](images/{short(name)}.png)\n\n{table(head, rows)}"


def speed(found):
    """Steps of both laws, and the picture."""
    steps = found["steps"] = {
        law: [[np.inf if s is None else s for s in place] for place in places]
        for law, places in found["steps"].items()
    }
    made = training_speed.shown(training_speed.FULL, found)
    save(made.figure, DOCS / "images" / "isometry-training-speed.png")
    rows = []
    for k, (q, depth) in enumerate(zip(found["q_star"], found["depth"], strict=True)):
        cells = [f"{q:g}", depth]
        for law in training_speed.LAWS:
            middle = np.median(steps[law][k])
            cells += [f"{training_speed.spread(q, depth, law):.3g}",
                      f"{middle:.0f}" if np.isfinite(middle) else "never"]  # fmt: skip
        rows.append(cells)
    head = [r"$q^*$", "depth", r"$\sigma^2_{JJ^T}$, Gaussian", "steps, Gaussian",
            r"$\sigma^2_{JJ^T}$, orthogonal", "steps, orthogonal"]  # fmt: skip
    return f"![Steps to 75 % right](images/isometry-training-speed.png)\n\n{table(head, rows)}"


def layers(data):
    """Statistics of the layers of sigmoid at a few steps, and the picture."""
    values, steps = np.array(data["statistics"]), np.array(data["steps"])
    save(glorot_training.layers_figure(steps, values), DOCS / "images" / "glorot-figure-2.png")
    picked = np.unique(np.geomspace(1, steps.size - 1, 7).astype(int))
    rows = [
        [f"{steps[k]:.0f}", *(f"{m:.2f} ± {s:.2f}" for m, s in values[0, k, :, :2])]
        for k in [0, *picked]
    ]
    head = ["steps", *(f"layer {layer + 1}" for layer in range(values.shape[2]))]
    return f"![Layers in training](images/glorot-figure-2.png)\n\n{table(head, rows)}"


def curves(data):
    """Test errors at a few steps, and the picture."""
    values, steps, names = np.array(data["test_error"]), np.array(data["steps"]), data["curve"]
    figure = glorot_training.curves_figure(names, steps, values, "digits", 100)
    save(figure, DOCS / "images" / "glorot-figure-11.png")
    picked = [round(k * (steps.size - 1)) for k in (0.05, 0.1, 0.25, 0.5, 1.0)]
    rows = [
        [name, *(f"{v[:, k].mean():.3f} ± {v[:, k].std(ddof=1):.3f}" for k in picked)]
        for name, v in zip(names, values, strict=True)
    ]
    head = ["", *(f"{steps[k]:.0f} steps" for k in picked)]
    return f"![Error curves](images/glorot-figure-11.png)\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
