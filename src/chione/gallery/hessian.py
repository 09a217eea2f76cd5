"""The Hessian model of Pennington & Bahri 2017: Wishart plus Wigner, or plus blocks."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.gallery.drawing import finish, name_marks, points
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Entry, Reproduction, Variable, worst
from chione.plotting import COLOURS, new_figure, style
from chione.simulation.hessian import sample_model_hessian
from chione.theory.spectra.hessian import critical_energy, hessian_index, hessian_spectrum
from chione.theory.spectra.hessian_structure import STRUCTURES, Structure


def densities(quick: bool) -> Reproduction:
    """Densities over energy."""
    ratio, energies = 0.5, np.array([0.0, 0.1, 0.5, 1.0])
    size = 300 if quick else 2000
    x = np.linspace(-3.0, 6.0, 901)
    spectra = [hessian_spectrum(ratio=ratio, energy=float(e)) for e in energies]
    rho = np.array([s.density(x).value for s in spectra])
    samples = np.array(
        [sample_model_hessian(ratio=ratio, energy=float(e), size=size, seed=i)
         for i, e in enumerate(energies)]
    )  # fmt: skip
    bins = np.linspace(-3.0, 6.0, 46)
    with style():
        figure = new_figure(6.4, 4.2)
        ax = figure.add_subplot()
        for i, e in enumerate(energies):
            line(ax, x, rho[i], i, rf"$\varepsilon = {e:g}$")
            height = np.histogram(samples[i], bins=bins)[0] / (size * np.diff(bins))
            shown = height > 0
            ax.plot(0.5 * (bins[1:] + bins[:-1])[shown], height[shown], "os^D"[i], ms=3.5,
                    mfc="white", color=COLOURS[i])  # fmt: skip
        name_marks(ax, "one matrix each")
        ax.set(xlim=(-3, 6), ylim=(0, 1.1))
        finish(ax, rf"Hessian spectrum at $\phi = {ratio}$", r"eigenvalue $\lambda$", "density")
    data = {
        "energy": Variable(("energy",), energies, "loss epsilon"),
        "eigenvalue": Variable(("x",), x, "eigenvalue"),
        "density": Variable(("energy", "x"), rho, "density"),
        "simulated": Variable(("energy", "value"), samples, "eigenvalues of one matrix each"),
    }
    first, second = samples.mean(axis=1), (samples**2).mean(axis=1)
    low, high = 0.5 * (3.0 - 2.0 * np.sqrt(2.0)), 0.5 * (3.0 + 2.0 * np.sqrt(2.0))
    inside = (x > low + 0.01) & (x < high)
    law = np.sqrt((high - x[inside]) * (x[inside] - low)) / (2 * np.pi * ratio * x[inside])
    # standard deviations over matrices of the traces of H / n and H^2 / n: Wishart, Wigner, cross
    spread_1 = np.sqrt(2.0 * ratio + 4.0 * energies) / size
    wishart = 8.0 * ratio + 20.0 * ratio**2 + 8.0 * ratio**3
    spread_2 = np.sqrt(wishart + 16.0 * energies**2 + 16.0 * energies * (1.0 + ratio)) / size
    checks = (
        worst("at energy 0 the law of Marchenko and Pastur", rho[0][inside], law, 1e-10),
        worst("mean eigenvalue of samples", first, 1.0, 4.5 * spread_1),
        worst(
            "second moment of samples",
            second,
            1.0 + (ratio + 2.0 * energies) * (1.0 + 1.0 / size),
            4.5 * spread_2,
        ),
    )
    return Reproduction(figure, data, checks)


def index(quick: bool) -> Reproduction:
    """Fraction of negative eigenvalues over energy, and the energy where it leaves zero."""
    ratios = np.array([0.1, 0.25, 0.5, 0.75])
    energies = np.linspace(0.0, 1.0, 41 if quick else 161)
    alpha = np.array([[_alpha(float(r), float(e)) for e in energies] for r in ratios])
    dots = np.array([0.1, 0.4, 0.8])
    size = 300 if quick else 1500
    sim = np.array([[_counted(float(r), float(e), size) for e in dots] for r in ratios])
    grid = np.linspace(0.01, 1.2, 120)
    eps = np.asarray(critical_energy(grid).value)
    with style():
        figure = new_figure(9.0, 4.0)
        left, right = figure.subplots(1, 2)
        for i, r in enumerate(ratios):
            line(left, energies, alpha[i], i, rf"$\phi = {r}$")
            points(left, dots, sim[i], np.full(dots.size, 1.0 / size), i)
        name_marks(left, "counted in one matrix each")
        finish(left, "Index against energy", r"energy $\varepsilon$",
               r"share of negative eigenvalues $\alpha$")  # fmt: skip
        right.plot(grid, eps, color=COLOURS[0])
        finish(right, r"Energy $\varepsilon_c$ up to which no eigenvalue is negative",
               r"parameters per datum $\phi$", r"$\varepsilon_c$", None)  # fmt: skip
    data = {
        "ratio": Variable(("ratio",), ratios, "parameters per datum"),
        "energy": Variable(("energy",), energies, "loss epsilon"),
        "index": Variable(("ratio", "energy"), alpha, "share of negative eigenvalues"),
        "sampled_energy": Variable(("dot",), dots, "energies of the sampled matrices"),
        "simulated": Variable(("ratio", "dot"), sim, "share counted in one matrix"),
        "grid_ratio": Variable(("grid",), grid, "parameters per datum, right panel"),
        "critical_energy": Variable(("grid",), eps, "epsilon_c"),
    }
    theory_at_dots = np.array([[_alpha(float(r), float(e)) for e in dots] for r in ratios])
    checks = (
        # eigenvalues repel: a count is off by sqrt(log n) / pi, below 1, and half a step
        worst("share of negative eigenvalues, counted", sim, theory_at_dots, 4.0 / size),
        worst("epsilon_c: nothing is negative just below", _around(ratios, 0.98), 0.0, 1e-12),
        worst("epsilon_c: something is negative just above", _around(ratios, 1.02) > 0, 1.0, 0.0),
    )
    return Reproduction(figure, data, checks)


def structures(quick: bool) -> Reproduction:
    """The index with the blocks of a ReLU layer, and the critical energies of all structures."""
    ratios = np.array([0.4, 0.8, 1.5, 3.0])
    energies = np.linspace(0.0, 9.0, 61 if quick else 241)
    alpha = np.asarray(hessian_index(ratios[:, None], energies, structure="relu").value)
    dots = np.array([2.5, 5.0, 8.0])
    size = 300 if quick else 1500
    sim = np.array([[_counted(float(r), float(e), size, "relu") for e in dots] for r in ratios])
    grid = np.linspace(0.01, 0.97, 97)
    critical = np.array([np.asarray(critical_energy(grid, structure=s).value) for s in STRUCTURES])
    with style():
        figure = new_figure(9.0, 4.0)
        left, right = figure.subplots(1, 2)
        for i, r in enumerate(ratios):
            line(left, energies, alpha[i], i, rf"$\phi = {r}$")
            points(left, dots, sim[i], np.full(dots.size, 1.0 / size), i)
        name_marks(left, "counted in one matrix each")
        finish(left, "Index with the blocks of a ReLU layer", r"energy $\varepsilon$",
               r"share of negative eigenvalues $\alpha$")  # fmt: skip
        for i, name in enumerate(STRUCTURES):
            line(right, grid, critical[i], i, name)
        right.set_yscale("log")
        finish(right, r"Energy $\varepsilon_c$ up to which no eigenvalue is negative",
               r"parameters per datum $\phi$", r"$\varepsilon_c$")  # fmt: skip
    data = {
        "ratio": Variable(("ratio",), ratios, "parameters per datum"),
        "energy": Variable(("energy",), energies, "loss epsilon"),
        "index": Variable(("ratio", "energy"), alpha, "share of negative eigenvalues, relu"),
        "sampled_energy": Variable(("dot",), dots, "energies of the sampled matrices"),
        "simulated": Variable(("ratio", "dot"), sim, "share counted in one matrix"),
        "grid_ratio": Variable(("grid",), grid, "parameters per datum, right panel"),
        "critical_energy": Variable(
            ("structure", "grid"), critical, "epsilon_c for " + ", ".join(STRUCTURES)
        ),
    }
    theory = np.asarray(hessian_index(ratios[:, None], dots, structure="relu").value)
    chi = 1.0 + 16.0 * grid - 8.0 * grid**2
    printed = (27.0 - 18.0 * chi - chi**2 + 8.0 * chi**1.5) / (32.0 * grid * (1.0 - grid) ** 3)
    part = grid < 0.8  # the printed form cancels towards 1
    checks = (
        worst("share of negative eigenvalues, counted", sim, theory, 4.0 / size),
        worst("half of the rank of the blocks, 1 / (2 phi) at ratio 3", alpha[3, 1:], 1 / 6, 1e-12),
        worst("epsilon_c of a ReLU layer as printed", critical[1][part], printed[part],
              1e-9 * printed[part]),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _alpha(ratio: float, energy: float) -> float:
    return float(hessian_spectrum(ratio=ratio, energy=energy).negative_fraction.value)


def _counted(ratio: float, energy: float, size: int, structure: Structure = "wigner") -> float:
    values = sample_model_hessian(
        ratio=ratio, energy=energy, size=size, seed=7, structure=structure
    )
    return float(np.mean(values < -1e-10))  # an atom at zero is rounding of either sign


def _around(ratios: Array, factor: float) -> Array:
    energies = factor * np.asarray(critical_energy(ratios).value)
    return np.array([_alpha(float(r), float(e)) for r, e in zip(ratios, energies, strict=True)])


ENTRIES = (
    Entry("hessian-densities", "Pennington & Bahri 2017; review in lecture 8 of C6.5",
          "Spectrum of the model Hessian at several energies",
          "A Wishart matrix plus a Wigner matrix whose size grows with the loss. At loss 0 no "
          "eigenvalue is negative; points are eigenvalues of one sampled matrix.",
          densities),
    Entry("hessian-index", "Pennington & Bahri 2017; review in lecture 8 of C6.5",
          "Share of negative eigenvalues over energy, and the critical energy",
          "Below epsilon_c every eigenvalue is positive; beyond, the share of negative ones grows "
          "like the power 3/2. epsilon_c is 0 from one parameter per datum on.",
          index),
    Entry("hessian-structures", "Pennington & Bahri 2017",
          "Index and critical energy with the structure of a hidden layer",
          "H1 of a network with one hidden ReLU layer has two off-diagonal blocks. It takes more "
          "energy to turn eigenvalues negative than with a Wigner matrix; from two parameters per "
          "datum on zero keeps an atom, and the index is 1 / (2 phi) at every energy.",
          structures),
)  # fmt: skip
