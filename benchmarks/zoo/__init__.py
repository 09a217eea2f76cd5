"""A zoo of small models of six families, each with the label that training it gave."""

from zoo.catalogue import ENTRIES, Entry, build
from zoo.labels import LABELS, halves
from zoo.tasks import TASKS, Task
from zoo.training import RATES, STEPS, Run, label, train

__all__ = [
    "ENTRIES", "LABELS", "RATES", "STEPS", "TASKS", "Entry", "Run", "Task",
    "build", "halves", "label", "train",
]  # fmt: skip
