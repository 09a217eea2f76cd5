"""Many small trainings, to see whether networks train where theory says they do."""

from chione.sweeps.plan import SweepPlan
from chione.sweeps.results import SweepResult
from chione.sweeps.sweep import sweep
from chione.sweeps.training import Outcome, Training

__all__ = ["Outcome", "SweepPlan", "SweepResult", "Training", "sweep"]
