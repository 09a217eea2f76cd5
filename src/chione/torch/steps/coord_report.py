"""What a coordinate check returns: slopes over the width, read in words."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np

from chione.base import AbstractResult, Array, Estimate, along, paragraph, result, text_table
from chione.torch.steps.exponents import ModelParametrization

_NOISY = 0.25  # an error bar beyond which flat cannot be told from a half


@final
@result
class CoordCheck(AbstractResult):
    r"""How the change of each layer's output goes with the width.

    Parameters
    ----------
    widths : ndarray, shape (W,)
        The widths.
    seeds, steps : int
        Models of each width, and steps that each took.
    optimizer : str
        The optimiser of the first width.
    layers, operations : tuple of str, length R
        Rows of the models, in order of execution.
    values, changes : ndarray, shape (R, W, S)
        Root mean squares of h at the start and of dh, by row, width and seed.
    value_slopes, slopes : Estimate, shape (R,)
        Their slopes over the logarithm of the width.
    tolerance : float
        Slopes up to this size count as flat.
    parametrization : ModelParametrization or None
        Its name, from the weights and rates.
    notes : tuple of str
        What could not be done, and why.
    """

    axes = along("layer", "value_slopes", "slopes") | along(
        "layer widths seed", "values", "changes"
    )

    widths: Array
    seeds: int
    steps: int
    optimizer: str
    layers: tuple[str, ...]
    operations: tuple[str, ...]
    values: Array
    changes: Array
    value_slopes: Estimate
    slopes: Estimate
    tolerance: float
    parametrization: ModelParametrization | None
    notes: tuple[str, ...]

    @property
    def readings(self) -> tuple[str, ...]:
        """Of each layer: flat, grows, shrinks, does not move, or not told."""
        return tuple(self._reading(i) for i in range(len(self.layers)))

    @property
    def flat(self) -> bool:
        """Whether all layers are told to be flat."""
        return all(reading.startswith("flat") for reading in self.readings)

    @property
    def sentence(self) -> str:
        """The answer for a reader."""
        one = "one step" if self.steps == 1 else f"{self.steps} steps"
        growing = [
            f"{name} (n^{float(s):.2f})"
            for name, s, word in zip(self.layers, self.slopes.value, self.readings, strict=True)
            if word.startswith("grows")
        ]
        if self.flat:
            return f"Flat: {one} moves every layer alike at all widths, within noise."
        if growing:
            more = f" and {len(growing) - 4} more" if len(growing) > 4 else ""
            return (
                f"Not flat: in {one} wider models move more at {', '.join(growing[:4])}{more}; the "
                f"best learning rate falls with the width."
            )
        words = [word.split(" ")[0] for word in self.readings]
        if all(word in ("flat", "shrinks") for word in words):
            names = [n for n, word in zip(self.layers, words, strict=True) if word == "shrinks"]
            return (
                f"Not flat: in {one} wider models move less at {', '.join(names[:4])}"
                f"{f' and {len(names) - 4} more' if len(names) > 4 else ''}; nothing grows."
            )
        return f"Not told for all layers; of {one} see the column on the right."

    def _reading(self, i: int) -> str:
        found, error = float(self.slopes.value[i]), float(self.slopes.error[i])
        if not np.all(np.isfinite(self.changes[i])):
            return "overflows at some width: take a smaller learning rate"
        if not math.isfinite(found):
            return f"does not move in {self.steps} step{'s' if self.steps > 1 else ''}"
        told = f"n^{found:.2f} +- {error:.2f}"
        if abs(found) <= max(error, self.tolerance):
            return f"flat within noise: {told}" if error <= _NOISY else f"too noisy: {told}"
        if error > abs(found):
            return f"too noisy: {told}"
        return f"{'grows' if found > 0.0 else 'shrinks'} like {told}"

    def __str__(self) -> str:
        ends = (int(np.argmin(self.widths)), int(np.argmax(self.widths)))
        heads = ["layer", "operation", *(f"|dh| at {int(self.widths[k])}" for k in ends)]
        heads += [
            "|h| at start",
            "|dh| of a step" if self.steps == 1 else f"|dh|, {self.steps} steps",
        ]
        rows = []
        for i, name in enumerate(self.layers):
            sizes = [_typical(self.changes[i, k]) for k in ends]
            start = float(self.value_slopes.value[i])
            begin = "" if math.isnan(start) else f"n^{start:.2f}"
            rows.append([name, self.operations[i], *sizes, begin, self.readings[i]])
        widths = ", ".join(str(int(n)) for n in self.widths)
        title = f"Widths {widths}; {self.seeds} models each; {self.optimizer}"
        blocks = [title, text_table(heads, rows, align="<<>>><"), paragraph(self.sentence)]
        if self.parametrization is not None:
            blocks.append(paragraph(f"Parametrisation {self.parametrization.parametrization}"))
        return "\n\n".join([*blocks, *(paragraph(f"note: {note}") for note in self.notes)])

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw dh over the width for each layer, and the slopes with their errors."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.saving import save
        from chione.plotting.torch_steps import coord_picture

        figure = assemble(coord_picture(self), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


def _typical(x: Array) -> str:
    """Geometric mean over seeds."""
    if not np.all(np.isfinite(x)):
        return "inf"
    return f"{math.exp(float(np.log(x).mean())):.3g}" if np.all(x > 0.0) else "0"
