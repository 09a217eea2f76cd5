"""Many small trainings, to see whether networks train where theory says they do."""

from chione.sweeps.boundary import boundary
from chione.sweeps.boundary_result import BoundaryResult
from chione.sweeps.plan import SweepPlan
from chione.sweeps.results import SweepResult
from chione.sweeps.scheme_table import SchemeTable
from chione.sweeps.schemes import which_initialisation
from chione.sweeps.sweep import sweep
from chione.sweeps.training import Outcome, Training

__all__ = [
    "BoundaryResult",
    "Outcome",
    "SchemeTable",
    "SweepPlan",
    "SweepResult",
    "Training",
    "boundary",
    "sweep",
    "which_initialisation",
]
