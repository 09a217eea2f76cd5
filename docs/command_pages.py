"""The page of all commands, read off the command line itself."""

import inspect
import re
from importlib import import_module

import click

from chione.cli.app import COMMANDS, main

EXIT = (
    ("0", "an answer; a verdict is one whatever it says"),
    ("1", "no answer exists, or it was not reached; with `--check`, a check failed"),
    ("2", "bad usage, or more work than the limits allow"),
    ("130", "interrupted"),
)


def commands_markdown():
    """One section for each command: usage, words, an example, arguments and options."""
    lines = [
        "# Commands",
        "",
        "Answers go to stdout, files and trouble to stderr. [The shell](../shell.md) tells of",
        "files, limits of work and completion.",
        "",
        "| exit code | |",
        "|---|---|",
        *(f"| {code} | {what} |" for code, what in EXIT),
        "",
        "| command | |",
        "|---|---|",
        *(f"| [`chione {name}`](#{slug(name)}) | {line} |" for name, line in COMMANDS.items()),
        "",
    ]
    context = click.Context(main, info_name="chione")
    lines += ["`chione` alone takes:", "", *_options(main, context)]
    for name in COMMANDS:
        command = import_module(f"chione.cli.{name}").command
        inner = click.Context(command, info_name=name, parent=context)
        lines += ["", f"## chione {name}", "", *_section(command, inner)]
    return "\n".join(lines) + "\n"


def slug(name):
    """The anchor of the section of a command."""
    return f"chione-{name}"


def _section(command, context):
    words, example = _help(command)
    lines = ["```text", " ".join(command.get_usage(context).split()), "```", "", *words, ""]
    if example:
        lines += ["```bash", *example, "```", ""]
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    chosen = [p for p in arguments if isinstance(p.type, click.Choice)]
    lines += [f"`{p.human_readable_name}` is one of {_type(p, context)}.\n" for p in chosen]
    return lines + _options(command, context)


def _help(command):
    """Paragraphs of the help, and the lines of its examples."""
    words, example = [], []
    for part in inspect.cleandoc(command.help or "").replace("\b", "").split("\n\n"):
        text = part.strip()
        if re.match(r"Examples?:", text):
            lines = re.sub(r"^Examples?:", "", text).strip().splitlines()
            example += [line.strip() for line in lines]
        elif text:
            listed = text if part.startswith("\n") else " ".join(text.split())
            words += [_plain(listed).replace("\n", "  \n"), ""]
    return words[:-1], example


def _plain(text):
    """Text in which nothing is Markdown."""
    return re.sub(r"([\\*_<>\[\]`$|#~])", r"\\\1", text)


def _options(command, context):
    lines = ["| option | takes | what it does |", "|---|---|---|"]
    for p in command.get_params(context):
        if isinstance(p, click.Option) and not p.hidden and p.name != "help":
            names = ", ".join(f"`{n}`" for n in (*p.opts, *p.secondary_opts))
            lines.append(f"| {names} | {_type(p, context)} | {_what(p, context)} |")
    return lines


def _type(p, context):
    """What a parameter takes, in words."""
    if getattr(p, "is_flag", False) or getattr(p, "count", False):
        return ""
    kind = p.type
    if isinstance(kind, click.Choice):
        out = ", ".join(f"`{c}`" for c in kind.choices)
    elif isinstance(kind, (click.IntRange, click.FloatRange)) and kind._describe_range():
        word = "whole number" if isinstance(kind, click.IntRange) else "number"
        out = f"{word}, {_plain(kind._describe_range())}"
    else:
        out = _plain(p.make_metavar(context))
    if p.nargs == -1 or getattr(p, "multiple", False):
        out += ", any number of times"
    return out


def _what(p, context):
    text = _plain(" ".join((p.help or "").split()))
    default = p.get_default(context)
    if p.show_default and default is not None and not isinstance(p.show_default, str):
        shown = ", ".join(map(str, default)) if isinstance(default, tuple | list) else default
        text += f" Default: {_plain(str(shown))}."
    elif isinstance(p.show_default, str):
        text += f" Default: {_plain(p.show_default)}."
    return text + (" Needed." if p.required else "")
