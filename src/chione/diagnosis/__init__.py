"""Where theory and simulation stand side by side: the main job, the table of gains."""

from chione.diagnosis.alternatives import Alternative
from chione.diagnosis.analyze import Analysis, analyze
from chione.diagnosis.gain_table import GainRow, GainTable, gain_table
from chione.diagnosis.measure import Measured, Slopes
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
    "Phase",
    "Slopes",
    "Verdict",
    "analyze",
    "gain_table",
]
