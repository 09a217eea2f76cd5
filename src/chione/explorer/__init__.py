"""The explorer: one page on which initialisations are dragged about, its data made from theory."""

from chione.explorer.build import page, write_page
from chione.explorer.explore import Explorer, explore
from chione.explorer.state import fragment

__all__ = ["Explorer", "explore", "fragment", "page", "write_page"]
