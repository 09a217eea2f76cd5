"""Where theory and simulation stand side by side: the main job, the table of gains."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chione.diagnosis.alternatives import Alternative
from chione.diagnosis.analysis import Analysis
from chione.diagnosis.analyze import analyze
from chione.diagnosis.gain_table import GainRow, GainTable, gain_table
from chione.diagnosis.measure import Measured, Slopes
from chione.diagnosis.phases import Phase
from chione.diagnosis.picture import AnalysisPicture
from chione.diagnosis.verdict import Verdict

# What layer kinds need is imported when it is first asked for: plain networks do without it.
if TYPE_CHECKING:
    from chione.diagnosis.network_analysis import NetworkAnalysis, analyze_network
    from chione.diagnosis.network_changes import NetworkChange

_LATE = {
    "NetworkAnalysis": "chione.diagnosis.network_analysis",
    "analyze_network": "chione.diagnosis.network_analysis",
    "NetworkChange": "chione.diagnosis.network_changes",
}

__all__ = [
    "Alternative",
    "Analysis",
    "AnalysisPicture",
    "GainRow",
    "GainTable",
    "Measured",
    "NetworkAnalysis",
    "NetworkChange",
    "Phase",
    "Slopes",
    "Verdict",
    "analyze",
    "analyze_network",
    "gain_table",
]


def __getattr__(name: str) -> Any:
    """A public name of the layer kinds, imported now."""
    if name not in _LATE:
        raise AttributeError(f"module 'chione.diagnosis' has no attribute {name!r}")
    found = getattr(import_module(_LATE[name]), name)
    globals()[name] = found
    return found
