"""Slips in the sources, each with a number that shows it."""

from chione.gallery.errata.page import SLIPS, errata_markdown
from chione.gallery.errata.slip import Evidence, Slip

__all__ = ["SLIPS", "Evidence", "Slip", "errata_markdown"]
