"""Does an initialisation help? Five of them on twelve models, each with its own learning rate.

    python benchmarks/bench_initialize.py [--only chione] [--models vit,gpt] [--fresh] [--page]

Compared: the model as its constructor leaves it (its own recommended initialisation, where it has
one), PyTorch's `calculate_gain` with Kaiming normal weights, AnyInit (`pip install anyinit`) in
its empirical mode, LSUV (Mishkin and Matas 2016), and `chione.torch.initialize_` with a batch.

The criterion: a model is trained for 150 steps of Adam on batches of 64, the learning rate constant
for the first half and then falling to zero along a line; counted is the loss on inputs held apart
(digits: 450 of 1,797; others: a quarter) after the last step, at most that of the best constant
prediction (where it is larger or not finite, nothing was learnt). The learning rate is the one of
four with the smallest mean of that loss over two seeds of its own; then five other seeds give the
mean and its standard error. One is *worse* than the default where its mean lies above it by more
than twice the standard error of the difference.

Results go to benchmarks/initialize.json, so that one initialisation can be measured anew beside the
others; --page writes the tables into docs/doctor-evaluated.md.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anyinit
import torch
from torch import nn

from chione.torch import initialize_
from page import fill
from zoo import convolutional, dense, sequential
from zoo.tasks import TASKS, VOCABULARY, Task

STEPS, BATCH, SHOWN = 150, 64, 128
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
TUNING, SEEDS = (100, 101), (0, 1, 2, 3, 4)
FILE = Path(__file__).with_name("initialize.json")


class Logits(nn.Module):
    """A model of transformers that returns its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x, use_cache=False).logits


def llama() -> nn.Module:
    """Two layers of the real code, N(0, 0.02) everywhere."""
    import transformers

    config = transformers.LlamaConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=128, vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0,
        pad_token_id=None,
    )  # fmt: skip
    return Logits(transformers.LlamaForCausalLM(config))


def gpt() -> nn.Module:
    """Four layers with the initialisation of GPT-2: N(0, 0.02), projections / sqrt(2 L)."""
    model = sequential.transformer((16,), VOCABULARY, depth=4, width=64)
    for name, p in model.named_parameters():
        if p.dim() >= 2:
            last = name.endswith(("project.weight", "w3.weight"))
            nn.init.normal_(p, std=0.02 / math.sqrt(8.0) if last else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(p)
    return model


FLAT, IMAGE, PATCHES, ROWS = (64,), (1, 8, 8), (16, 4), (8, 8)
# the model, its task, and the word of calculate_gain for its activation
MODELS: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "mlp-tanh-50": (lambda: dense.mlp(FLAT, 10, "tanh", 50, 64), "digits", "tanh"),
    "mlp-relu-20": (lambda: dense.mlp(FLAT, 10, "relu", 20, 64), "digits", "relu"),
    "mlp-gelu-20": (lambda: dense.mlp(FLAT, 10, "gelu", 20, 64), "digits", "relu"),
    "mlp-silu-50": (lambda: dense.mlp(FLAT, 10, "silu", 50, 64), "digits", "relu"),
    "siren": (lambda: dense.siren((2,), 1, 3, 64), "signal", "linear"),
    "resnet-no-norm": (
        lambda: convolutional.resnet(IMAGE, 10, "relu", 6, 16, norm="none"), "image", "relu"),
    "resnet-bn": (lambda: convolutional.resnet(IMAGE, 10, "relu", 4, 16), "image", "relu"),
    "vit": (lambda: sequential.transformer(PATCHES, 10, 3, 32), "patches", "relu"),
    "gpt": (gpt, "tokens", "relu"),
    "llama": (llama, "tokens", "relu"),
    "mixer": (lambda: sequential.mixer(PATCHES, 10, 3, 32), "patches", "relu"),
    "lstm": (lambda: sequential.recurrent(ROWS, 10, "lstm", 64), "rows", "tanh"),
}  # fmt: skip
# twelve others, on which nothing was developed: `--fresh`
FRESH: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "mlp-elu-30": (lambda: dense.mlp(FLAT, 10, "elu", 30, 48), "digits", "relu"),
    "mlp-softplus-10": (lambda: dense.mlp(FLAT, 10, "softplus", 10, 64), "digits", "relu"),
    "mlp-sigmoid-6": (lambda: dense.mlp(FLAT, 10, "sigmoid", 6, 64), "digits", "sigmoid"),
    "value-head": (lambda: dense.mlp((20,), 1, "relu", 3, 64, neck=4), "value", "relu"),
    "cnn-relu-10": (lambda: convolutional.cnn(IMAGE, 10, "relu", 10, 16), "image", "relu"),
    "cnn-depthwise": (
        lambda: convolutional.cnn(IMAGE, 10, "silu", 6, 16, depthwise=True), "image", "relu"),
    "residual-pre-norm": (
        lambda: dense.residual(FLAT, 10, "gelu", 12, 48, norm="layer"), "digits", "relu"),
    "rezero": (lambda: dense.residual(FLAT, 10, "relu", 12, 48, how="rezero"), "digits", "relu"),
    "swiglu": (lambda: dense.gated(FLAT, 10, "swiglu", 6, 32), "digits", "relu"),
    "glu-plain": (
        lambda: dense.gated(FLAT, 10, "glu", 4, 32, norm="none", residual=False),
        "digits", "sigmoid"),
    "encoder-post-norm": (lambda: sequential.encoder(PATCHES, 10, 4, 32), "patches", "relu"),
    "gru": (lambda: sequential.recurrent(PATCHES, 10, "gru", 32, layers=2), "patches", "tanh"),
}  # fmt: skip


