"""Where theory and simulation stand side by side: the main job, the table of gains."""

from chione.diagnosis.alternatives import Alternative
from chione.diagnosis.analysis import Analysis
from chione.diagnosis.analyze import analyze
from chione.diagnosis.gain_table import GainRow, GainTable, gain_table
from chione.diagnosis.measure import Measured, Slopes
from chione.diagnosis.network_analysis import NetworkAnalysis, analyze_network
from chione.diagnosis.network_changes import NetworkChange
from chione.diagnosis.phases import Phase
from chione.diagnosis.picture import AnalysisPicture
from chione.diagnosis.verdict import Verdict

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
