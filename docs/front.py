"""Write README.md and llms.txt again: every number in them comes from running what they show.

    python docs/front.py               # write both
    python docs/front.py llms.txt      # this one alone, at once
    python docs/front.py --check       # write nothing, exit code 1 where they are out of date

In README.md a comment `<!-- made: WORD -->` stands before each block that is made here, and a
Python block that has a ```text block behind it is run.
"""

import contextlib
import importlib
import io
import re
import shlex
import sys
from pathlib import Path

from click.testing import CliRunner

from chione.base.text import paragraph
from chione.cli.app import COMMANDS, main

ROOT = Path(__file__).parents[1]
RUNNABLE = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.S)
MADE = r"<!-- made: {} -->\n\n(.*?)\n\n<!-- end -->"
SHOWN = ("relu", "gelu", "silu", "tanh", "softplus")  # rows of README's table


# ---- README ----------------------------------------------------------------------------------


def readme(text):
    """README.md with all that is made in it made again."""
    text = _made(text, "page", f"```text\n{page(text)}\n```")
    text = _made(text, "table", table())
    return RUNNABLE.sub(lambda found: _filled(found[1]), text)


def page(text):
    """What the first command of README prints: the verdict, the comparison, the advice."""
    command = re.search(r"bin/chione (analyze .*)", text)[1]
    run = CliRunner().invoke(main, shlex.split(command))
    if run.exit_code:
        raise SystemExit(f"chione {command}: {run.output}")
    title, verdict, numbers, options, advice = run.stdout.strip("\n").split("\n\n")[:5]
    few = [line for k, line in enumerate(numbers.splitlines()) if k < 2 or line.startswith(ROWS)]
    sentences = re.split(r"(?<=[.)]) (?=[A-Z])", " ".join(advice.split()))
    parts = [title, verdict, "\n".join(few), options, paragraph(" ".join(sentences[:2]), width=99)]
    return "\n\n".join(parts)


ROWS = ("q*  ", "chi_perp", "xi_c", "gradient ")


def table():
    """Rows of `python benchmarks/bench_torch.py --table` for some activations."""
    sys.path.insert(0, str(ROOT))
    bench = importlib.import_module("benchmarks.bench_torch")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        bench.table(names=SHOWN)
    return printed.getvalue().strip()


def _filled(code):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    return f"```python\n{code}```\n\n```text\n{printed.getvalue()}```"


def _made(text, word, block):
    whole = re.compile(MADE.format(word), re.S)
    if len(whole.findall(text)) != 1:
        raise SystemExit(f"README.md must have one block made: {word}.")
    return whole.sub(lambda _: f"<!-- made: {word} -->\n\n{block}\n\n<!-- end -->", text)


# ---- llms.txt --------------------------------------------------------------------------------


def llms():
    """A short map for language models: what chione is, its calls, commands and pages."""
    calls = "\n".join(f"- `{call}`: {what}" for call, what in CALLS.items())
    commands = "\n".join(f"- `chione {name}`: {line}" for name, line in COMMANDS.items())
    return HEAD + f"\n## Calls\n\n{calls}\n\n## Commands\n\n{commands}\n\n{_pages()}"


HEAD = """# chione

> Python library and command line for signal propagation in deep networks at initialisation:
> whether a network trains at its depth, why not, and which initialisation would. Mean-field
> theory, Jacobian and Hessian spectra, simulated finite networks, PyTorch models. Every number
> has an error and a status.

Weights have variance sigma_w^2 / fan_in, biases variance sigma_b^2 (both are standard
deviations). q is the mean square of the pre-activations of a layer, c the correlation of two
inputs. chi_perp is the factor on the mean square gradient a layer: below 1 ordered (gradients
vanish), above 1 chaotic (they explode), 1 critical. An activation is a name of the catalogue
(`chione activations`), a formula such as "x*tanh(softplus(x))", a NumPy function, or a torch
function or module. Results are frozen: `print(result)`, `result.plot()`, `result.save(path)`,
`ch.load(path)`. An estimate has `.value`, `.error`, `.status`; a question without an answer has
the value NaN and a status that says why, so look at the status. Python 3.11 or newer.
`pip install .` in a checkout; extras: torch, data, sweeps.
"""

CALLS = {
    'ch.analyze("gelu", 1.5, 0.1, depth=50, width=512)': "the whole page: theory, simulation, "
    "verdict, what to use instead",
    'ch.gain("gelu", depth=50)': "which sigma_w and sigma_b to use, and why",
    'ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1)': "fixed points, susceptibilities, depth "
    "scales, phase",
    'ch.trajectory("tanh", sigma_w=1.5, sigma_b=0.1, depth=50)': "q, c and gradients by layer",
    'ch.phase_diagram("tanh", sigma_w=[1.0, 2.0], sigma_b=[0.0, 0.1])': "order and chaos over "
    "sigma_w and sigma_b",
    'ch.critical_line("tanh")': "sigma_w and sigma_b on the edge of chaos",
    'ch.settling("tanh", 1.5, 0.1)': "layers until within 1 % of the fixed point",
    'ch.kernel_matrix(ch.MLP("tanh", 1.5, 0.1, depth=3, width=64), [[1, 0], [0, 1]])': "NNGP and "
    "tangent kernels of a set of inputs",
    'ch.jacobian_spectrum("tanh", sigma_w=1.2, sigma_b=0.1, depth=4)': "singular values of the "
    "input-output Jacobian",
    'ch.networks.resnet("relu", depth=12, width=64)': "a network of any layers as plain data, "
    "for analyze, simulate, nngp, ntk",
    'ch.simulate(ch.MLP("tanh", 1.5, 0.1, depth=3, width=64), n_networks=3)': "random finite "
    "networks",
    "ch.torch.inspect(model, batch)": "a PyTorch model layer by layer beside theory, with a "
    "verdict",
    "ch.torch.initialize_(model, batch)": "set its weights to critical ones",
    "ch.torch.audit(model)": "which law every parameter was drawn from",
}


def _pages():
    """Every page of the documentation that is written by hand, by the caption of its list."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    lines = []
    for caption, names in re.findall(r":caption: (.*?)\n\n(.*?)```", index, re.S):
        lines += [f"## Pages: {caption}", ""]
        for name in names.split():
            file = ROOT / "docs" / f"{name}.md"
            if file.exists() and not name.startswith("generated/"):
                title = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
                lines.append(f"- [{title}](docs/{name}.md)")
        lines.append("")
    return "\n".join(lines)


MAKERS = {"README.md": readme, "llms.txt": lambda _: llms()}


def run(arguments):
    """Write or compare the files that the arguments name, or all."""
    check, out = "--check" in arguments, 0
    for name in [a for a in arguments if a in MAKERS] or MAKERS:
        path = ROOT / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = MAKERS[name](old)
        if new != old:
            out = 1 if check else 0
            print(f"{name} {'is out of date' if check else 'written'}")
            if not check:
                path.write_text(new, encoding="utf-8")
    return out


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
