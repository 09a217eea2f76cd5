"""Call the public API with random ordinary and hostile arguments; report each call as JSON.

Arguments: a seed, a count, and perhaps names of callables. Started by test_api_fuzz.py, or by hand.
"""

from __future__ import annotations

import inspect
import json
import math
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

import chione as ch
from chione import gaussian, simulation, theory
from chione.base import ChioneError, Estimate, Status

CPU, BYTES = 60.0, 2 << 30
NAN, INF = math.nan, math.inf

FUNCTIONS = {
    "np.tanh": np.tanh,
    "jump": lambda x: np.where(x > 0.3, 1.0, -2.0) + x,
    "kinks": lambda x: np.where(x < -0.7, 0.1 * x, np.maximum(x, 0.2)),
    "narrow": lambda x: np.exp(-((1e4 * (x - 1.2345)) ** 2)),
    "huge": lambda x: 1e200 * np.tanh(x),
    "tiny": lambda x: 1e-200 * x,
    "largest": lambda x: 1e308 * np.ones_like(x),
    "overflow": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "explodes": lambda x: np.exp(x**4),
    "steep": lambda x: np.tanh(1e7 * x),
    "fast": lambda x: np.sin(1e4 * x),
    "root": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    "pole": lambda x: np.tan(x),
    "log": np.log,
    "zero": lambda x: 0.0 * x,
    "number": lambda x: 1.0,
    "nothing": lambda x: None,
    "text": lambda x: "x",
    "short": lambda x: x[:-1],
    "complex": lambda x: x + 1j,
    "nan": lambda x: x * NAN,
    "two": lambda x, y: x + y,
}
ORDINARY_PHI = [
    *("tanh", "relu", "erf", "gelu", "selu", "sin(x)", "hardtanh", "softplus", "x", "swish"),
    *("0.5*x*(1+tanh(x))", "x/(1+exp(-x))", "leaky_relu", "siren(w0=3)", "np.tanh", "kinks"),
]
HOSTILE_PHI = [
    *(key for key in FUNCTIONS if key not in ORDINARY_PHI),
    *("sign(x)", "x**2", "exp(x)", "exp(x**2)", "1/x", "log(x)", "1e300*x", "x*1e-300", "0", "3"),
    *("x*1e100", "step", "tan(x)", "hypot(x, 1e308)", "sin(1e6*x)", "tanh(", "", "nan", "no such"),
    *("1e-7*tanh(1e7*x)", "1e7*tanh(1e-7*x)", "siren(w0=1e9)", None, 3.0, True, NAN, b"tanh", []),
]
NUMBERS = [
    *(0.0, 5e-324, 1e-308, 1e-150, 1e-100, 1e-20, 1e-8, 1e-3, 0.5, 1.0, 1.5, 3.0, 30.0, 1e4, 1e8),
    *(1e20, 1e75, 1e100, 1e150, 1e155, 1e308, -1.0, -1e-300, NAN, INF, -INF, True, None, "1.5"),
    *("tanh", 1j, 10**400, np.float32(1.5), np.int64(2), np.array(1.0), [1.0], [[1.0, 2.0]], {}),
]  # fmt: skip
COUNTS = [
    *(0, -1, 1, 2, 50, 1000, 10**5, 10**9, 10**20, 10**400, 1.5, 2.0, 1e300, NAN, INF, True, None),
    *("3", "tanh", [3], (3, 4), (0, 1), np.int32(4), np.uint8(200), 1j, -(10**30)),
]
ARRAYS = [
    *([], [[]], [0.5, 1.0], [1.0, NAN], [INF], [[0.5], [1.0]], np.zeros((3, 0)), {"a": 1}),
    *(["a"], [[1.0], [1.0, 2.0]], [None], np.array([1e308, 1e-308, 0.0]), [1e150], [-1.0, 1.0]),
    *(np.ones((2, 3)), np.eye(3), [1, 2, 3], [True], "0.5", None, 0.5, 5e-324, 10**400, {1.0}),
]  # fmt: skip
WORDS = ["gaussian", "auto", "closed", "", "GAUSSIAN", None, 3, "cauchy", ("gaussian",), b"auto"]

