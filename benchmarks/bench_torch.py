"""Train 50-layer networks on scikit-learn's digits: PyTorch's default beside `initialize_`.

    python benchmarks/bench_torch.py [--steps 600] [--out digits.json] [--plot digits.png]
    python benchmarks/bench_torch.py --table

Writes the test accuracy every 50 steps for tanh, gelu and selu under both initialisations, and the
time of `inspect` beside one forward and backward pass of the same network. With --table instead:
gradients and correlations of 50 layers of 256 units for nine activations under three
initialisations.
"""

from __future__ import annotations

import argparse
import json
import platform
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import chione
from chione.torch import initialize_, inspect

DEPTH, WIDTH, CLASSES = 50, 128, 10
ACTIVATIONS = {"tanh": torch.nn.Tanh, "gelu": torch.nn.GELU, "selu": torch.nn.SELU}


def network(activation):
    """DEPTH hidden layers and a linear readout."""
    layers, size = [], 64
    for _ in range(DEPTH):
        layers += [torch.nn.Linear(size, WIDTH), activation()]
        size = WIDTH
    return torch.nn.Sequential(*layers, torch.nn.Linear(size, CLASSES))


def digits():
    """Standardised digits: 1,347 for training, 450 for testing."""
    x, y = load_digits(return_X_y=True)
    x = (x - x.mean()) / x.std()
    parts = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    xa, xb = (torch.tensor(p, dtype=torch.float32) for p in parts[:2])
    ya, yb = (torch.tensor(p) for p in parts[2:])
    return xa, ya, xb, yb