def kaiming(model: nn.Module, batch: torch.Tensor, word: str) -> None:
    """calculate_gain of the activation, fan_in; the read-out as a linear layer; biases zero."""
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd))]
    for m in layers:
        nn.init.kaiming_normal_(m.weight, nonlinearity="linear" if m is layers[-1] else word)
        if m.bias is not None:
            nn.init.zeros_(m.bias)
    for m in model.modules():
        if isinstance(m, (nn.LSTM, nn.GRU, nn.RNN)):
            for name, p in m.named_parameters():
                nn.init.zeros_(p) if "bias" in name else nn.init.xavier_normal_(p)


def lsuv(model: nn.Module, batch: torch.Tensor, word: str) -> None:
    """Orthonormal weights; then, layer by layer as they run, output variance 1 on the batch."""
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd))]
    for m in layers:
        nn.init.orthogonal_(m.weight)
        if m.bias is not None:
            nn.init.zeros_(m.bias)
    order: list[nn.Module] = []
    hooks = [m.register_forward_hook(lambda m, i, o: order.append(m)) for m in layers]
    model(batch)
    for hook in hooks:
        hook.remove()
    for m in dict.fromkeys(order):
        for _ in range(10):  # T_max of the paper; its tolerance is 0.1
            seen: list[float] = []
            hook = m.register_forward_hook(lambda m, i, o, s=seen: s.append(o.var().item()))
            model(batch)
            hook.remove()
            if abs(seen[0] - 1.0) < 0.1 or not 0.0 < seen[0] < math.inf:
                break
            m.weight.div_(math.sqrt(seen[0]))


def anyinit_empirical(model: nn.Module, batch: torch.Tensor, word: str) -> None:
    anyinit.initialize(model, "empirical", batch, seed=torch.initial_seed() % 2**31)


INITIALISATIONS: dict[str, Callable[[nn.Module, torch.Tensor, str], object]] = {
    "default": lambda model, batch, word: None,
    "kaiming": torch.no_grad()(kaiming),
    "anyinit": anyinit_empirical,
    "lsuv": torch.no_grad()(lsuv),
    "chione": lambda model, batch, word: initialize_(model, batch),
}


def split(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices for training and those held apart."""
    order = torch.randperm(len(task.inputs), generator=torch.Generator().manual_seed(5))
    cut = len(order) // 4
    return order[cut:], order[:cut]


def trained(name: str, how: str, rate: float, seed: int) -> tuple[float, float]:
    """Loss on inputs held apart before and after training, as shares of the constant's."""
    make, on, word = (MODELS | FRESH)[name]
    task = TASKS[on]()
    train, held = split(task)
    torch.manual_seed(seed)
    model = make()
    INITIALISATIONS[how](model, task.inputs[train[:SHOWN]], word)
    first = validated(model, task, held)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, 2.0 - 2.0 * step / STEPS)
        at = train[torch.randint(len(train), (BATCH,), generator=generator)]
        loss = task.loss(model(task.inputs[at]), task.targets[at])
        if not math.isfinite(loss.item()):
            return first, 1.0
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return first, min(1.0, validated(model, task, held))


@torch.no_grad()
def validated(model: nn.Module, task: Task, held: torch.Tensor) -> float:
    """The loss on inputs held apart, as a share of the constant's; infinite for NaN."""
    model.eval()
    loss = task.loss(model(task.inputs[held]), task.targets[held]).item() / task.constant
    model.train()
    return loss if math.isfinite(loss) else math.inf


def measure(name: str, how: str) -> dict[str, object]:
    """The tuned rate, and the losses over the seeds at that rate."""
    try:
        tuned = {
            rate: statistics.fmean(trained(name, how, rate, s)[1] for s in TUNING)
            for rate in RATES
        }  # fmt: skip
        rate = min(tuned, key=lambda r: tuned[r])
        runs = [trained(name, how, rate, s) for s in SEEDS]
    except Exception as err:  # an initialisation that refuses a model is a result
        return {"refused": f"{type(err).__name__}: {err}"[:200]}
    return {
        "rate": rate,
        "tuning": {f"{r:g}": round(v, 4) for r, v in tuned.items()},
        "start": [round(a, 4) if math.isfinite(a) else None for a, _ in runs],
        "losses": [round(b, 4) for _, b in runs],
    }


Results = dict[str, dict[str, dict[str, object]]]


