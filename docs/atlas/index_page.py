"""The first page of the atlas: a table that sorts, and what holds for every page."""

from __future__ import annotations

import math
from typing import Any

from atlas import snippets
from atlas.across import ACROSS
from atlas.facts import DEPTH, Facts
from atlas.schemes import WIDTH, Outcome
from atlas.words import number, row_table
from chione.diagnosis.numbers import power_text, value_text

HEAD = (
    "activation", "class", "advice", "sigma_w", "sigma_b", "chi_parallel",
    "gradient", "PyTorch's default", "He",
)  # fmt: skip


def summary(found: Facts) -> dict[str, Any]:
    """What the first page says of an activation, as plain data."""
    point = found.plain if found.plain.exists else found.best
    kind = point.kind if found.plain.exists else "only changed" if point.exists else "none"
    at = {name: next(o for o in runs if o.depth == DEPTH) for name, runs in found.rows.items()}
    return {
        "title": found.entry.title,
        "universality": found.criticality.universality,
        "kind": kind,
        "sigma_w": number(point.sigma_w) if point.exists else "",
        "sigma_b": number(point.sigma_b) if point.exists else "",
        "chi_parallel": value_text(point.chi_parallel, 5) if point.exists else "",
        "gradient": power_text(point.log10_gradient) if point.exists else "",
        **{name: _usual(at.get(name)) for name in ("pytorch", "he")},
    }


def _usual(out: Outcome | None) -> str:
    """Gradient and answer of a usual scheme; nothing where it was not followed."""
    return "" if out is None else f"{power_text(out.log10_gradient)}, {out.trains}"


def index_page(rows: dict[str, dict[str, Any]], torch_names: dict[str, str]) -> str:
    """The page as Markdown; `rows` by the names of the pages."""
    keys = (
        "universality",
        "kind",
        "sigma_w",
        "sigma_b",
        "chi_parallel",
        "gradient",
        "pytorch",
        "he",
    )
    table = [
        (f"[{row['title']}]({slug}.md)", *(row[key] for key in keys)) for slug, row in rows.items()
    ]
    std, variance = snippets.truncation()
    lost = snippets.decades_lost(DEPTH)
    names = ", ".join(f"[{name}]({slug}.md)" for name, slug in sorted(torch_names.items()))
    toctree = ["```{toctree}", ":hidden:", "", *rows, "across", "```"]
    example = snippets.Numbers(math.sqrt(2.0), 0.1)
    return "\n".join(
        [
            "# Atlas of activations",
            "",
            f"One page for each of {len(rows)} activations: its moments, where signals keep their "
            "length and gradients their size, which initialisation to use and what that trades, "
            "the usual ones beside it, and the number to paste. All of it is computed when these "
            "pages are built; of every number the error is on its page.",
            "",
            f"The advice is that for {DEPTH} layers of width {WIDTH} with the activation as it is, "
            "or, where that has none, for an affine change of it. *Gradient* is the factor on the "
            "mean square gradient over those layers; the last two columns have the same for "
            "PyTorch's default of `Linear` and for He's, and whether that trains. A click on a "
            "head sorts.",
            "",
            '<div class="atlas-table">',
            "",
            *row_table(HEAD, table, "lllrrrrrr"),
            "",
            "</div>",
            "",
            "PyTorch's names: " + names + ".",
            "",
            "## The numbers in your framework",
            "",
            r"`sigma_w` and `sigma_b` are standard deviations: weights have variance "
            "sigma_w^2 over the number of inputs, biases sigma_b^2. With "
            f"{number(example.sigma_w)} and {number(example.sigma_b)}:",
            "",
            "```python",
            snippets.pytorch(example),
            "",
            snippets.flax(example),
            "",
            snippets.keras(example),
            "```",
            "",
            "Orthogonal weights, of a layer with as many outputs as inputs:",
            "",
            "```python",
            *(
                write(snippets.Numbers(example.sigma_w, 0.1, "orthogonal"))
                for write in (snippets.pytorch, snippets.flax, snippets.keras)
            ),
            "```",
            "",
            "**Truncated normals.** A normal cut at two standard deviations has "
            f"{number(std, 8)} of the deviation and {number(variance, 6)} of the variance. "
            "`variance_scaling` of JAX and `VarianceScaling` of Keras with `truncated_normal` make "
            "up for that. What does not: `keras.initializers."
            "TruncatedNormal(stddev=...)` and `jax.nn.initializers.truncated_normal(stddev=...)` "
            "take the deviation before the cut, so a critical network loses "
            f"{abs(lost):.1f} decades of mean square gradient over {DEPTH} layers. "
            "`torch.nn.init.trunc_normal_` cuts at -2 and 2 whatever `std` is, which for small "
            "deviations is no cut at all.",
            "",
            'In Keras `distribution="untruncated_normal"` is the plain normal; JAX calls the same '
            '`"normal"`.',
            "",
            *toctree,
            "",
            "```{raw} html",
            SORTING,
            "```",
            "",
        ]
    )


def torch_names(entries: Any) -> dict[str, str]:
    """Names of torch.nn with the page that each is on."""
    named = {}
    for entry in entries:
        if entry.torch.startswith("torch.nn.") and "approximate" not in entry.torch:
            named[entry.torch.removeprefix("torch.nn.").partition("(")[0]] = entry.slug
    return named | dict.fromkeys(ACROSS, "across")


# Without it the table stands as it is written, in the order of the catalogue.
SORTING = """<style>
.atlas-table { overflow-x: auto; }
.atlas-table th button { all: unset; cursor: pointer; text-decoration: underline dotted; }
.atlas-table th button:focus-visible { outline: 2px solid #0072B2; }
.atlas-table th[aria-sort=ascending] button::after { content: " \\25B4"; }
.atlas-table th[aria-sort=descending] button::after { content: " \\25BE"; }
.atlas-table td { white-space: nowrap; }
</style>
<script>
(() => {
  const table = document.querySelector(".atlas-table table");
  if (!table) return;
  const body = table.tBodies[0];
  const key = (row, i) => row.cells[i].textContent.trim();
  const size = (text) => (text === "infinite" ? Infinity : parseFloat(text));
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        const [u, v] = [size(x), size(y)];
        // what has no number stands last in both directions
        if (isNaN(u) !== isNaN(v)) return isNaN(u) ? 1 : -1;
        const order = isNaN(u) ? x.localeCompare(y) : u - v;
        if (!x !== !y) return x ? -1 : 1;
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
})();
</script>"""