def train(model, data, *, steps, seed=0, rate=3e-4, every=50):
    """Adam on batches of 128; returns [(step, test accuracy)]."""
    xa, ya, xb, yb = data
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    curve = []
    for step in range(1, steps + 1):
        chosen = torch.randint(len(xa), (128,), generator=order)
        loss = torch.nn.functional.cross_entropy(model(xa[chosen]), ya[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % every == 0:
            with torch.no_grad():
                curve.append((step, float((model(xb).argmax(dim=1) == yb).float().mean())))
    return curve


def prepared(name, way, data, seed):
    """A network under PyTorch's default ("default") or `initialize_` ("chione")."""
    torch.manual_seed(seed)
    model = network(ACTIVATIONS[name])
    if way == "chione":
        generator = torch.Generator().manual_seed(seed)
        initialize_(model, data[0][:128], generator=generator)
    return model


def overhead(data):
    """Seconds of one forward and backward pass, and of `inspect` with one projection."""
    model, x = network(torch.nn.Tanh), data[0][:256]
    passes, inspections = [], []
    for _ in range(7):
        start = time.perf_counter()
        torch.autograd.grad(model(x).square().mean(), list(model.parameters()))
        passes.append(time.perf_counter() - start)
        start = time.perf_counter()
        inspect(model, x, projections=1)
        inspections.append(time.perf_counter() - start)
    return min(passes), min(inspections)


def cost():
    """Wall and CPU seconds of `inspect` and `initialize_` beside one forward and backward pass."""
    torch.manual_seed(0)
    layers = [m for _ in range(50) for m in (torch.nn.Linear(1024, 1024), torch.nn.Tanh())]
    model, x = torch.nn.Sequential(*layers), torch.randn(64, 1024)

    def one_pass():
        torch.autograd.grad(model(x).square().mean(), list(model.parameters()))

    jobs = {
        "forward and backward": one_pass,
        "inspect": lambda: inspect(model, x, remedies=False),
        "initialize_": lambda: initialize_(model, x),
    }
    for name, job in jobs.items():
        job()
        wall, cpu = time.perf_counter(), time.process_time()
        job()
        print(f"{name}: {time.perf_counter() - wall:.3f} s, CPU {time.process_time() - cpu:.3f} s")


ALL = {
    "tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "silu": torch.nn.SiLU,
    "selu": torch.nn.SELU, "elu": torch.nn.ELU, "softplus": torch.nn.Softplus,
    "sigmoid": torch.nn.Sigmoid, "mish": torch.nn.Mish,
}  # fmt: skip


def table(seed=0, names=tuple(ALL)):
    """Gradient first over last layer and correlation at the end, as lines of Markdown."""
    print("| activation | PyTorch default | calculate_gain | initialize_ |\n|---|---|---|---|")
    for name in names:
        activation, cells = ALL[name], []
        for way in ("default", "gain", "chione"):
            torch.manual_seed(seed)
            layers = [m for _ in range(50) for m in (torch.nn.Linear(256, 256), activation())]
            model, x = torch.nn.Sequential(*layers), torch.randn(32, 256)
            try:
                if way == "gain":
                    for layer in model[::2]:
                        gain = torch.nn.init.calculate_gain(name)
                        torch.nn.init.normal_(layer.weight, std=gain / 16.0)
                        torch.nn.init.zeros_(layer.bias)
            except ValueError:
                cells.append("raises")
                continue
            if way == "chione":
                initialize_(model, x, generator=torch.Generator().manual_seed(seed))
            report = inspect(model, x)
            ratio = report.layers[0].gradient / report.layers[-1].gradient
            cells.append(f"{ratio:.1e}, c = {report.layers[-1].correlation:.4f}")
        print(f"| {name} | {' | '.join(cells)} |")


def main():
    """Run all, print a table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the curves as JSON")
    parser.add_argument("--plot", help="write the curves as a figure")
    parser.add_argument("--table", action="store_true", help="gradients of nine activations")
    parser.add_argument("--cost", action="store_true", help="inspect and initialize_ at width 1024")
    options = parser.parse_args()
    if options.cost:
        cost()
        return
    if options.table:
        table(options.seed)
        return
    data = digits()
    curves = {}
    for name in ACTIVATIONS:
        for way in ("default", "chione"):
            model = prepared(name, way, data, options.seed)
            before = inspect(model, data[0][:128], seed=options.seed)
            start = time.perf_counter()
            curve = train(model, data, steps=options.steps, seed=options.seed)
            seconds = time.perf_counter() - start
            first = next((step for step, accuracy in curve if accuracy >= 0.9), None)
            curves[f"{name}, {way}"] = curve
            print(
                f"{name:6s} {way:8s} accuracy {curve[-1][1]:.3f} after {options.steps} steps, "
                f"90 % at step {first}, {seconds:.1f} s; "
                f"inspect said: {'trainable' if before.verdict.trainable else 'not trainable'}"
            )
    one, inspected = overhead(data)
    print(f"forward and backward {one * 1e3:.1f} ms, inspect {inspected * 1e3:.1f} ms")
    if options.out:
        facts = {
            "chione": chione.__version__, "torch": torch.__version__, "machine": platform.machine(),
            "threads": torch.get_num_threads(), "depth": DEPTH, "width": WIDTH, "curves": curves,
            "seconds_pass": one, "seconds_inspect": inspected,
        }  # fmt: skip
        with open(options.out, "w") as file:
            json.dump(facts, file, indent=1)
    if options.plot:
        draw(curves, options.plot)


def draw(curves, path):
    """Test accuracy against steps."""
    from chione.plotting import save
    from chione.plotting.style import COLOURS, one_axes, style

    with style():
        figure, axes = one_axes()
        for i, (label, curve) in enumerate(curves.items()):
            steps, accuracy = zip(*curve, strict=True)
            dash = "-" if label.endswith("chione") else ":"
            axes.plot(steps, accuracy, dash, color=COLOURS[i // 2], label=label)
        axes.axhline(0.9, color="#8a8a8a", linewidth=0.8)
        axes.set_xlabel("step")
        axes.set_ylabel("test accuracy")
        axes.set_ylim(0.0, 1.0)
        axes.legend(loc="best")
    save(figure, path)


if __name__ == "__main__":
    main()
