"""The atlas: a page for each activation, written from the code at each build."""

from atlas.build import write_atlas

__all__ = ["write_atlas"]
