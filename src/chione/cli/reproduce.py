"""`chione reproduce`: the gallery, one figure or table of the sources at a time."""

from __future__ import annotations

from pathlib import Path

import click

from chione.base import check_writable
from chione.cli.parameters import ENTRY, with_effort
from chione.cli.progress import counting
from chione.gallery import ENTRIES, Entry, Reproduction, find, write


@click.command()
@click.argument("name", type=ENTRY, required=False)
@click.option("--list", "listing", is_flag=True, help="List the entries and stop.")
@click.option("--all", "everything", is_flag=True, help="Make every entry.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the data, and of picture and caption beside them "
    "(default: gallery); with --check alone nothing is written unless it is given.",
)
@click.option("--quick", is_flag=True, help="Small networks and few points.")
@click.option("--check", is_flag=True, help="Exit with 1 if a numerical check fails.")
@click.pass_context
@with_effort
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
        check_writable(folder / f"{chosen[0].name}.npz")
    failed = 0
    with counting("entries", len(chosen)) as advance:
        for done, entry in enumerate(chosen, 1):
            made = entry.make(quick)
            if folder is not None:
                write(entry, made, folder)
            _report(entry, made)
            failed += sum(not c.passed for c in made.checks)
            if advance is not None:
                advance(done, len(chosen))
    if folder is not None:
        click.echo(f"Wrote {len(chosen)} entries to {folder}", err=True)
    if failed:
        click.echo(f"{failed} checks fail.", err=True)
        ctx.exit(1 if check else 0)


def _report(entry: Entry, made: Reproduction) -> None:
    click.echo(f"{entry.name}: {entry.title}")
    for c in made.checks:
        click.echo(f"  {c.sentence}")
