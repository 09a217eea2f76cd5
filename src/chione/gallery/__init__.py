"""The sources' figures and tables, each with the data behind it and a numerical check."""

from chione.gallery.catalogue import ENTRIES, find
from chione.gallery.entry import Check, Entry, Reproduction, Variable
from chione.gallery.writing import write

__all__ = ["ENTRIES", "Check", "Entry", "Reproduction", "Variable", "find", "write"]