# What is ordinary for an argument of this name, and which hostile values are drawn beside it.
ARGUMENTS: dict[str, tuple[list[Any], list[Any]]] = {
    "phi": (ORDINARY_PHI, HOSTILE_PHI),
    "sigma_w": ([0.5, 1.0, 1.3, 2.0], NUMBERS),
    "sigma_b": ([0.0, 0.1, 0.5], NUMBERS),
    "q": ([0.3, 1.0, 2.5, [0.5, 1.0]], NUMBERS + ARRAYS),
    "c": ([0.0, 0.5, 0.9, -0.3, 1.0], [*NUMBERS, *ARRAYS, 1 - 1e-14, -1.0, 1.0 + 1e-16, 2.0]),
    "one_minus_c": ([0.1, 1e-3, 1e-12], NUMBERS + ARRAYS),
    "depth": ([2, 5, 20], COUNTS),
    "width": ([3, 8, 20], COUNTS),
    "array": ([[0.5, 1.0], [1.0]], ARRAYS + NUMBERS),
    "number": ([0.5, 1.0, 2.0], NUMBERS),
    "count": ([1, 2, 3], COUNTS),
    "weights": (["gaussian", "orthogonal", "uniform", "truncated", "delta"], WORDS),
    "method": (["auto"], [*WORDS, "quadrature", "plain"]),
    "flag": ([True, False], [None, 3, "yes", NAN, []]),
    "breakpoints": ([(), (0.0,), (-1.0, 1.0)], [*ARRAYS, (NAN,), (1.0, -1.0), (1e308,), "abc"]),
    "pair": ([(1.0, 1.0), (0.5, 2.0)], [*ARRAYS, *NUMBERS, (1e-300, 1.0), (1e308, 1e308)]),
    "effort": ([1.0], [0.0, -1.0, NAN, INF, "1", None, 1e-9, []]),
    "path": (["missing.json", "", "/", "a.xyz"], [None, 3, b"a.npz", "\0", "a" * 5000, []]),
    "x": ([np.eye(3), np.ones((2, 3))], ARRAYS),
}
KINDS = {
    **dict.fromkeys(("f", "g", "spec", "family", "activation"), "phi"),
    **dict.fromkeys(("q1", "q2", "q_star", "k", "sigma0_sq", "variance", "ratio", "energy"), "q"),
    **dict.fromkeys(("fan_in", "fan_out", "n_outputs", "input_width"), "width"),
    **dict.fromkeys(("n", "terms", "n_steps", "n_points", "n_networks", "seed", "power"), "count"),
    **dict.fromkeys(("n_frequencies", "workers", "batch", "memory", "bins"), "count"),
    **dict.fromkeys(("means", "variances"), "array"),
    **dict.fromkeys(("offset", "with_ntk", "simulate", "picture"), "flag"),
    **dict.fromkeys(("breakpoints_f", "breakpoints_g"), "breakpoints"),
    **dict.fromkeys(("x1", "x2", "inputs", "gram"), "x"),
    **dict.fromkeys(("scheme", "kind", "observe", "sampler", "dtype", "backend"), "method"),
    **dict.fromkeys(("start", "field", "device", "structure"), "method"),
    **dict.fromkeys(("index",), "number"),
    **dict.fromkeys(("targets", "bracket"), "pair"),
    **dict.fromkeys(("steps", "seeds"), "count"),
    **dict.fromkeys(("optimizer", "engine", "data"), "method"),
    **dict.fromkeys(("q0", "c0", "mean", "shift", "relative_error"), "number"),
}  # fmt: skip
SPECIAL: dict[tuple[str, str], list[Any]] = {
    ("phase_diagram", "sigma_w"): [[1.0, 1.5], [0.5, 1.0, 2.0]],
    ("phase_diagram", "sigma_b"): [[0.0, 0.3]],
    ("describe_scheme", "scheme"): [
        "xavier",
        "he",
        "lecun",
        "pytorch",
        "calculate_gain",
        "standard",
    ],
    ("norm_map", "mean"): [[0.0], [0.1, 0.2]],
    ("process_kernel", "kind"): ["nngp", "ntk"],
    ("analyze", "simulate"): [False],
    ("gaussian_limit", "kernel"): [np.eye(2)],
    ("gaussian_limit", "widths"): [(4, 8)],
    ("backward", "start"): ["unit", "regression"],
    ("first_order_slope", "terms"): [20, 100],
    ("basins", "n_steps"): [20],
    ("simulate", "observe"): [("lengths",), "all"],
    **{(name, "engine"): [None, "here"] for name in ("simulate", "gaussian_limit")},
    ("simulate_spectrum", "engine"): [None, "here"],
    ("critical_energy", "ratio"): [0.3, 0.6],
    ("hessian_spectrum", "ratio"): [0.3, 0.6],
    ("critical_amplitude", "ratio"): [0.3, 0.6],
    ("energy_at_index", "index"): [0.3, [0.1, 0.4]],
    **{
        (name, "structure"): ["wigner", "relu", "linear", "product"]
        for name in (
            "critical_energy",
            "critical_amplitude",
            "hessian_spectrum",
            "hessian_index",
            "energy_at_index",
            "index_onset",
        )
    },
    ("normalizing_parameter", "bracket"): [(0.1, 1.0)],
    ("sweep", "plan"): ["tanh", "relu", ["tanh", "gelu"], ("softsign",)],
    **{
        (name, key): values
        for name in ("sweep", "boundary", "SweepPlan")
        for key, values in {
            "activation": ["tanh", "relu", "x*tanh(x)"],
            "sigma_w": [1.0, [0.8, 1.5]],
            "depth": [(1, 3)] if name == "boundary" else [2, [2, 4]],
            "scheme": ["sigmas", "he", "chione"],
            "optimizer": ["sgd", "momentum", "adam"],
            "rate": [0.1, [0.01, 0.1]],
            "dropout": [0.0, 0.2],
            "dtype": ["float32", "float64"],
            "share": [0.5, 0.25],
            "ratio": [1.5, 2.0],
            "data": ["synthetic"],
            "engine": [None, "here"],
            "out": [None],
            "workers": [1],
            "batch": [4, 7],
        }.items()
    },
}
PAIRS = {"backward", "kernel_layers", "metric_covariance"}  # q0 is that of two inputs
CLASSES = ("MLP", "Integrator", "Table", "SweepPlan")
ALWAYS_GIVEN = {
    "depth",
    "n_networks",
    "width",
    "simulate",
    "n_steps",
    "widths",
    "observe",
    "terms",
    "steps",
    "data",
}
SKIPPED = {"progress", "ax", "features"}
RARE = {"analyze", "gain_table", "basins", "norm_stability", "criticality", "gain"}


