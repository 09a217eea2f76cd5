"""The door to the spectrum of a deep network's input-output Jacobian at initialisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chione.activations import ActivationLike, activation
from chione.activations.protocol import AbstractActivation
from chione.base import SpecError, Status, checks, cost
from chione.theory.meanfield.phase import mean_field
from chione.theory.moments.moments import second_moment
from chione.theory.spectra.jacobian_law import derivative_law
from chione.theory.spectra.jacobian_result import Ensemble, JacobianSpectrum, SpectrumCurve

_DEEPEST = 10**12  # logarithms of lambda grow with L; at 1e12 they keep four digits of a decade
_SIGMAS = (1e-100, 1e100)
_WIDEST = 12.0 * np.log(10.0) + 1e-9  # log ratio of widths: masses are known to 1e-16 of the widest
_LENGTHS = (1e-100, 1e100)

__all__ = ["JacobianSpectrum", "SpectrumCurve", "jacobian_spectrum"]


@cost.ends
def jacobian_spectrum(
    phi: ActivationLike,
    *,
    depth: int,
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    q_star: float | None = None,
    weights: str = "gaussian",
    widths: Sequence[float] | None = None,
) -> JacobianSpectrum:
    r"""Spectrum of the Jacobian of a network of infinite width, for any activation and depth.

    .. math:: S_{J J^T} = S_{D^2}^L \, S_{W^T W}^L

    Parameters
    ----------
    phi : activation
        Anything that :func:`chione.activation` accepts: continuous, with a finite second moment
        of its squared derivative.
    depth : int
        Number L of layers, 1 or more.
    sigma_w : float, optional
        Standard deviation of the weights; at criticality, :math:`1 / \sqrt{E \phi'(h)^2}`, where
        `q_star` is given alone.
    sigma_b : float, optional
        Standard deviation of the biases, 0 by default; with `q_star`, what makes it fixed.
    q_star : float, optional
        Mean square of the pre-activations; the stable fixed point of the length map where it is
        not given.
    weights : {"gaussian", "orthogonal"}
        Law of the weights.
    widths : sequence of float, optional
        Relative widths of the input and of the L layers (L + 1 numbers). The law is that of
        :math:`J J^T`, as large as the last layer. Orthogonal weights between different widths are
        isometries or co-isometries with :math:`E W_{ij}^2 = \sigma_w^2 / N_{l-1}`.

    Returns
    -------
    JacobianSpectrum
        Density, distribution function, quantiles, edges, atoms, moments.

    Raises
    ------
    ValueError
        For q_star <= 0, a depth below 1, ratios <= 0, an activation that jumps or is constant, or
        where the length map has no fixed point.
    TypeError
        For a depth that is no integer.

    Notes
    -----
    The master equation is solved at real lambda in the form that is explicit in the argument w of
    the moment function of phi'(h)^2; the cost does not depend on L. The law describes the bulk: a
    finite network can have a few eigenvalues above it, see `JacobianSpectrum.outliers`.

    References
    ----------
    .. [1] J. Pennington, S. S. Schoenholz, S. Ganguli, The emergence of spectral universality in
       deep networks, AISTATS 2018, arXiv:1802.09979.
    """
    phi = activation(phi)
    L = checks.integer("depth", depth)
    for name, x, (low, high) in (
        ("depth", L, (1, _DEEPEST)), ("sigma_w", sigma_w, _SIGMAS), ("sigma_b", sigma_b, _SIGMAS),
        ("q_star", q_star, _LENGTHS),
    ):  # fmt: skip
        x = float(x) if isinstance(x, np.floating) else x  # a float32 cannot be compared with 1e100
        if isinstance(x, int | float | np.number) and x != 0.0 and not low <= abs(x) <= high:
            raise ValueError(
                f"{name} must lie between {low:g} and {high:g}, but it is {x!r}: the spectrum "
                "cannot be followed beyond that in double precision."
            )
    ensemble: Ensemble = (
        "gaussian"
        if checks.one_of("weights", weights, ("gaussian", "orthogonal")) == "gaussian"
        else "orthogonal"
    )
    sw, sb, q = _parameters(phi, sigma_w, sigma_b, q_star)
    ratios = _ratios(widths, L)
    return JacobianSpectrum(phi, sw, sb, q, L, ensemble, ratios)


def _parameters(
    phi: AbstractActivation,
    sigma_w: float | None,
    sigma_b: float | None,
    q_star: float | None,
) -> tuple[float, float, float]:
    sw = None if sigma_w is None else checks.positive("sigma_w", sigma_w)
    sb = None if sigma_b is None else checks.non_negative("sigma_b", sigma_b)
    if q_star is not None:
        law = derivative_law(phi, q_star)
        if sw is None:
            sw = float(law.moments(1)[0]) ** -0.5
        if sb is None:  # what makes q_star the fixed point, where anything does
            square = float(q_star) - sw * sw * float(second_moment(phi, q_star).value)
            slack = 1e-12 * float(q_star)
            sb = float(np.sqrt(max(square, 0.0))) if square >= -slack else float("nan")
        return sw, sb, float(q_star)
    if sw is None:
        raise SpecError(
            "the spectrum needs sigma_w (and sigma_b), or q_star, or both; for example "
            "jacobian_spectrum('tanh', sigma_w=1.5, sigma_b=0.1, depth=32)."
        )
    sb = 0.0 if sb is None else sb
    q = _fixed_point(phi, sw, sb)
    derivative_law(phi, q)  # refuses an activation that has no such law
    return sw, sb, q


def _fixed_point(phi: AbstractActivation, sigma_w: float, sigma_b: float) -> float:
    found = mean_field(phi, sigma_w=sigma_w, sigma_b=sigma_b).q_star
    q = float(found.value)
    if not np.isfinite(q) or q <= 0.0:
        if phi.kinks in ((), (0.0,)) and derivative_law(phi, 1.0).pieces is None:
            return 1.0  # straight lines from 0: the law of phi'(h) is the same at every q
        raise ValueError(
            f"{phi.name} with sigma_w = {sigma_w:g}, sigma_b = {sigma_b:g} has no fixed point "
            f"q_star above 0 ({Status(int(found.status)).sentence}); hand in q_star, the mean "
            "square of the pre-activations."
        )
    return q


def _ratios(widths: Sequence[float] | None, depth: int) -> tuple[float, ...] | None:
    if widths is None:
        return None
    w = checks.real_array("widths", widths)
    if w.ndim != 1 or w.size != depth + 1:
        raise ValueError(
            f"widths must hold {depth + 1} numbers, the input and {depth} layers, but its shape "
            f"is {w.shape}."
        )
    if np.any(w <= 0.0):
        raise ValueError(f"widths must be above 0, but they hold {w.min():g}.")
    if not np.log(w.max()) - np.log(w.min()) <= _WIDEST:  # infinite ones, too
        raise ValueError(
            f"widths must lie within a factor of 1e12 of each other, but they reach from "
            f"{w.min():g} to {w.max():g}; leave out the layers that are wide beyond all others."
        )
    if np.all(w == w[0]):
        return None
    return tuple(float(x / w[-1]) for x in w)
