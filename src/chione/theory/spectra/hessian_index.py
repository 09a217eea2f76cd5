"""The index: the share of negative eigenvalues over ratio and energy, and its inverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import EPS, Array, Estimate, Status, checks
from chione.freeprob.measures import Booleans, Complex
from chione.theory.spectra.hessian_critical import check_ratio, critical_energy, estimate
from chione.theory.spectra.hessian_structure import ACTIVE, STRUCTURES, Structure
from chione.theory.spectra.hessian_zero import Above, Below, ZeroPoint

RATIOS = {"product": (1e-8, 1e8)}  # of other structures: _WIDE
ENERGIES = {"product": (1e-30, 1e30)}  # the quintic has no parameter that keeps all digits
_WIDE = (1e-290, 1e290)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_TAU = 0.5 * (_NODES + 1.0)
_ONSET = 0.5  # parameter above the critical one up to which the index is an integral from there
_HALVINGS = 90
_FAR = 1400.0  # parameters: the energies of the range lie within


def hessian_index(ratio: Any, energy: Any, *, structure: Structure = "wigner") -> Estimate:
    r"""Share of negative eigenvalues of the model Hessian.

    .. math:: \alpha = \frac1\pi \Bigl[\psi_0 - \frac{\psi_0 - \psi_\phi}{\phi} + A_1\Bigr]

    with the angles :math:`\psi_a` between F - a and the negative axis, F = 1/G at zero, and

    .. math:: A_1 = \frac{2 \epsilon}{|F|^2} \sin\psi_0 \cos\psi_0 \quad\text{(Wigner)}, \qquad
        A_1 = -\frac p\phi \arg(1 - a^2 / F^2) \quad\text{(blocks)}

    Parameters
    ----------
    ratio, energy : float or array
        Parameters per datum above 0, mean loss 0 or above, of shapes that go together; both up to
        1e290, and above 1e-290 where not zero, for a product 1e8 and 1e30 and their inverses.
    structure : {"wigner", "relu", "linear", "product"}
        What H0 and H1 are, see :class:`~chione.HessianSpectrum`.

    Returns
    -------
    Estimate
        Of the common shape. Just above the critical energy the error is relative to alpha.

    Raises
    ------
    ValueError
        For a ratio or an energy outside those ranges.
    """
    phi, e = checks.together(ratio=check_ratio(ratio), energy=checks.real_array("energy", energy))
    checks.one_of("structure", structure, STRUCTURES)
    _check_range("ratio", phi, RATIOS.get(structure, _WIDE))
    if np.any(e < 0.0):
        raise ValueError(f"energy must be 0 or above, but it holds {float(e.min())!r}.")
    _check_range("energy", e[e > 0.0], ENERGIES.get(structure, _WIDE))
    value, error = np.zeros(phi.shape), np.zeros(phi.shape)
    status = np.zeros(phi.shape, dtype=np.int8)
    if structure == "product":
        on = e > critical_energy(phi, structure=structure).value
        value[on], error[on], status[on] = _of_product(phi[on], e[on])
        return estimate(value, error, status)
    p = ACTIVE.get(structure)
    full = (phi >= 1.0 + 2.0 * p) & (e > 0.0) if p is not None else np.zeros(phi.shape, dtype=bool)
    if p is not None:
        value[full] = p / phi[full]
        error[full] = EPS * value[full]
    below = (phi < 1.0) & (e > 0.0)
    if below.any():
        value[below], error[below] = _below(phi[below], e[below], structure)
    above = (phi >= 1.0) & ~full & (e > 0.0)
    if above.any():
        family = Above(phi[above], structure)
        point = family.at(family.parameter(np.log(e[above])))
        value[above], error[above] = _share(point, phi[above], np.log(e[above]), structure)
    return estimate(value, error, status)


def energy_at_index(ratio: Any, index: Any, *, structure: Structure = "wigner") -> Estimate:
    r"""Energy at which the share of negative eigenvalues is `index`: the inverse of the index.

    Parameters
    ----------
    ratio, index : float or array
        Parameters per datum, and shares of negative eigenvalues, of shapes that go together.
    structure : {"wigner", "relu", "linear", "product"}
        What H0 and H1 are.

    Returns
    -------
    Estimate
        At index 0 the critical energy, for ratios below 1; NaN with the status NONE for an index
        that no energy within the range has: 1/2 and more, what lies below
        :func:`~chione.index_onset` `.base`, and with blocks p / ratio and more.

    Raises
    ------
    ValueError
        For a ratio out of range, or an index outside [0, 1].
    """
    phi, alpha = checks.together(ratio=check_ratio(ratio), index=checks.real_array("index", index))
    checks.one_of("structure", structure, STRUCTURES)
    _check_range("ratio", phi, RATIOS.get(structure, _WIDE))
    if np.any((alpha < 0.0) | (alpha > 1.0)):
        bad = alpha[(alpha < 0.0) | (alpha > 1.0)].ravel()[0]
        raise ValueError(f"index must lie between 0 and 1, but it holds {float(bad)!r}.")
    start = critical_energy(phi, structure=structure)
    first, last = (np.log(b) for b in ENERGIES.get(structure, _WIDE))
    with np.errstate(divide="ignore"):
        low = np.maximum(np.log(start.value), first + 1e-9)
    high = np.full(phi.shape, last - 1e-9)
    bottom, top = (hessian_index(phi, np.exp(b), structure=structure) for b in (low, high))
    known = (alpha > bottom.value) & (alpha < top.value)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        under = np.asarray(hessian_index(phi, np.exp(middle), structure=structure).value) < alpha
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    value = np.exp(0.5 * (low + high))
    step = np.where(value > 1.0, -1e-6, 1e-6)  # away from the ends of the range
    near = hessian_index(phi, value * (1.0 + step), structure=structure)
    slope = (np.asarray(near.value) - alpha) / (step * value)
    with np.errstate(all="ignore"):
        error = 8.0 * EPS * value * abs(np.log(value)) + 2.0 * np.asarray(near.error) / slope
    critical = (alpha == 0.0) & (phi < 1.0)
    value = np.where(critical, start.value, value)
    error = np.where(critical, start.error, error)
    known |= critical
    status = np.where(known, np.int8(Status.OK), np.int8(Status.NONE)).astype(np.int8)
    return estimate(np.where(known, value, np.nan), np.where(known, error, np.nan), status)


# ------------------------------------------------------------------------------ Wishart H0


def _below(phi: Array, e: Array, structure: Structure) -> tuple[Array, Array]:
    """Ratios below 1: nothing up to the critical energy, an integral just above it."""
    family = Below(phi, structure)
    critical = np.asarray(critical_energy(phi, structure=structure).value)
    log_critical = family.log_critical_energy()
    distance = (e - critical) / critical
    with np.errstate(all="ignore"):
        eta = np.where(distance < 1.0, np.log1p(distance), np.log(e) - log_critical)
    on = eta > 0.0
    t = np.zeros(phi.shape)
    t[on] = Below(phi[on], structure).parameter(eta[on])
    value, error = _share(family.at(t), phi, np.log(e), structure)
    near = on & (t < _ONSET)
    if near.any():
        value[near] = _integral(phi[near], t[near], structure)
        # the critical energy itself is known to rounding
        room = 64.0 + 4.0 * abs(log_critical[near])  # of log eps_c
        error[near] = value[near] * EPS * (64.0 + room / eta[near])
    return np.where(on, value, 0.0), np.where(on, error, 0.0)


def _integral(phi: Array, t: Array, structure: Structure) -> Array:
    """Alpha from the critical energy on, in the root of the parameter, where Im F is smooth."""
    at = t * _TAU[:, None] ** 2
    family = Below(phi, structure)
    log_critical = family.log_critical_energy()
    point = family.at(at)
    rate = _by_log_energy(point, phi, log_critical + point.log_energy, structure)
    integrand = rate * point.by_parameter * 2.0 * t * _TAU[:, None]
    return np.asarray(np.sum(0.5 * _WEIGHTS[:, None] * integrand, axis=0))


def _share(
    point: ZeroPoint, phi: Array, log_energy: Array, structure: Structure
) -> tuple[Array, Array]:
    """Alpha from F; where zero lies in a gap, the number of negative jumps."""
    cosine, sine, size = point.cosine, point.sine, np.exp(point.log_size)
    psi = np.arctan2(sine, cosine)
    turned = np.arctan2(phi * sine, size + phi * cosine) / phi
    p = ACTIVE.get(structure)
    if p is None:
        extra = np.exp(np.log(2.0) + log_energy - 2.0 * point.log_size) * sine * cosine
    else:
        tau = np.exp(np.log(0.5) + 2.0 * np.log(phi) + log_energy - 2.0 * point.log_size)
        double = 2.0 * psi
        extra = p / phi * np.arctan2(tau * np.sin(double), 1.0 - tau * np.cos(double))
    value = np.clip((psi - turned + extra) / np.pi, 0.0, 1.0)
    error = 8.0 * EPS * (psi + turned + abs(extra)) / np.pi
    if p is not None:
        gap = sine == 0.0
        value, error = np.where(gap, p / phi, value), np.where(gap, EPS * p / phi, error)
    return np.asarray(value), np.asarray(error)


def _by_log_energy(point: ZeroPoint, phi: Array, log_energy: Array, structure: Structure) -> Array:
    r"""D alpha / d log eps = eps Im (d/d eps) \int R_1 / pi."""
    p = ACTIVE.get(structure)
    mixed = point.sine * point.cosine / np.pi
    if p is None:
        return np.asarray(np.exp(np.log(2.0) + log_energy - 2.0 * point.log_size) * mixed)
    tau = np.exp(np.log(0.5) + 2.0 * np.log(phi) + log_energy - 2.0 * point.log_size)
    psi = np.arctan2(point.sine, point.cosine)
    far = (1.0 - tau * np.cos(2.0 * psi)) ** 2 + (tau * np.sin(2.0 * psi)) ** 2
    return np.asarray(2.0 * p / phi * tau * mixed / far)


# ------------------------------------------------------------------------------ product H0


def _of_product(phi: Array, e: Array) -> tuple[Array, Array, Array]:
    r"""Alpha of the product from the root of its quintic.

    .. math:: (\phi - 1 + w) w^4 + \eta (w - 1)^2 = 0, \quad \eta = 2 \epsilon / \phi,
        \qquad \alpha = \frac1\pi \Bigl[\arg(-G) + \frac{2 \arg w - \mathrm{Im}\, w}{\phi}
        + \epsilon\, \mathrm{Im}\, G^2\Bigr], \quad G = \frac{w - 1}{\phi w^2}

    The bracket is stationary in w; the quintic could remove G^2 from it, and that with it.
    """
    eta = 2.0 * e / phi
    y, solved = _quintic(phi, eta)
    y = np.where(solved, y, -1j)  # any number, so that no warning comes of what is NaN below
    w = 1.0 + y
    g = y / (phi * w**2)
    terms = (np.angle(-g), (2.0 * np.angle(w) - y.imag) / phi, e * (g * g).imag)
    value = np.where(solved, np.clip(sum(terms) / np.pi, 0.0, 1.0), np.nan)
    error = np.where(solved, 16.0 * EPS * sum(abs(t) for t in terms) / np.pi, np.nan)
    return value, error, np.where(solved, Status.OK, Status.NOT_COMPUTED).astype(np.int8)


def _quintic(p: Array, h: Array) -> tuple[Complex, Booleans]:
    """The roots y = w - 1 with |y| < 1 and G = y / (phi w^2) in the lower half plane, (n,)."""
    one = np.ones_like(p)
    by_y = np.stack([one, 4 + p, 6 + 4 * p, 4 + 6 * p + h, 1 + 4 * p, p])  # (6, n)
    by_w = np.stack([one, p - 1, 0 * p, h, -2 * h, h])
    best, found = np.full(p.shape, np.nan + 0j), np.zeros(p.shape, dtype=bool)
    for shift, c in ((0.0, by_y), (1.0, by_w)):
        starts = _companion_roots(c)
        if shift == 0.0:  # beside four roots of size h^(1/3) the small ones need their own start
            starts = np.concatenate([starts, _companion_roots(c[3:] / c[3])])
        for x in starts:
            x, residual = _polished(c, x)
            y = x - shift
            g = y / (1.0 + y) ** 2
            # |y| tells in which of the two variables the digits are
            good = (residual <= 64.0 * EPS) & (abs(y) < 1.0) & ((abs(y) < 0.5) == (shift == 0.0))
            good &= (g.imag < -1e-13 * abs(g)) & ~found
            best, found = np.where(good, y, best), found | good
    return best, found


def _companion_roots(c: Array) -> Complex:
    """Roots of monic polynomials, shape (degree, n), of coefficients (degree + 1, n)."""
    degree = c.shape[0] - 1
    matrix = np.zeros((c.shape[1], degree, degree))
    matrix[:, 0, :] = -c[1:].T
    matrix[:, range(1, degree), range(degree - 1)] = 1.0
    return np.asarray(np.linalg.eigvals(matrix).T.astype(complex))


def _polished(c: Array, x: Complex) -> tuple[Complex, Array]:
    """Newton's method for roots of polynomials, and the residuals relative to their terms."""
    with np.errstate(all="ignore"):
        for _ in range(8):
            value, slope = 0.0 * x, 0.0 * x
            for a in c:
                value, slope = value * x + a, slope * x + value
            new = x - value / slope
            x = np.where(np.isfinite(new), new, x)
        value, size = 0.0 * x, np.zeros(x.shape)
        for a in c:
            value, size = value * x + a, size * abs(x) + abs(a)
        return x, np.asarray(abs(value) / size)


def _check_range(name: str, x: Array, allowed: tuple[float, float]) -> None:
    low, high = allowed
    if np.any((x < low) | (x > high)):
        bad = float(x[(x < low) | (x > high)].ravel()[0])
        raise ValueError(f"{name} must be between {low:g} and {high:g}, but it holds {bad!r}.")
