"""Run commands one after another in this process, within limits; report each as a line of JSON.

Arguments: a seed, a count, a folder for files. Started by test_cli_fuzz.py, or by hand.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import warnings

CPU, BYTES = 60.0, 2 << 30

NUMBERS = [
    *("0", "1", "-1", "0.5", "1.5", "1e-8", "1e8", "5e-324", "1e-308", "1e308", "-1e308", "1e20"),
    *("1e-20", "nan", "inf", "-inf", "", " ", "zwei", "0x10", "1_000", "½", "1e400", "2.2"),
    *("1e75", "1e150", "1e30", "3"),
]
COUNTS = [
    *("0", "1", "2", "3", "7", "20", "-1", "1000000000", "99999999999999999999", "9" * 400),
    *("1.5", "1e9", "", "nan", "٣", "9007199254740993", "4294967296", "100000"),
]
SMALL = ["1", "2", "3", "7", "20"]
RANGES = [
    *("0.5:2:3", "0:1:2", "0:1e308:3", "0:5e-324:2", "1e8:1e9:2", "0:1:100000", "2:1:3"),
    *("0:nan:3", "a:b:c", "::", "0:1:0", "0:1:-5", "0:1:99999999999", "1e-8:1e-7:3", "0.1:3:7"),
]
PHI = [
    *("tanh", "relu", "gelu", "erf", "x*0", "x", "x**2", "exp(x)", "exp(x**2)", "1/x", "log(x)"),
    *("sign(x)", "tanh(", "", "π", "😀", "import os", "x.__class__", "tanh;relu", "'", "a" * 3000),
    *("sin(x)", "linear", "1e300*x", "x*1e-300", "nan", "0", "hardtanh", "softplus", "step"),
    "../etc/passwd",
]
LAWS = ["gaussian", "orthogonal", "uniform", "truncated", "delta", "", "GAUSSIAN", "cauchy"]
OBSERVE = ["lengths", "all", "", ",", "ntk", "lengths,lengths", "gradients,four_point", "nothing"]
FILES = [
    *("out.json", "out.npz", "out.csv", "out.png", "out.svg", "out", "", ".", "/", "/dev/null"),
    *("no/such/folder/a.json", "/proc/a.json", "ü.json", "a" * 300 + ".json", "out.JSON"),
]

VALUES = [*NUMBERS, *COUNTS, *RANGES, "1,2,3", "1,,2", "3:9", "1,0.5:2:3", "0,1:2:3,7", "2:2:2"]
WORDS = ["sgd", "adam,sgd", "he", "chione", "sigmas,he", "lsuv", "pytorch,pytorch", "", "💥", ","]
FORMULAS = [
    *(
        "mp(0.5) + semicircle(1)",
        "coin^4",
        "2*mp(1)**2",
        "coin + 3",
        "compress(coin, 0.5)",
        "-mp(2)",
    ),
    *("uniform(0, 1) + uniform(0, 1)", "rectangular(mp(0.5), point(1), 0.5)", "point(1) * mp(0.5)"),
    *("slope(relu, 0.7) * mp(0.5)", "jacobian(relu, 2, sigma_w=1.4)", "coin^0.5", "coin^1e300"),
    *(
        "mp(1e300)",
        "mp(1e-300) + coin",
        "semicircle(5e-324)",
        "1e308*coin*1e308",
        "mp(0)",
        "mp(-1)",
    ),
    *("mp(", "mp(0.5) +", "2", "", " ", "coin coin", "coin^coin", "coin/0", "1/coin", "coin**-1"),
    *("π", "💥", "__import__('os')", "mp.__class__", "coin;coin", "'", '"out.npy"', "out.npy", "."),
    *("../etc/passwd.npy", "/dev/null", "missing.csv", "(" * 300 + "coin", "-" * 1000 + "coin"),
    *("coin+" * 3000 + "coin", "nothing(1)", "mp(nan)", "mp(1e400)", "mp(0.5, 1, 1)", "coin^^2"),
    *("jacobian(tanh, 2.5)", "jacobian(step, 2, q_star=1)", "slope(import os, 1)", "slope(tanh)"),
    *("mp(variance=2)", "mp(0.5, nothing=1)", "projection(2)", "coin*coin", "0*coin", "coin-coin"),
]

OPTIONS = {
    "analyze": {"--sigma-w": NUMBERS, "--sigma-b": NUMBERS, "--depth": COUNTS, "--width": COUNTS,
                "--weights": LAWS, "--networks": COUNTS, "--seed": COUNTS, "--effort": NUMBERS,
                "--init": ["standard", "he", "calculate_gain", "glorot", ""],
                "--figure": FILES, "--out": FILES},
    "phase": {"--field": ["chi_perp", "c_star", "xi_c", "phase", ""],
              "--levels": ["0.5,1", "auto", "none", "nan", "1;2", ""],
              "--sigma-w": RANGES, "--sigma-b": RANGES, "--out": FILES, "--figure": FILES,
              "--line": FILES, "--effort": NUMBERS},
    "gain": {"--depth": COUNTS, "--out": FILES, "--effort": NUMBERS},
    "criticality": {"--out": FILES, "--figure": FILES},
    "stability": {"--out": FILES, "--figure": FILES},
    "hermite": {"--q": NUMBERS, "--order": COUNTS, "--out": FILES, "--figure": FILES,
                "--effort": NUMBERS},
    "kernel": {"--q": NUMBERS, "--c": NUMBERS, "--sigma-w": NUMBERS, "--sigma-b": NUMBERS,
               "--depth": COUNTS, "--q0": NUMBERS, "--c0": NUMBERS, "--out": FILES,
               "--data": [*FILES, "missing.npy", "in.npy", "in.csv"], "--figure": FILES,
               "--effort": NUMBERS},
    "activations": {},
    "explore": {"--sigma-w": NUMBERS, "--sigma-b": NUMBERS, "--depth": COUNTS, "--width": COUNTS},
    "simulate": {"--sigma-w": NUMBERS, "--sigma-b": NUMBERS, "--depth": COUNTS, "--width": COUNTS,
                 "--widths": ["3,4", "0,1", "", "5,,5", "1000000000,3"], "--input-width": COUNTS,
                 "--weights": LAWS, "--networks": COUNTS, "--q0": NUMBERS, "--c0": NUMBERS,
                 "--observe": OBSERVE, "--sampler": ["auto", "dense", "matrix-free", "x"],
                 "--dtype": ["float64", "float32", "float16"], "--workers": COUNTS,
                 "--device": ["cpu", "cuda", ""], "--out": FILES, "--figure": FILES},
    "spectrum": {"--depth": COUNTS, "--sigma-w": NUMBERS, "--sigma-b": NUMBERS, "--q-star": NUMBERS,
                 "--variance": NUMBERS, "--weights": LAWS, "--points": COUNTS, "--networks": COUNTS,
                 "--width": COUNTS, "--widths": ["1,2", "3,2,2", "1,,2", "1e-6,1e6,1", "nan,1", ""],
                 "--scale": ["log", "linear", ""], "--out": FILES,
                 "--figure": FILES},
    "hessian": {"--ratio": NUMBERS, "--energy": NUMBERS, "--points": COUNTS, "--sample": COUNTS,
                "--structure": ["wigner", "relu", "linear", "product", "tanh"],
                "--picture": ["density", "index", "critical_energy"],
                "--out": FILES, "--figure": FILES},
    "freeprob": {"--points": COUNTS, "--matrix": COUNTS, "--spike": NUMBERS, "--seed": COUNTS,
                 "--out": FILES, "--figure": FILES, "--effort": NUMBERS},
    "sweep": {"--sigma-w": VALUES, "--sigma-b": VALUES, "--depth": VALUES, "--width": VALUES,
              "--scheme": WORDS, "--weights": [*LAWS, "gaussian,orthogonal"], "--optimizer": WORDS,
              "--rate": VALUES, "--seeds": COUNTS, "--dropout": NUMBERS, "--steps": COUNTS,
              "--batch": COUNTS, "--dtype": ["float64", "float16"], "--workers": COUNTS,
              "--data": [*FILES, "synthetic", "shapes", "digits"], "--out": [*FILES, "runs.sqlite"],
              "--engine": ["here", "threads", "dask", ""], "--figure": FILES, "--export": FILES,
              "--scheduler": ["", "tcp://", "nonsense", "💥", "tcp://[::1"], "--effort": NUMBERS},
    "show": {"--figure": FILES, "--out": FILES, "--field": ["q_star", "", "💥"]},
    "reproduce": {"--out": FILES},
}  # fmt: skip
# what makes a command short where nothing hostile does
GENTLE = {
    "analyze": {"--depth": SMALL, "--width": SMALL, "--networks": ["2", "3"], "--sigma-w": ["1.3"]},
    "phase": {"--sigma-w": ["0.5:2:3"], "--sigma-b": ["0:1:2"]},
    "gain": {"--depth": SMALL},
    "explore": {"--out": ["page.html"]},  # else it would serve until Ctrl-C
    "simulate": {"--sigma-w": ["1.3"], "--depth": SMALL, "--width": SMALL, "--networks": SMALL},
    "spectrum": {"--depth": SMALL, "--q-star": ["0.5"], "--width": SMALL},
    "hessian": {"--ratio": ["0.5"], "--energy": ["0.3"]},
    "sweep": {"--sigma-w": ["1,1.5"], "--depth": SMALL, "--width": SMALL, "--steps": SMALL,
              "--data": ["synthetic"], "--workers": ["1"]},
}  # fmt: skip


def arguments(rng: random.Random) -> list[str]:
    """One command with about two hostile options."""
    command = rng.choice([*OPTIONS, "simulate", "spectrum", "hessian", "simulate", "spectrum"])
    options = {k: rng.choice(v) for k, v in GENTLE.get(command, {}).items()}
    hostile = OPTIONS[command]
    for name in rng.sample(sorted(hostile), min(len(hostile), rng.choice([1, 1, 2, 3]))):
        options[name] = rng.choice(hostile[name])
        if name == "--variance":
            options.pop("--q-star", None)
    out = [command]
    if command in ("show", "reproduce"):
        out.append(rng.choice(["out.json", "out.csv", "missing.npz", "", "problem-set", "/", "ü"]))
    elif command in ("gain", "criticality", "stability", "hermite", "kernel"):
        out.append(rng.choice(PHI))
    elif command == "freeprob":
        out.append(rng.choice(FORMULAS) if rng.random() < 0.7 else rng.choice(FORMULAS[:3]))
    elif command not in ("hessian", "activations"):
        out.append(rng.choice(PHI) if rng.random() < 0.4 else rng.choice(["tanh", "relu"]))
    for name, value in options.items():
        out.append(f"{name}={value}")
    if command not in ("reproduce", "show") and rng.random() < 0.3:
        out.append("--json")
    return out


def main() -> None:
    """Run and report."""
    seed, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.chdir(folder)
    from click.testing import CliRunner

    from chione.cli import main as command

    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    rng = random.Random(seed)

    def stop(number: int, frame: object) -> None:
        raise RuntimeError("more than a minute of work")

    signal.signal(signal.SIGPROF, stop)
    for _ in range(count):
        given = arguments(rng)
        print(json.dumps({"begins": given}), flush=True)
        used = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, CPU)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            result = CliRunner().invoke(command, given)
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        report = {
            "given": given,
            "code": result.exit_code,
            "cpu": time.process_time() - used,
            "stderr": result.stderr,
            "stdout": result.stdout if "--json" in given else "",
            "warnings": [f"{w.category.__name__}: {w.message}" for w in seen],
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
