"""The energy up to which no eigenvalue of a model Hessian is negative, and the law beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, AbstractResult, Array, Estimate, Status, checks, result
from chione.theory.spectra.hessian_law import HessianLaw
from chione.theory.spectra.hessian_structure import (
    ACTIVE,
    STRUCTURES,
    Structure,
    first_part,
    parts,
    second_part,
)
from chione.theory.spectra.hessian_zero import Below

_SMALLEST = 1e-290  # ratio of which the inverse and its products with numbers of size 1 are floats


def critical_energy(
    ratio: Any, *, structure: Structure = "wigner", method: str = "closed"
) -> Estimate:
    r"""Energy up to which no eigenvalue of the model Hessian is negative.

    .. math:: \epsilon_c = \tfrac1{16} [1 - 20 \phi - 8 \phi^2 + (1 + 8 \phi)^{3/2}], \quad \phi < 1

    for the Wigner H1 [1]; with the blocks of a ReLU layer

    .. math:: \epsilon_c = \frac{27 - 18 \chi - \chi^2 + 8 \chi^{3/2}}{32 \phi (1 - \phi)^3},
        \qquad \chi = 1 + 16 \phi - 8 \phi^2,

    and with a product for H0, :math:`s = \sqrt{1 + 20 \phi + 4 \phi^2}`

    .. math:: \epsilon_c = \frac{256 (1 - \phi)^5 (s + 1 - 2 \phi)^2}{(1 + 4 \phi + s)
        (7 - 2 \phi + s)^4}.

    It is 0 for a ratio of 1 or more, where H0 has zero eigenvalues that any H1 splits.

    Parameters
    ----------
    ratio : float or array
        Parameters per datum, above 0.
    structure : {"wigner", "relu", "linear", "product"}
        What H0 and H1 are, see :class:`~chione.HessianSpectrum`.
    method : {"closed", "root"}
        The formula, or the energy at which the lower edge of the law is zero.

    Raises
    ------
    ValueError
        For a ratio that is not above 0.

    References
    ----------
    .. [1] J. Pennington, Y. Bahri, Geometry of neural network loss surfaces via random matrix
       theory, ICML 2017.
    """
    p = check_ratio(ratio)
    checks.one_of("structure", structure, STRUCTURES)
    if checks.one_of("method", method, ("closed", "root")) == "root":
        value = np.array([_root(float(x), structure) for x in p.ravel()]).reshape(p.shape)
        return estimate(value, np.full(p.shape, 1e-12))
    value = np.zeros(p.shape)
    value[p < 1.0] = _closed(p[p < 1.0], structure)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(value > 0.0, EPS * (32.0 + 4.0 * abs(np.log(value))) * value, 0.0)
    large = np.isinf(value)  # blocks at ratios below 1e-308: eps_c is about 0.6 / phi
    return estimate(value, error, np.where(large, Status.OVERFLOW, Status.OK).astype(np.int8))


def _closed(p: Array, structure: Structure) -> Array:
    """For ratios below 1, in forms that do not cancel near 1."""
    if structure == "wigner":
        # With s = sqrt(1 + 8 p) the bracket is (3 - s)^3 (1 + s) / 8
        s = np.sqrt(1.0 + 8.0 * p)
        return np.asarray((8.0 * (1.0 - p) / (3.0 + s)) ** 3 * (1.0 + s) / 128.0)
    if structure == "product":
        s = np.sqrt(1.0 + 20.0 * p + 4.0 * p * p)
        w = 8.0 * (1.0 - p) / (7.0 - 2.0 * p + s)  # 1 + y at the critical energy
        return np.asarray((1.0 - p) * w**4 * (s + 1.0 - 2.0 * p) ** 2 / (16.0 * (1 + 4 * p + s)))
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(Below(p, structure).log_critical_energy()))


def _root(p: float, structure: Structure) -> float:
    if p >= 1.0:
        return 0.0

    def lowest(log_e: float) -> float:
        return HessianLaw(parts(p, float(np.exp(log_e)), structure)).intervals[0][0]

    high = np.log(10.0) if structure != "relu" and structure != "linear" else np.log(10.0 / p)
    return float(np.exp(brentq(lowest, -200.0, high, xtol=1e-13)))


def critical_amplitude(ratio: float, *, structure: Structure = "wigner") -> Estimate:
    r"""The amplitude A in the fraction of negative eigenvalues just above eps_c.

    .. math:: \alpha \approx A \left| \frac{\epsilon - \epsilon_c}{\epsilon_c} \right|^{3/2}

    Parameters
    ----------
    ratio : float
        Parameters per datum, strictly between 0 and 1; see :func:`index_onset` for the others.
    structure : {"wigner", "relu", "linear", "product"}
        What H0 and H1 are.

    Notes
    -----
    At an edge x_c with :math:`z \approx x_c + \tfrac12 z'' (F - F_c)^2` the density is
    :math:`\sqrt{2 (x - x_c) / |z''|} / (\pi F_c^2)`, and the edge moves by
    :math:`\partial z / \partial \epsilon = \partial V_1 / \partial \epsilon`.
    """
    p = checks.positive("ratio", ratio)
    checks.one_of("structure", structure, STRUCTURES)
    if p >= 1.0:
        raise ValueError(f"ratio must lie between 0 and 1, but it is {p!r}: there eps_c is 0.")
    if p < _SMALLEST:
        raise ValueError(f"ratio must be {_SMALLEST:g} or more, but it is {p!r}: floats overflow.")
    e = float(_closed(np.array(p), structure))
    f = _critical_point(p, structure)
    first, second = first_part(p, structure), second_part(p, e, structure)
    bend = abs(float(np.real(first.bend(f) + second.bend(f))))
    if structure in ACTIVE:  # V_1 = p phi eps F / (F^2 - a^2) with a^2 in proportion to eps
        moved = abs(second.variance * f**3 / (f * f - 0.5 * e * p * p) ** 2)
    else:
        moved = abs(second.variance / f)
    value = float(np.sqrt(2.0 / bend) * (2.0 / 3.0) * moved**1.5 / (np.pi * f * f))
    return Estimate(value, 1e-12 * value, Status.OK)


def _critical_point(p: float, structure: Structure) -> float:
    """The double root F below 0 of z = 0 at the critical energy."""
    if structure == "product":
        s = np.sqrt(1.0 + 20.0 * p + 4.0 * p * p)
        w = 8.0 * (1.0 - p) / (7.0 - 2.0 * p + s)
        return float(
            -(w**2) * (s + 1.0 - 2.0 * p) / 4.0
        )  # phi w^2 / y, y = -4 phi / (s + 1 - 2 phi)
    at = Below(np.array(p), structure).at(np.array(0.0))
    return -float(np.exp(at.log_size))


@result
class IndexOnset(AbstractResult):
    r"""How the share of negative eigenvalues leaves its value at small energies.

    .. math::
        \alpha \approx \alpha_0 + A \left(\frac{\epsilon - \epsilon_c}{\epsilon_c}\right)^{3/2}
        \;(\phi < 1), \qquad \alpha \approx \alpha_0 + A\, \epsilon^{\beta} \;(\phi \ge 1)

    Parameters
    ----------
    ratio : float
        Parameters per datum.
    structure : str
        What H0 and H1 are.
    energy : float
        eps_c.
    base : float
        alpha_0: 0 for ratios up to 1, then half of the zero eigenvalues of H0, which a symmetric
        H1 splits evenly: (1 - 1/phi) / 2, or what H1 reaches of them, p / phi.
    amplitude : Estimate
        A.
    exponent : float
        3/2 below ratio 1; at 1 it is 1/3, 1/5 for a product; above 1/2, 1/4 for a product.
    """

    ratio: float
    structure: Structure
    energy: float
    base: float
    amplitude: Estimate
    exponent: float


def index_onset(ratio: float, *, structure: Structure = "wigner") -> IndexOnset:
    r"""The leading power law of the index at its first energy, for every ratio.

    Parameters
    ----------
    ratio : float
        Parameters per datum, above 0.
    structure : {"wigner", "relu", "linear", "product"}
        What H0 and H1 are.

    Notes
    -----
    At :math:`\phi = 1`, with w the second cumulant of H1 over the energy

    .. math:: \alpha \approx \frac{3 \sqrt 3}{4 \pi} (w \epsilon)^{1/3}, \qquad
        \alpha \approx \frac{5}{2 \pi} \sin\frac{4 \pi}{5} (2 \epsilon)^{1/5} \;\text{(product)},

    and for :math:`\phi > 1`, from F at zero, of modulus :math:`|F|`,

    .. math:: \alpha \approx \frac{1 - 1/\phi}{2} + \frac{|F|}{\pi \phi^2}, \qquad
        |F|^2 = \frac{2 \epsilon \phi}{\phi - 1} \;\text{or}\;
        \frac{\epsilon \phi^2 (1 + 2p - \phi)}{2 (\phi - 1)}.

    With blocks and :math:`\phi \ge 1 + 2 p` zero keeps an atom at all energies and alpha is
    :math:`p / \phi`.
    """
    phi = checks.positive("ratio", ratio)
    checks.one_of("structure", structure, STRUCTURES)
    if phi < 1.0:
        e = float(critical_energy(phi, structure=structure).value)
        amplitude = critical_amplitude(phi, structure=structure)
        return IndexOnset(phi, structure, e, 0.0, amplitude, 1.5)
    p = ACTIVE.get(structure)
    base = 0.5 * (1.0 - 1.0 / phi)
    if p is not None and phi >= 1.0 + 2.0 * p:
        return IndexOnset(phi, structure, 0.0, p / phi, Estimate.exact(0.0), 0.5)
    if phi == 1.0 and structure == "product":
        a, power = 2.5 * np.sin(0.8 * np.pi) * 2.0**0.2 / np.pi, 0.2
    elif phi == 1.0:
        a, power = 0.75 * 3.0**0.5 / np.pi * (2.0 if p is None else p) ** (1.0 / 3.0), 1.0 / 3.0
    elif structure == "product":
        a, power = 2.0**0.5 / np.pi / phi * (2.0 / (phi * (phi - 1.0))) ** 0.25, 0.25
    elif p is None:
        a, power = np.sqrt(2.0 / (phi * (phi - 1.0))) / (np.pi * phi), 0.5
    else:
        a, power = np.sqrt(0.5 * (1.0 + 2.0 * p - phi) / (phi - 1.0)) / (np.pi * phi), 0.5
    value = float(a)
    return IndexOnset(phi, structure, 0.0, base, Estimate(value, 32.0 * EPS * value), power)


def check_ratio(ratio: Any) -> Array:
    """Ratios above 0.

    Raises
    ------
    ValueError
        For others.
    """
    p = checks.real_array("ratio", ratio)
    if np.any(p <= 0.0):
        raise ValueError(f"ratio must be above 0, but it holds {float(p.min())!r}.")
    return p


def estimate(value: Any, error: Any, status: Any = None) -> Estimate:
    """Plain numbers where nothing has an axis."""
    value, error = np.asarray(value, dtype=np.float64), np.asarray(error, dtype=np.float64)
    status = np.zeros(value.shape, dtype=np.int8) if status is None else status
    if value.ndim == 0:
        return Estimate(float(value), float(error), Status(int(status)))
    return Estimate(value, error, status)
