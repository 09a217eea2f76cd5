"""Watch a training: every so many steps, what signals, gradients and updates do."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from chione.base import checks
from chione.torch.capture.tracing import check_model
from chione.torch.monitoring.bands import MonitorBands, judge, off_theory
from chione.torch.monitoring.expected import expected_signals
from chione.torch.monitoring.probe import Probe
from chione.torch.monitoring.record import (
    ExpectedSignal,
    MonitoredStep,
    MonitorRecord,
    Remark,
    TrainingWarning,
    head_line,
    line_of,
)
from chione.torch.monitoring.sinks import LineFile, writer
from chione.torch.monitoring.steps import Steps

_WRAPPERS = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)


class Monitor:
    r"""Measure a model while it trains, and say in words what goes wrong.

    Every `every` steps of the optimizer, from step 0 on: of what leaves each module q, the mean,
    1 - c and the gradient, channels without any gradient; of each parameter the root mean squares
    of weight, gradient and update. They are held against step 0 and against theory,

    .. math:: g_l = \log \frac{n_l G_l}{n_L G_L}, \qquad
       \frac{|\Delta W|}{|W|} \in [10^{-4}, 10^{-2}],

    and each kind of trouble is told once for each layer, as a :class:`TrainingWarning`.

    Parameters
    ----------
    model : Module
        The model, or what ``DataParallel`` or ``torch.compile`` made of it.
    every : int
        Steps from one measurement to the next.
    optimizer : Optimizer or sequence of them, optional
        Those whose steps count; by default all that hold parameters of the model. With several,
        a step is over when each has stepped.
    path : str or Path, optional
        A file for one line of JSON a measurement; :func:`read_record` reads it, also while the
        training runs or when it was cut off. A file that is there is continued.
    logger : object, optional
        A ``SummaryWriter`` of TensorBoard (``add_scalar``), wandb or its run (``log``), a logger
        of Lightning (``log_metrics``), or a function of (values, step).
    scaler : torch.amp.GradScaler, optional
        Its scale is divided out of the gradients of layers; those of parameters have none.
    theory : bool
        Whether to follow the model by theory on its first inputs, with one more pass.
    warn : bool
        Whether remarks are warnings too; they are in ``.record`` anyway.
    bands : MonitorBands, optional
        When to say something.

    Raises
    ------
    TypeError, ValueError
        For a model that cannot be measured, as in :func:`chione.torch.inspect`, an unknown kind of
        logger, or a file that cannot be written.

    Notes
    -----
    Losses, weights and random states are to the last bit those of a training without it: numbers
    are only read. Hooks are there between the optimizer's step before a measured step and its end,
    and are removed when the block is left, by an exception too. What ``torch.compile`` made runs
    eagerly in measured steps, whose losses then differ by rounding. With gradient accumulation
    signals are those of the first batch of a step, and parameters have the sum.

    Examples
    --------
    >>> import torch
    >>> from chione.torch import Monitor
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    >>> optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    >>> with Monitor(net, every=5) as monitor:
    ...     for _ in range(11):
    ...         optimizer.zero_grad()
    ...         net(torch.randn(64, 8)).square().mean().backward()
    ...         _ = optimizer.step()
    >>> [s.step for s in monitor.record.steps], monitor.record.remarks
    ([0, 5, 10], ())
    """

    def __init__(
        self,
        model: torch.nn.Module,
        every: int = 100,
        optimizer: Any = None,
        path: str | Path | None = None,
        logger: Any = None,
        *,
        scaler: Any = None,
        theory: bool = True,
        warn: bool = True,
        bands: MonitorBands | None = None,
    ) -> None:
        inner = check_model(model)
        while isinstance(inner, _WRAPPERS):
            inner = check_model(inner.module)
        self.model = inner
        self.every = checks.integer("every", every)
        self.bands = MonitorBands() if bands is None else bands
        self._warn, self._theory, self._scaler = warn, theory, scaler
        self._write = writer(logger)
        self._path = path
        self._file: LineFile | None = None
        self._steps = Steps(self.model, optimizer, self)
        self._handles: list[Any] = []
        self._probe: Probe | None = None
        self._stance: Any = None
        self._open = False
        self._seen: list[MonitoredStep] = []
        self._remarks: list[Remark] = []
        self._expected: tuple[ExpectedSignal, ...] = ()
        self._notes: list[str] = []
        self.step_number = 0

    # ---- the block ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Begin to watch; a ``with`` block does this."""
        if self._open:
            raise RuntimeError("this Monitor is running already; stop() it first.")
        if self._path is not None:
            self._file = LineFile(self._path)
            self._file.write(head_line(type(self.model).__name__, self.every))
        self._open = True
        self._handles = [
            register_optimizer_step_pre_hook(self._steps.before),
            register_optimizer_step_post_hook(self._steps.after),
        ]
        if self.step_number % self.every == 0:
            self._arm()
        return self

    def stop(self) -> None:
        """Remove everything; the end of a ``with`` block does this."""
        if not self._open:
            return
        self._open = False
        try:
            self._steps.end()
        finally:
            self._disarm()
            for handle in self._handles:
                handle.remove()
            self._handles.clear()
            if self._file is not None:
                self._file.close()
                self._file = None

    def step(self) -> None:
        """Say that a step is over, where no ``torch.optim.Optimizer`` takes it."""
        self._steps.by_hand()

    @property
    def record(self) -> MonitorRecord:
        """Everything seen so far."""
        return MonitorRecord(
            type(self.model).__name__, self.every, tuple(self._seen), tuple(self._remarks),
            self._expected, tuple(self._notes),
        )  # fmt: skip

    # ---- one measured step --------------------------------------------------------------------

    @property
    def measuring(self) -> bool:
        """Whether the step that runs is measured."""
        return self._probe is not None

    def _arm(self) -> None:
        first = self._theory and not self._seen and not self._expected
        self._probe = Probe(self.model, self._first_batch if first else None)
        self._probe.attach()
        self._steps.armed()
        # only who has compiled something has this module, which takes a second to import
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is not None and getattr(torch.compiler, "set_stance", None) is not None:
            self._stance = dynamo.set_stance("force_eager")

    def _disarm(self) -> None:
        stance, self._stance = self._stance, None
        if stance is not None:
            stance.__exit__(None, None, None)
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.detach()

    def _first_batch(self, path: str, module: Any, args: Any, kwargs: Any) -> None:
        found, problem = expected_signals(module, args, kwargs)
        self._expected = tuple(replace(e, name=f"{path}.{e.name}".lstrip(".")) for e in found)
        if problem:
            self._notes.append(problem)

    def finished(self) -> None:
        """All optimizers have stepped: write down what was measured, and look ahead."""
        probe = self._probe
        if probe is not None:
            probe.detach()
            self._close(probe)
            self._disarm()
        self.step_number += 1
        if self._open and self.step_number % self.every == 0:
            self._arm()

    def _close(self, probe: Probe) -> None:
        scale = 1.0 if self._scaler is None else float(self._scaler.get_scale())
        layers = probe.layers(scale)
        if not layers and not self._notes:
            self._notes.append(
                "no module of the model ran as such in a measured step, so there are no signals: "
                "its code was compiled as part of a larger function, or called by its parts."
            )
        now = MonitoredStep(
            self.step_number, layers, self._steps.parameters(), probe.softmax, probe.entropy()
        )
        first = not self._seen
        found = list(judge(now, self._seen, self.bands))
        if first:
            found += off_theory(self._expected, self.bands)
        self._seen.append(now)
        if self._file is not None:
            for e in self._expected if first else ():
                self._file.write(line_of(e))
            self._file.write(line_of(now))
        if self._write is not None:
            self._write(now.scalars(), now.step)
        told = {(r.problem, r.name) for r in self._remarks}
        for remark in found:
            if (remark.problem, remark.name) not in told:
                self._say(remark)

    def _say(self, remark: Remark) -> None:
        self._remarks.append(remark)
        if self._file is not None:
            self._file.write(line_of(remark))
        if self._warn:
            warnings.warn(f"step {remark.step}: {remark.sentence}", TrainingWarning, stacklevel=6)
