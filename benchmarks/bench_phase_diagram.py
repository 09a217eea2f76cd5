"""Phase diagrams against the loop that a problem set tells a student to write, in one run.

    python -m pytest benchmarks/bench_phase_diagram.py --benchmark-enable

The targets: 1000 x 1000 cells, all six fields, compilation included, in at most 3 s on one core
and 500 MB; at least 5000 times the cells per second of ``quad`` and ``fixed_point``.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import integrate, optimize

import chione

SIGMA_W, SIGMA_B = np.linspace(0.5, 4.0, 1000), np.linspace(0.0, 2.0, 1000)


def fresh_diagram(name: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of one diagram in a process that has compiled nothing."""
    code = (
        "import time, resource, numpy as np, chione\n"
        f"phi = chione.activation({name!r})\n"
        "chione.phase_diagram\n"
        "start = time.perf_counter()\n"
        "chione.phase_diagram(phi, sigma_w=np.linspace(0.5, 4.0, 1000),"
        " sigma_b=np.linspace(0.0, 2.0, 1000))\n"
        "print(time.perf_counter() - start,"
        " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, memory = map(float, out.stdout.split())
    return seconds, memory


def student_cell(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """q* and chi of tanh by scipy's quad and fixed_point, as problem sets ask for it."""

    def gaussian(x: float) -> float:
        return np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)

    def length(q: float) -> float:
        def integrand(x: float) -> float:
            return np.tanh(np.sqrt(q) * x) ** 2 * gaussian(x)

        return sigma_w**2 * integrate.quad(integrand, -np.inf, np.inf)[0] + sigma_b**2

    q = float(optimize.fixed_point(lambda x: length(float(x)), 0.7))

    def slope(x: float) -> float:
        return np.cosh(np.sqrt(q) * x) ** -4 * gaussian(x)

    return q, sigma_w**2 * integrate.quad(slope, -10.0, 10.0)[0]


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_a_million_cells_against_the_students_loop(benchmark, name):
    seconds, memory = benchmark.pedantic(fresh_diagram, args=(name,), rounds=3)
    cells = [(1.3 + 0.1 * k, 0.2 + 0.05 * k) for k in range(12)]
    start = time.perf_counter()
    for cell in cells:
        student_cell(*cell)
    student = (time.perf_counter() - start) / len(cells)
    ours = seconds / (SIGMA_W.size * SIGMA_B.size)
    benchmark.extra_info |= {"seconds": seconds, "MB": memory, "times faster": student / ours}
    print(
        f"\n{name}: {seconds:.2f} s, {memory:.0f} MB, {ours * 1e9:.0f} ns a cell; "
        f"quad + fixed_point {student * 1e3:.1f} ms a cell; {student / ours:.0f} times faster"
    )


def test_the_students_loop_agrees_where_it_converges():
    diagram = chione.phase_diagram("tanh", sigma_w=np.array([1.3]), sigma_b=np.array([0.3]))
    q, chi = student_cell(1.3, 0.3)
    assert abs(float(diagram.q_star[0, 0]) - q) < 1e-6
    assert abs(float(diagram.chi_perp[0, 0]) - chi) < 1e-6
