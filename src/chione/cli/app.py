"""The command group: finds a command by name when it is asked for, and speaks in one sentence."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Any

import click

import chione

# Command -> the line that `chione --help` shows. The command itself is the object `command` in
# the file of the same name in this folder, imported only when the command runs: that keeps
# `chione --help` quick whatever a command needs. A new command is one file and one line here.
COMMANDS = {
    "analyze": "Tell whether a network trains, why not, and what to use instead.",
    "phase": "Map order and chaos over sigma_w and sigma_b, as data and as a picture.",
    "explore": "Drag a network about on a page: order and chaos, depth, spectrum, verdict.",
    "gain": "Tabulate sigmas on the edge of chaos beside PyTorch's calculate_gain.",
    "criticality": "Find critical points and universality classes, with the reason.",
    "stability": "Find where mean and variance settle without weights (norm stability).",
    "hermite": "Hermite coefficients of an activation, and what each order holds.",
    "kernel": "NNGP and tangent kernels of a pair of inputs, or of a file of inputs.",
    "activations": "List the activations of the catalogue.",
    "simulate": "Draw finite random networks and put the theory beside them.",
    "network": "Any network, layer by layer: theory, a simulated twin, a verdict.",
    "spectrum": "Spectrum of a deep network's Jacobian: density, edges, moments.",
    "freeprob": "Eigenvalues of sums and products of large free matrices.",
    "hessian": "The random matrix model of a loss surface's Hessian.",
    "sweep": "Train many small networks and map which of them learn, beside the theory.",
    "boundary": "Find the largest depth that trains, and the constant a in depth = a xi.",
    "reproduce": "Make the figures and tables of the sources again, each with its check.",
    "show": "Print and draw a saved result again.",
    "doctor": "Examine a PyTorch model: can it train as it is initialised?",
    "audit": "Say which law each parameter of a model was drawn from, and what is wrong.",
    "precision": "What float16, bfloat16 and float8 lose of a PyTorch model's numbers.",
    "step": "Say what the first step of an optimiser does to a PyTorch model.",
}

NO_ANSWER = 1
BAD_USAGE = 2
INTERRUPTED = 130  # what shells give for a program that Ctrl-C has ended


class LazyGroup(click.Group):
    """A group whose commands are imported when they are first needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"chione.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"chione.cli.{cmd_name}.command is not a click command.")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is answered with the nearest known one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint} Commands: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn errors into one sentence on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click prints its own errors and leaves quietly when the reader has gone
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as err:
            if ctx.params.get("traceback"):
                traceback.print_exc(file=sys.stderr)
            message, code = _explain(err)
            click.echo(f"Error: {' '.join(message.split())}", err=True)
            ctx.exit(code)


def _explain(err: Exception) -> tuple[str, int]:
    """The sentence for the reader and the exit code."""
    # imported here: NumPy comes with it, and `chione --help` has no use for NumPy
    from chione.base import (
        ChioneError,
        ConvergenceError,
        CostError,
        EngineError,
        MissingExtraError,
        UnsupportedLayerError,
    )

    if isinstance(err, CostError):
        return str(err).replace(": effort=", ": --effort "), BAD_USAGE
    if isinstance(err, ConvergenceError | EngineError | MissingExtraError | UnsupportedLayerError):
        return str(err), NO_ANSWER
    if isinstance(err, ChioneError | ValueError | TypeError):
        return _as_command(str(err)), BAD_USAGE
    if isinstance(err, FileNotFoundError) and err.filename is not None:
        return f"There is no file {str(err.filename)!r}; check its name.", BAD_USAGE
    if isinstance(err, OSError):
        return f"The file system refused: {err}", NO_ANSWER
    if isinstance(err, MemoryError):
        return "There is less memory than this needs; ask for less, or lower --effort.", NO_ANSWER
    text = f"chione failed inside ({type(err).__name__}: {err}); --traceback shows where."
    return text, NO_ANSWER


def _as_command(message: str) -> str:
    """A sentence that names a function, with the command that does the same."""
    return message.replace("chione.activations.catalogue() lists", "`chione activations` lists")


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(chione.__version__, prog_name="chione")
@click.option("--traceback", is_flag=True, help="After an error show where in chione it arose.")
def main(traceback: bool) -> None:
    """How signals and gradients travel through deep networks at initialisation.

    \b
    Example: chione analyze gelu --sigma-w 1.5 --sigma-b 0.1 --depth 50 --width 512

    Exit codes: 0 an answer, 1 no answer exists or it was not reached, 2 bad usage (or more work
    than the limit allows), 130 interrupted.
    """