def callables() -> dict[str, Any]:
    """Every public function, and the classes that a user makes by hand."""
    out = {}
    for room in (ch, theory, simulation, gaussian):
        for name in room.__all__:
            what = getattr(room, name)
            if inspect.isfunction(what) or name in CLASSES:
                out[name] = what
    return out


def network(rng: random.Random) -> Any:
    """An ordinary network, or something else in its place."""
    if rng.random() < 0.1:
        return rng.choice([None, "tanh", 3, np.eye(3)])
    phi = rng.choice(["tanh", "relu", "erf", "sin(x)", "jump", "huge", "1e-7*tanh(1e7*x)"])
    sigmas = [
        rng.choice([0.5, 1.0, 1.5, 2.0, 1e-150, 1e100, 1e308, 0.0]),
        rng.choice([0, 0.1, 1e9]),
    ]
    if rng.random() < 0.7:
        sigmas = [1.3, 0.1]
    depth = rng.choice([1, 3, 10, 10, 10**9]) if rng.random() < 0.3 else 3
    width = rng.choice([1, 8, (4, 5, 6) if depth == 3 else 4])
    return ch.MLP(FUNCTIONS.get(phi, phi), *sigmas, depth, width)


def value(rng: random.Random, function: str, name: str, hostile: bool) -> Any:
    """One argument, and how it is written in a report."""
    if name == "network":
        return network(rng)
    if name == "result":
        return rng.choice(
            [None, 3, "x", ch.Estimate(1.0, 0.0), ch.length_map("relu", 1.0, sigma_w=1.0)]
        )
    if name == "slope":
        return ch.Estimate(rng.choice([0.0, 0.5, -0.5, 1.0, 2.0, NAN, INF, 5e-324]), 1e-12)
    kind = KINDS.get(name, name)
    if name == "q0" and function in PAIRS:
        kind = "pair"
    if kind not in ARGUMENTS:
        kind = "array"
    ordinary, bad = ARGUMENTS[kind]
    drawn = rng.choice(bad if hostile else SPECIAL.get((function, name), ordinary))
    if function in (
        "expectation",
        "bivariate",
        "Integrator",
        "hermite_expansion",
        "gaussian_nodes",
    ):
        if kind != "phi" or not isinstance(drawn, str):
            return drawn
        return FUNCTIONS.get(drawn, drawn if hostile else np.tanh)
    return FUNCTIONS.get(drawn, drawn) if isinstance(drawn, str) and kind == "phi" else drawn


