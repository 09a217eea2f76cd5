"""`chione reproduce`: the gallery, one figure or table of the sources at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from chione.gallery import ENTRIES, Entry, Reproduction, find, write


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="List the entries and stop.")
@click.option("--all", "everything", is_flag=True, help="Make every entry.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the files "
    "(default: gallery); with --check alone nothing is written unless it is given.",
)
@click.option("--quick", is_flag=True, help="Small networks and few points.")
@click.option("--check", is_flag=True, help="Exit with 1 if a numerical check fails.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    listing: bool,
    everything: bool,
    out: Path | None,
    quick: bool,
    check: bool,
) -> None:
    """Make the figures and tables of the sources again: picture, data, caption and check.

    For each entry NAME.png, NAME.svg, NAME.npz and NAME.txt are written, and NAME.nc where the
    extra `data` is installed.

    \b
    Example: chione reproduce poole-figure-1 --quick --out figures
    """
    if listing:
        wide = max(map(len, ENTRIES))
        for entry in ENTRIES.values():
            click.echo(f"{entry.name:<{wide}}  {entry.title}")
        return
    if everything == (name is not None):
        raise click.UsageError("Name one entry or give --all; --list shows the entries.")
    chosen = list(ENTRIES.values()) if name is None else [find(name)]
    folder = out if out is not None or check else Path("gallery")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    with _progress(chosen) as each:
        for entry in each:
            made = entry.make(quick)
            if folder is not None:
                write(entry, made, folder)
            _report(entry, made)
            failed += sum(not c.passed for c in made.checks)
    if folder is not None:
        click.echo(f"Wrote {len(chosen)} entries to {folder}", err=True)
    if failed:
        click.echo(f"{failed} checks fail.", err=True)
        ctx.exit(1 if check else 0)


def _report(entry: Entry, made: Reproduction) -> None:
    click.echo(f"{entry.name}: {entry.title}")
    for c in made.checks:
        click.echo(f"  {c.sentence}")


@contextmanager
def _progress(chosen: list[Entry]) -> Iterator[Iterator[Entry]]:
    """The entries one by one, with a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield iter(chosen)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("entries", total=len(chosen))

        def each() -> Iterator[Entry]:
            for entry in chosen:
                bar.update(task, description=entry.name)
                yield entry
                bar.advance(task)

        yield each()