def mean_error(cell: dict[str, object]) -> tuple[float, float]:
    """Mean over the seeds and its standard error."""
    losses = cell["losses"]
    assert isinstance(losses, list)
    return statistics.fmean(losses), statistics.stdev(losses) / math.sqrt(len(losses))


def compared(row: dict[str, dict[str, object]], how: str, other: str = "default") -> float:
    """Difference of the means in units of its standard error; positive: `how` is worse."""
    (a, ea), (b, eb) = mean_error(row[how]), mean_error(row[other])
    return (a - b) / max(math.hypot(ea, eb), 1e-4)  # losses are kept to four digits


def table(results: Results) -> str:
    """Means with standard errors; bold: better than the default, (worse): worse, beyond noise."""
    ways = list(INITIALISATIONS)
    lines = ["| model | " + " | ".join(ways) + " |", "|---" * (len(ways) + 1) + "|"]
    for name, row in results.items():
        cells = []
        for how in ways:
            if "losses" not in row.get(how, {}):
                cells.append("refused" if how in row else "")
                continue
            mean, error = mean_error(row[how])
            text = f"{mean:.3f} +- {error:.3f}"
            size = compared(row, how)
            cells.append(f"**{text}**" if size < -2 else f"{text} (worse)" if size > 2 else text)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(results: Results) -> str:
    """Each initialisation beside the default, and ours beside it; medians of ratios over models."""
    lines = [
        "| initialisation | beside the default: better, within noise, worse "
        "| median of its loss / the default's | chione beside it: better, within noise, worse "
        "| median of chione's loss / its loss |",
        "|---|---|---|---|---|",
    ]
    for how in INITIALISATIONS:
        beside = ["", ""] if how == "default" else pair(results, how, "default")
        ours = ["", ""] if how == "chione" else pair(results, "chione", how)
        lines.append(f"| {how} | {' | '.join(beside + ours)} |")
    return "\n".join(lines)


def pair(results: Results, how: str, other: str) -> list[str]:
    """How often one is better than the other, and the median of their ratios, over the models."""
    rows = [r for r in results.values() if all("losses" in r.get(k, {}) for k in (how, other))]
    if not rows:
        return ["", ""]
    better, same, worse = counts([compared(row, how, other) for row in rows])
    ratios = [mean_error(row[how])[0] / mean_error(row[other])[0] for row in rows]
    return [f"{better}, {same}, {worse}", f"{statistics.median(ratios):.3f}"]


def counts(sizes: list[float]) -> tuple[int, int, int]:
    """How many are better, within noise, worse."""
    better, worse = sum(s < -2 for s in sizes), sum(s > 2 for s in sizes)
    return better, len(sizes) - better - worse, worse


def starts(results: Results) -> str:
    """The loss before the first step, as a share of the best constant's: mean over the seeds."""
    ways = list(INITIALISATIONS)
    lines = ["| model | " + " | ".join(ways) + " |", "|---" * (len(ways) + 1) + "|"]
    for name, row in results.items():
        cells = []
        for how in ways:
            found = row.get(how, {}).get("start")
            kept = [x for x in found if x is not None] if isinstance(found, list) else []
            cells.append(f"{statistics.fmean(kept):.3g}" if kept else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="measure these initialisations anew, with commas")
    parser.add_argument("--models", help="only these models, with commas")
    parser.add_argument("--fresh", action="store_true", help="the twelve models of FRESH")
    parser.add_argument("--page", action="store_true", help="fill docs/doctor-evaluated.md")
    parser.add_argument("--table", action="store_true", help="print what was measured before")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    stored: Results = json.loads(FILE.read_text()) if FILE.exists() else {}
    stored = {name: stored.get(name, {}) for name in MODELS | FRESH}
    results = {name: stored[name] for name in (FRESH if options.fresh else MODELS)}
    again = options.only.split(",") if options.only else []
    for name in options.models.split(",") if options.models else results:
        for how in again or INITIALISATIONS:
            if options.table or (how in results[name] and how not in again):
                continue
            start = time.perf_counter()
            results[name][how] = measure(name, how)
            spent = time.perf_counter() - start
            print(f"{spent:5.1f} s  {name} {how} {json.dumps(results[name][how])}", flush=True)
            FILE.write_text(lines_of(stored), encoding="utf-8")
    results = {name: row for name, row in results.items() if "chione" in row}
    print(table(results) + "\n\n" + summary(results) + "\n\n" + starts(results))
    if options.page:
        place = "initialisations-fresh" if options.fresh else "initialisations"
        fill(place, table(results))
        fill(f"{place}-summary", summary(results))
        if not options.fresh:
            fill(f"{place}-start", starts(results))


def lines_of(results: Results) -> str:
    """One line for each pair."""
    rows = []
    for name, row in results.items():
        ways = {how: row[how] for how in INITIALISATIONS if how in row}
        inner = ",\n".join(f"  {json.dumps(h)}: {json.dumps(c)}" for h, c in ways.items())
        rows.append(f"{json.dumps(name)}: {{\n{inner}\n}}")
    return "{\n" + ",\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    main()
