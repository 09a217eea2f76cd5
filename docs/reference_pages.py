"""The reference: a page for each room, an index of every public name, a page for each result."""

import importlib
import importlib.util
import inspect
import re

import chione
from chione.base import AbstractResult

# Room -> title and what it is for. The order is that of the index.
ROOMS = {
    "diagnosis": (
        "One page for a network",
        "Theory beside simulation, a verdict in words, and what to use instead.",
    ),
    "theory": (
        "Infinite width",
        "Moments, length and correlation maps, fixed points, phases, critical points, curves over "
        "the depth, kernels, the first correction of finite width, spectra of Jacobians and "
        "Hessians.",
    ),
    "simulation": (
        "Simulated networks",
        "Random finite networks, with their matrices or exact without them, and what is measured "
        "on them, each number with its standard error. Nothing here uses the theory.",
    ),
    "activations": (
        "Activations",
        "The catalogue, and the door for a formula, a function or a module of your own.",
    ),
    "networks": (
        "Networks as plain data",
        "Layers, networks of them, and builders of known architectures. What a field of a layer "
        "means stands on the page [networks and their files](../../networks.md).",
    ),
    "gaussian": (
        "Gaussian expectations and Hermite expansions",
        "Integrals against one or two Gaussian variables, each with its error, and the "
        "coefficients of a function in normalised Hermite polynomials.",
    ),
    "freeprob": (
        "Measures and free probability",
        "Laws of eigenvalues with their transforms, free sums, products and powers, edges and "
        "outliers. [Its page of formulas](../../formulas/free-probability.md) explains them.",
    ),
    "torch": (
        "PyTorch models",
        "Needs the extra `torch`. [The tour](../../doctor.md) shows how these work together.",
    ),
    "explorer": (
        "The explorer",
        "One page in which a network is dragged about: made, shown in a notebook, written.",
    ),
    "sweeps": ("Trainings", "Many small networks trained, beside the theory."),
    "gallery": ("The gallery", "Figures and tables of the literature, each with its check."),
    "plotting": (
        "Pictures",
        "Every result draws itself by `result.plot()`; this is the same door.",
    ),
    "base": (
        "Estimates, statuses, results, errors",
        "What every number and every result has, and the errors that chione raises.",
    ),
}
OURS_ALONE = {"base", "plotting", "diagnosis"}  # of these only what `import chione` offers
ERRORS = ("EngineError", "NoPictureError", "UnsupportedLayerError", "UnsupportedModuleError")


def public():
    """Room -> {short name: object}: what `import chione` offers and what its rooms offer."""
    rooms = {room: {} for room in ROOMS}
    for name in chione._EXPORTS:
        thing = getattr(chione, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            rooms[_room(thing)][f"ch.{name}"] = thing
    for room, things in rooms.items():
        if room == "torch" and not importlib.util.find_spec("torch"):
            continue
        module = importlib.import_module(f"chione.{room}")
        names = ERRORS if room == "base" else () if room in OURS_ALONE else module.__all__
        for name in names:
            thing = getattr(module, name)
            documented = inspect.isfunction(thing) or inspect.isclass(thing)
            if documented and thing not in things.values() and _room(thing) == room:
                things[f"ch.{room}.{name}"] = thing
    return rooms


def _room(thing):
    return thing.__module__.split(".")[1]


def is_result(thing):
    """Whether it is a class of results, which have pages of their own."""
    return (
        inspect.isclass(thing) and issubclass(thing, AbstractResult) and thing is not AbstractResult
    )


def reference_pages():
    """{path below `generated`: Markdown} of the index and of the pages of the rooms."""
    rooms = public()
    pages = {"reference.md": _index(rooms)}
    for room, things in rooms.items():
        if things:
            pages[f"reference/{room}.md"] = _page(room, things)
    return pages


def first_sentence(thing):
    """The first line of a docstring, as one cell of a table."""
    head = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    head = re.sub(r":math:`(.*?)`", r"$\1$", head)
    head = re.sub(r":\w+:`~?(?:[^`<]*<)?([^`>]*)>?`", r"`\1`", head)
    return head.replace("|", "\\|").replace("``", "`")


def _index(rooms):
    lines = [
        "# Reference",
        "",
        "`import chione as ch` is the door: `ch.analyze`, and whatever else is written here with",
        "one dot. Names with two dots, such as `ch.freeprob.edges`, live in a room. Each result",
        "class has [its own page](results.md), and the [commands](commands.md) have one together.",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *(f"reference/{room}" for room, things in rooms.items() if things),
        "```",
    ]
    for room, things in rooms.items():
        if not things:
            continue
        title, purpose = ROOMS[room]
        lines += ["", f"## [{title}](reference/{room}.md)", ""]
        lines += [purpose.replace("](../../", "](../"), "", "| name | |", "|---|---|"]
        for short, thing in sorted(things.items(), key=_order):
            lines.append(f"| {_link(short, thing)} | {first_sentence(thing)} |")
    return "\n".join(lines) + "\n"


def _order(item):
    short, thing = item
    return (short.count("."), not inspect.isfunction(thing), short.lower())


def _link(short, thing):
    if is_result(thing):
        return f"[`{short}`](results/{short.removeprefix('ch.')}.md)"
    return f"{{py:obj}}`{short} <{full_name(thing)}>`"


def full_name(thing):
    """The name under which Sphinx anchors it."""
    return f"{thing.__module__}.{thing.__name__}"


def _page(room, things):
    title, purpose = ROOMS[room]
    lines = [f"# {title}", "", purpose, ""]
    for heading, chosen, directive in (
        ("Functions", inspect.isfunction, "autofunction"),
        ("Classes", lambda t: inspect.isclass(t) and not is_result(t), "autoclass"),
    ):
        found = [i for i in sorted(things.items(), key=_order) if chosen(i[1])]
        if not found:
            continue
        lines += [f"## {heading}", ""]
        for short, thing in found:
            lines += [f"### {short}", "", "```{eval-rst}", f".. {directive}:: {full_name(thing)}"]
            lines += ["   :members:"] if directive == "autoclass" else []
            lines += ["```", ""]
    results = [i for i in sorted(things.items(), key=_order) if is_result(i[1])]
    if results:
        lines += ["## Results", "", "| name | |", "|---|---|"]
        for short, thing in results:
            page = f"../results/{short.removeprefix('ch.')}.md"
            lines.append(f"| [`{short}`]({page}) | {first_sentence(thing)} |")
    return "\n".join(lines) + "\n"
