r"""Many networks of one depth, width and activation trained side by side, backward by hand.

Signals stand in columns: with a row of ones below them, one product does weights and biases,

.. math::
    h^{l+1} = [W^{l+1}\, b^{l+1}] \begin{pmatrix} \phi(h^l) \\ 1 \end{pmatrix}, \qquad
    \delta^l = \phi'(h^l) \circ (W^{l+1})^T \delta^{l+1}, \qquad
    [\partial W^{l+1}\, \partial b^{l+1}] = \delta^{l+1} \begin{pmatrix} \phi(h^l) \\ 1
    \end{pmatrix}^T,

with :math:`\delta = (\mathrm{softmax}(y) - e_{label}) / B` at the read-out. Products are stacked
over networks, each the same BLAS call whatever stands beside it, so a network's numbers do not
depend on its neighbours.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from chione.activations import AbstractActivation
from chione.base import SpecError
from chione.base.engines.blas import one_thread
from chione.sweeps.chunk import SHARES, WINDOW, Chunk, Observer, batches
from chione.sweeps.initial import Weights, draw, trained_activation
from chione.sweeps.stacking import members_at_a_time
from chione.sweeps.tasks import Task
from chione.sweeps.training import Outcome, Training

__all__ = ["SHARES", "WINDOW", "batches", "train"]


def train(
    trainings: Sequence[Training], task: Task, observe: Observer | None = None
) -> list[Outcome]:
    """Train networks of one bundle.

    Parameters
    ----------
    trainings : sequence of Training
        All with the same :attr:`Training.bundle`.
    task : Task
        What they learn, see :func:`chione.sweeps.tasks.load_task`.
    observe : callable, optional
        Called before each step and after the last with (steps done, trainings that go on, of each
        layer their stacked weights [W b]), see :data:`chione.sweeps.chunk.Observer`.

    Returns
    -------
    list of Outcome
        In the order of `trainings`; apart from seconds, an outcome is the same bit for bit
        whatever else is trained with it. A network that cannot be drawn has failed, with the
        reason; the others go on.

    Raises
    ------
    SpecError
        If the trainings do not belong together, or not to the task.
    """
    members = list(trainings)
    _check(members, task)
    out: dict[int, Outcome] = {}
    alike: dict[str, list[int]] = {}
    acts: dict[str, AbstractActivation] = {}
    for i, t in enumerate(members):
        try:
            act = trained_activation(t)
        except (ValueError, TypeError, ArithmeticError) as err:
            out[i] = Outcome("failed", message=str(err))
            continue
        acts[act.name] = act
        alike.setdefault(act.name, []).append(i)
    for name, same in alike.items():
        size = members_at_a_time(members[same[0]])
        for start in range(0, len(same), size):
            part = same[start : start + size]
            with one_thread():  # products that threads share round otherwise, and are slower here
                done = _together([members[i] for i in part], acts[name], task, observe)
            out.update(zip(part, done, strict=True))
    return [out[i] for i in range(len(members))]


def _together(
    members: list[Training], act: AbstractActivation, task: Task, observe: Observer | None
) -> list[Outcome]:
    """Outcomes of a chunk; those whose weights cannot be drawn have failed."""
    start = time.perf_counter()
    drawn: dict[int, Weights] = {}
    out: dict[int, Outcome] = {}
    for i, t in enumerate(members):
        try:
            drawn[i] = draw(t, act, task)
        except (ValueError, TypeError, ArithmeticError) as err:
            out[i] = Outcome("failed", message=str(err))
    if drawn:
        seconds = (time.perf_counter() - start) / len(drawn)
        chunk = Chunk([members[i] for i in drawn], list(drawn.values()), act, task)
        for i, o in zip(drawn, chunk.run(observe), strict=True):
            out[i] = replace(o, seconds=o.seconds + seconds)
    return [out[i] for i in range(len(members))]


def _check(members: list[Training], task: Task) -> None:
    for t in members[1:]:
        if t.bundle != members[0].bundle:
            raise SpecError(
                f"Trainings of one bundle must agree in activation, sizes, optimiser, steps, "
                f"batch, dropout, dtype and data, but {t.bundle} and {members[0].bundle} do not; "
                f"train them apart."
            )
    if members and members[0].data not in (task.name, task.digest):
        raise SpecError(
            f"These trainings are for the data {members[0].data!r}, but the task is "
            f"{task.name!r} (digest {task.digest}); load the task that they name."
        )