def call(rng: random.Random, public: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A function with its arguments: about one or two of them hostile."""
    name = rng.choice(sorted(public))
    if name in RARE and rng.random() < 0.6:
        name = rng.choice(sorted(public))
    arguments = [
        p for p in inspect.signature(public[name]).parameters.values() if p.name not in SKIPPED
    ]
    bad = set(
        rng.sample([p.name for p in arguments], min(len(arguments), rng.choice([0, 1, 1, 2, 3])))
    )
    given = {}
    for p in arguments:
        needed = p.default is p.empty or p.name in ALWAYS_GIVEN
        if needed or p.name in bad or rng.random() < 0.2:
            given[p.name] = value(rng, name, p.name, p.name in bad)
    return name, given


def written(given: dict[str, Any]) -> str:
    """Arguments as text, lambdas by their name."""
    names = {id(f): key for key, f in FUNCTIONS.items()}
    return ", ".join(f"{k}={names.get(id(v)) or repr(v)[:80]}" for k, v in given.items())


def hollow(found: Any, depth: int = 0) -> bool:
    """Whether an estimate in a result is NaN and calls itself OK."""
    if isinstance(found, Estimate):
        with np.errstate(all="ignore"):
            bad = np.isnan(found.value) | np.isnan(found.error)
            return bool(np.any(bad & (np.asarray(found.status) == int(Status.OK))))
    if depth > 6:
        return False
    if is_dataclass(found) and not isinstance(found, type):
        return any(hollow(getattr(found, f.name, None), depth + 1) for f in fields(found))
    if isinstance(found, (tuple, list)):
        return any(hollow(f, depth + 1) for f in found[:50])
    return False


def answer(what: Any, given: dict[str, Any]) -> str:
    """Make one call; what is wrong with its end, or nothing."""
    try:
        found = what(**given)
    except FileNotFoundError as err:
        return "" if "path" in given else str(err)
    except (ChioneError, ValueError, TypeError) as err:
        last = traceback.extract_tb(err.__traceback__)[-1]
        own = last.filename == __file__ and last.name == "<lambda>"  # the user's own complaint
        if "chione" not in last.filename and not own:
            return f"{type(err).__name__} from elsewhere: {err} ({last.filename}:{last.lineno})"
        if len(str(err).split()) < 4:
            return f"no sentence: {type(err).__name__}: {err}"
        return ""
    repr(found), str(found)
    if hasattr(found, "to_dict"):
        json.dumps(found.to_dict(), allow_nan=False)
    if not given.get("slope") and hollow(found):
        return f"NaN calls itself OK: {found!r:.300}"
    return ""


def main() -> None:
    """Run and report."""
    seed, count, only = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    public = callables()
    public = {k: v for k, v in public.items() if not only or k in only}
    with open("/proc/self/statm") as text:
        room = BYTES + int(text.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (room, room))

    def stop(number: int, frame: object) -> None:
        raise RuntimeError("more than a minute of work")

    signal.signal(signal.SIGPROF, stop)
    for index in range(count):
        rng = random.Random(f"{seed}.{index}")
        name, given = call(rng, public)
        report = {"index": f"{seed}.{index}", "call": f"{name}({written(given)})"}
        print(json.dumps({"begins": report}), flush=True)
        used, complaint = time.process_time(), ""
        # where no signal is heard (inside compiled code) the kernel ends the process
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + 1.2 * CPU) + 1, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, CPU)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                complaint = answer(public[name], given)
            except BaseException as err:  # whatever comes is what is looked for
                last = [
                    f"{f.filename.rpartition('chione/')[2]}:{f.lineno}"
                    for f in traceback.extract_tb(err.__traceback__)
                ]
                complaint = f"{type(err).__name__}: {err} at {' '.join(last[-4:])}"
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        print(
            json.dumps(report | {"complaint": complaint, "cpu": time.process_time() - used}),
            flush=True,
        )


if __name__ == "__main__":
    main()
