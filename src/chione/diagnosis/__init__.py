"""Where theory and simulation stand side by side: the main job, the table of gains."""

from chione.diagnosis.alternatives import Alternative
from chione.diagnosis.analyze import Analysis, analyze
from chione.diagnosis.gain_table import GainRow, GainTable, gain_table
from chione.diagnosis.measure import Measured, Slopes
from chione.diagnosis.verdict import Verdict

__all__ = [
    "Alternative",
    "Analysis",
    "GainRow",
    "GainTable",
    "Measured",
    "Slopes",
    "Verdict",
    "analyze",
    "gain_table",
]
