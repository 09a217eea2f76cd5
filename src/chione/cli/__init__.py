"""The command line: `chione COMMAND ...`. Argument parsing and printing, no mathematics."""

from chione.cli.app import main

__all__ = ["main"]
