"""A page for each result class: what it holds, how it prints, what makes it, how it is stored."""

import importlib.util
import inspect
import re

import numpy as np
from reference_pages import first_sentence, full_name, is_result, public
from result_examples import EXAMPLES

import chione
from chione.base.kinds import KINDS, class_of, kind_of

LONGEST = 44  # lines of a printed example


def classes():
    """Short name -> class, of every result; those of chione.torch where torch is installed."""
    shorts = {}
    torch = importlib.util.find_spec("torch")
    named = {t: s for things in public().values() for s, t in things.items() if is_result(t)}
    for kind in KINDS:
        if kind.startswith("torch.") and not torch:
            continue
        cls = class_of(kind)
        if is_result(cls):
            shorts[named.get(cls, f"ch.{kind}").removeprefix("ch.")] = cls
    return dict(sorted(shorts.items(), key=lambda item: item[0].lower()))


def result_pages():
    """{path below `generated`: Markdown} of the index of results and of their pages."""
    shorts = classes()
    links = {cls: name for name, cls in shorts.items()}
    makers, parts = _makers(links), _parts(links)
    examples = Examples()
    pages = {"results.md": _index(shorts)}
    for name, cls in shorts.items():
        pages[f"results/{name}.md"] = _page(name, cls, links, makers, parts, examples)
    return pages


class Examples:
    """Runs examples; lines that several share run once."""

    def __init__(self):
        self._made = {}

    def of(self, cls):
        """(code, object) of the example of a class."""
        if kind_of(cls) not in EXAMPLES:
            return "", None  # tests/docs/test_reference_pages.py asks for one
        lines, pick = EXAMPLES[kind_of(cls)]
        if lines not in self._made:
            names = {"ch": chione, "np": np, "__name__": "example"}
            exec(compile(lines, kind_of(cls), "exec"), names)
            self._made[lines] = names["result"]
        made = eval(f"result{pick}", {"result": self._made[lines]})
        if type(made) is not cls:
            raise TypeError(f"The example of {kind_of(cls)} makes a {type(made).__name__}.")
        return f"{_with_imports(lines)}\nprint(result{pick})", made


def _with_imports(lines):
    """The lines with all that they import at their top."""
    found = re.findall(r"^(?:import|from) .*$", lines, re.M)
    body = re.sub(r"^(?:import|from) .*\n+", "", lines, flags=re.M)
    numpy = ["import numpy as np"] if re.search(r"\bnp\.", body) else []
    foreign = [line for line in found if "chione" not in line]
    ours = ["import chione as ch", *(line for line in found if "chione" in line)]
    ours = ours if re.search(r"\bch\.", body) else ours[1:]
    blocks = ["\n".join(block) for block in ([*numpy, *foreign], ours) if block]
    return "\n\n".join([*blocks, body])


def _index(shorts):
    lines = [
        "# Results",
        "",
        "What a function of chione returns is a frozen object. Each kind has a page here.",
        "All of them can do the same things:",
        "",
        "| | |",
        "|---|---|",
        "| `print(result)` | a page of text; in a notebook it shows as a table |",
        "| `result.field` | numbers, arrays, estimates (value, error, status), other results |",
        "| `a == b`, `hash(a)` | compare all numbers; NaN equals NaN |",
        "| `result.plot()` | draws it, where there is a picture of the kind |",
        "| `result.save(path)`, `ch.load(path)` | [files](../files.md): .npz, .nc, .json, .csv |",
        "| `result.to_dict()`, `.to_xarray()`, `.to_pandas()` | plain, labelled, as a table |",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *(f"results/{name}" for name in shorts),
        "```",
        "",
        "| class | |",
        "|---|---|",
        *(
            f"| [`{name}`](results/{name}.md) | {first_sentence(cls)} |"
            for name, cls in shorts.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _page(name, cls, links, makers, parts, examples):
    code, made = examples.of(cls)
    lines = [f"# {name}", "", "```{eval-rst}", f".. autoclass:: {full_name(cls)}", "   :members:"]
    lines += ["   :exclude-members: __init__", "```", ""]
    if makers.get(cls):
        lines += ["Made by " + ", ".join(makers[cls]) + "."]
    if parts.get(cls):
        lines += ["Part of " + ", ".join(parts[cls]) + "."]
    if made is None:
        return "\n".join(lines) + "\n"
    lines += ["", "## Example", "", "```python", code, "```", "", "```text"]
    lines += [*_printed(made), "```", "", "## In files", ""]
    lines += _files(made)
    return "\n".join(lines) + "\n"


def _printed(made):
    printed = str(made).splitlines()
    if len(printed) > LONGEST:
        left = len(printed) - LONGEST + 4
        printed = [*printed[: LONGEST - 4], "", f"[{left} more lines]"]
    return printed


def _files(made):
    """What stands in each form of file, read off the example."""
    labelled = made._labelled()
    rows = [
        f"| `{name}` | {', '.join(map(str, axes)) or 'one number'} | {np.asarray(data).dtype} |"
        for name, (axes, data) in labelled.variables.items()
    ]
    columns, table = made._table()
    lines = ["`.npz`, `.nc` and `.json` bring back an equal result ([files](../../files.md))."]
    if rows:
        lines += ["Variables of `.nc` and of `to_xarray()`, as this example has them:", ""]
        lines += ["| variable | axes | type |", "|---|---|---|", *rows[:40], ""]
        lines += [f"and {len(rows) - 40} more.", ""] if len(rows) > 40 else []
    shown = ", ".join(f"`{c}`" for c in columns[:40]) + (", ..." if len(columns) > 40 else "")
    few = "one row" if len(table) == 1 else f"{len(table)} rows here"
    lines += ["", f"Columns of `.csv` and of `to_pandas()` ({few}): {shown}."]
    return lines


def _makers(links):
    """Class -> links to the functions and methods whose annotation says that they return it."""
    out = {}
    words = {cls.__name__: [] for cls in links}
    for cls in links:
        words[cls.__name__].append(cls)
    for things in public().values():
        for short, thing in things.items():
            for call, role, target in _calls(short, thing):
                for word in set(re.findall(r"\w+", str(call.__annotations__.get("return", "")))):
                    for cls in words.get(word, ()):
                        if len(words[word]) == 1 or _room(cls) == _room(thing):
                            dot = target.rsplit(".", 1)[1]
                            shown = short if role == "func" else f"{short}.{dot}"
                            out.setdefault(cls, []).append(f"{{py:obj}}`{shown} <{target}>`")
    return {cls: sorted(set(found)) for cls, found in out.items()}


def _calls(short, thing):
    if inspect.isfunction(thing):
        yield thing, "func", full_name(thing)
    else:
        for name, member in vars(thing).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                yield member, "meth", f"{full_name(thing)}.{name}"


def _parts(links):
    """Class -> links to the result classes that have it in a field."""
    out = {}
    for cls in links:
        for field in getattr(cls, "__dataclass_fields__", {}).values():
            for word in set(re.findall(r"\w+", str(field.type))):
                for part in links:
                    same = part.__name__ == word and part is not cls
                    twins = sum(c.__name__ == word for c in links) > 1
                    if same and (not twins or _room(part) == _room(cls)):
                        link = f"[`{links[cls]}.{field.name}`]({links[cls]}.md)"
                        out.setdefault(part, []).append(link)
    return {part: sorted(set(found)) for part, found in out.items()}


def _room(thing):
    return thing.__module__.split(".")[1]
