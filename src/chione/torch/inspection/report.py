"""What `inspect` returns: all layers, a verdict, and ways to read them."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Any

from chione.base import AbstractResult, checks, plain, result
from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.folding import Parameter
from chione.torch.inspection.parameter_report import ParameterReport
from chione.torch.inspection.text import full_table, report_text, short_table


@result
class Verdict(AbstractResult):
    """Whether the model can train as it is, and if not where, why and what to do.

    Parameters
    ----------
    trains : {"yes", "doubtful", "no"}
        The answer of the rule in :mod:`chione.theory.depth.trainability`: plain gradient descent
        trains it; it depends on the optimiser; neither does.
    problem : str
        "none", "vanishing gradient", "exploding gradient", "vanishing signal", "exploding signal",
        "collapsed inputs", "dead units" (all units of a layer pass no gradient for any input),
        "copied units" (all units of a layer stay equal), "no gradient" (trainable parameters never
        get one) or "degenerate batch" (what was measured tells of the batch, not of the model).
    layer : str or None
        The first layer where it goes wrong.
    cause, fix : str
        One sentence each; empty if nothing is wrong.
    warnings : tuple of str
        What does not prevent training but is worth knowing.
    notes : tuple of str
        What is no fault at all but explains what was measured, such as "identity at the start".
    parameters : tuple of str
        Names of the trainable parameters that never get a gradient.
    """

    trains: str
    problem: str = "none"
    layer: str | None = None
    cause: str = ""
    fix: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def trainable(self) -> bool:
        """Whether some optimiser may train it: not a "no"."""
        return self.trains != "no"

    @property
    def sentence(self) -> str:
        """The verdict for a reader."""
        if self.trains == "yes":
            return "Trainable: signals, gradients and differences between inputs survive the depth."
        where = f" at layer {self.layer!r}" if self.layer else ""
        word = "Not trainable" if self.trains == "no" else "Doubtful"
        return f"{word}, {self.problem}{where}. {self.cause} {self.fix}".strip()


@result
class InspectionReport(AbstractResult):
    """Signals and gradients of a real model on a real batch.

    Parameters
    ----------
    layers : tuple of LayerReport
        In order of execution.
    verdict : Verdict
    model : str
        Name of the class.
    batch : int
        Number of inputs.
    output_shape : tuple of int
    loss : str
        What the gradients are of.
    projections, seed : int
        Number of random projections and their seed.
    training : bool
        Whether the model was in training mode.
    input_one_minus_c : float
        1 - c of the inputs, NaN if they are integers.
    shared : tuple of tuple of str
        Names of parameters that are one tensor.
    notes : tuple of str
        What could not be measured, and why.
    parameters : tuple of ParameterReport
        Each parameter: its size, its gradient, and why it gets none where it gets none.
    """

    layers: tuple[LayerReport, ...]
    verdict: Verdict
    model: str
    batch: int
    output_shape: tuple[int, ...]
    loss: str
    projections: int
    seed: int
    training: bool
    input_one_minus_c: float
    shared: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = field(default=())
    parameters: tuple[ParameterReport, ...] = ()

    def __getitem__(self, name: str) -> LayerReport:
        """The layer of that name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise KeyError(f"no layer named {name!r}; the layers are {names}")

    def __str__(self) -> str:
        table, short = short_table(self.layers, self._counted(), self.verdict.layer)
        return self._page_of(table, short=short)

    def table(self, depth: int | None = None, *, fold: bool = False) -> str:
        """The layers as text; ``print(report)`` shows as many lines of it as a screen holds.

        Columns are those that the width of the screen has room for (``COLUMNS`` says how wide).

        Parameters
        ----------
        depth : int, optional
            Words of the paths that are told apart: with 1 each child of the model is one line.
            None, the default, goes down to the last layer.
        fold : bool
            Whether repeated blocks are written once, with their number and the values of the
            first and the last of them. The default False writes every layer.

        Returns
        -------
        str
        """
        return self._lines(depth, fold)[0]

    def page(self, depth: int | None = None, *, fold: bool = False) -> str:
        """Title, :meth:`table`, notes and verdict."""
        table, short = self._lines(depth, fold)
        return self._page_of(table, short=short)

    def _lines(self, depth: int | None, fold: bool) -> tuple[str, bool]:
        depth = None if depth is None else checks.integer("depth", depth)
        alone = self.verdict.layer if fold else None
        return full_table(self.layers, self._counted(), depth, fold, alone)

    def _counted(self) -> tuple[Parameter, ...]:
        return tuple((p.name, p.numel, p.trainable) for p in self.parameters)

    def _size(self) -> str:
        """How many parameters there are, and how many of them can be trained."""
        counts = self._counted()
        total, trainable = sum(n for _, n, _ in counts), sum(n for _, n, trains in counts if trains)
        some = "all" if trainable == total else f"{trainable:,}"
        return f"parameters: {total:,}, {some} of them trainable."

    def _page_of(self, table: str, *, short: bool) -> str:
        mode = "training" if self.training else "evaluation"
        title = (
            f"{self.model}: {len(self.layers)} layers, batch of {self.batch}, {mode} mode, "
            f"gradients of {self.loss}"
        )
        notes = [self._size()] if self.parameters else []
        notes += [f"warning: {w}" for w in self.verdict.warnings]
        notes += [f"note: {n}" for n in (*self.verdict.notes, *self.notes)]
        notes += [f"shared: {' = '.join(names)}" for names in self.shared]
        return report_text(title, table, notes, self.verdict.sentence, short=short)

    def _parts(self) -> dict[str, Any]:
        """Everything as plain JSON types, numbers that are not finite as None."""
        out: dict[str, Any] = plain(asdict(self))
        out["verdict"]["trainable"] = self.verdict.trainable
        out["verdict"]["sentence"] = self.verdict.sentence
        for row, layer in zip(out["layers"], self.layers, strict=True):
            row["correlation"] = plain(layer.correlation)
        return out

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw mean square, correlation and gradient over the layers, theory as lines."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.saving import save
        from chione.plotting.torch_report import layers_picture

        figure = assemble(layers_picture(self.to_dict()), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure

    def assert_trainable(self) -> None:
        """Raise AssertionError with the verdict if the model cannot train, for a test suite."""
        if not self.verdict.trainable:
            raise AssertionError(self.verdict.sentence)
