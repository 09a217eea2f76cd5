"""What `largest_learning_rate` returns, and what it says to a reader."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, final

from chione.base import AbstractResult, Array, Estimate, along, paragraph, result, text_table

PLAIN = "2 / lambda"


@final
@result
class LargestLearningRate(AbstractResult):
    r"""Up to which learning rate steps on a batch are stable.

    Parameters
    ----------
    model, optimizer : str
        Class of the model, and the optimiser.
    batch, parameters, outputs : int
        Numbers of inputs, of trained parameters, and of entries of the output.
    loss : float
        At the start.
    limit : float
        s in :math:`\eta_{\max} = s / \lambda`; NaN where the optimiser has no rule.
    rule : str
        The same in words.
    sharpness : Estimate
        :math:`\lambda`, the largest eigenvalue of the Gauss-Newton matrix as the optimiser sees
        it: for Adam with its preconditioner, weight decay included.
    learning_rate : Estimate
        :math:`\eta_{\max}`.
    critical : Estimate
        The learning rate at which the loss after the first step is what it was; a lower bound,
        INEXACT, where the forward passes did not suffice; inf where the loss does not rise.
    forwards, lanczos_steps : int
        Forward passes that `critical` took, and Lanczos steps that `sharpness` took.
    hessian : Estimate, shape (2,), or None
        Smallest and largest eigenvalue of the Hessian, if asked for.
    theory : Estimate or None
        :math:`\eta_{\max}` of the wide network, from its tangent kernel; its error is that of the
        numbers, not of the finite width.
    adaptive : bool
        Whether the optimiser has a preconditioner.
    rehearsed : int
        Steps that were taken at half the limit.
    later : Estimate or None
        The limit behind them.
    rates, losses : ndarray, shape (k,)
        The learning rates that were tried along the first step, and the loss behind each.
    seed : int
        Seed of the start vector.
    notes : tuple of str
        What could not be done, and why.
    """

    axes = along("end", "hessian") | along("rates", "losses")

    model: str
    optimizer: str
    batch: int
    parameters: int
    outputs: int
    loss: float
    limit: float
    rule: str
    sharpness: Estimate
    learning_rate: Estimate
    critical: Estimate
    forwards: int
    lanczos_steps: int
    hessian: Estimate | None
    theory: Estimate | None
    adaptive: bool
    rehearsed: int
    later: Estimate | None
    rates: Array
    losses: Array
    seed: int
    notes: tuple[str, ...]

    @property
    def critical_sharpness(self) -> float:
        """2 / critical, which is lambda for plain descent along the steepest direction."""
        return 2.0 / float(self.critical.value)

    @property
    def sentence(self) -> str:
        """The answer for a reader."""
        return " ".join([*self._sentences(), *self._rehearsal()])

    def _sentences(self) -> Iterator[str]:
        rate, critical = float(self.learning_rate.value), float(self.critical.value)
        word = self.optimizer.split("(")[0]
        if math.isfinite(critical) and math.isinf(self.critical.error):
            after = (
                f"at {critical:.3g}, where the search of {self.forwards} forward passes ended, the "
                f"loss is still lower after the first step."
            )
        elif math.isfinite(critical):
            after = f"above {critical:.3g} the loss is higher after the first step than before it."
        elif math.isinf(critical):
            after = "along the first step the loss does not rise again, however long the step is."
        else:
            after = "the first step does not descend, so it has no critical learning rate."
        if math.isnan(rate):
            yield after[0].upper() + after[1:]
        elif self.adaptive:
            yield after[0].upper() + after[1:]
            yield (
                f"With the preconditioner held where it is, steps would grow beyond {rate:.3g}, "
                f"but {word} changes it quickly at the start: this is no forecast."
            )
        elif math.isinf(rate):
            yield f"The curvature sets no limit; {after}"
        elif self.rule == PLAIN and critical > rate:
            yield (
                f"Below a learning rate of {rate:.3g} full-batch {word} is stable in every "
                f"direction, as long as the curvature stays; {after} Between the two it jumps "
                f"along the sharpest direction: a squared loss may rise and settle where it is "
                f"flatter, cross entropy mostly goes on falling."
            )
        else:
            yield (
                f"Below a learning rate of {rate:.3g} full-batch {word} is stable in every "
                f"direction, as long as the curvature stays; {after}"
            )

    def _rehearsal(self) -> Iterator[str]:
        if self.later is None or not math.isfinite(self.later.value):
            return
        half = 0.5 * float(self.critical.value if self.adaptive else self.learning_rate.value)
        later = float(self.later.value)
        fate = "below it: training starts to jump" if later < half else "above it"
        yield (
            f"After {self.rehearsed} steps at a learning rate of {half:.3g} the limit is "
            f"{later:.3g}, {fate}."
        )

    def __str__(self) -> str:
        title = (
            f"{self.model}: {self.parameters} trained parameters, batch of {self.batch}, "
            f"{self.optimizer}"
        )
        rows = [("loss at the start", f"{self.loss:.6g}", "")]
        words = "largest eigenvalue, Gauss-Newton" + (", preconditioned" if self.adaptive else "")
        rows.append((words, *_pair(self.sharpness)))
        if not math.isnan(self.limit):
            rows.append((f"learning rate, {self.rule}", *_pair(self.learning_rate)))
        if self.theory is not None:
            rows.append(("the same by theory (infinite width)", *_pair(self.theory)))
        rows.append((f"critical learning rate ({self.forwards} forwards)", *_pair(self.critical)))
        if self.hessian is not None:
            for k, end in ((1, "largest"), (0, "smallest")):
                value, error = (float(x[k]) for x in (self.hessian.value, self.hessian.error))
                rows.append((f"{end} eigenvalue, Hessian", f"{value:.5g}", f"{error:.1g}"))
        if self.later is not None:
            rows.append((f"the limit after {self.rehearsed} steps at half", *_pair(self.later)))
        blocks = [title, text_table(("", "value", "error"), rows, align="<>>")]
        blocks.append(paragraph(self.sentence))
        return "\n\n".join([*blocks, *(paragraph(f"note: {note}") for note in self.notes)])

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw the loss behind the first step over its learning rate, and the limits."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.saving import save
        from chione.plotting.torch_steps import rate_picture

        figure = assemble(rate_picture(self), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


def _pair(x: Estimate) -> tuple[str, str]:
    value, error = float(x.value), float(x.error)
    if not math.isfinite(value):
        return ("none" if math.isinf(value) else "not known"), ""
    if math.isinf(error):
        return f"above {value:.3g}", ""
    return f"{value:.5g}", f"{error:.1g}"
