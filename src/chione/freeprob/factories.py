"""Named measures, and sums and products of any: what the public door of the room makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chione.base import Array, checks
from chione.freeprob import combine
from chione.freeprob.classical import Arcsine, FreePoisson, Semicircle
from chione.freeprob.measure import Measure, joined
from chione.freeprob.naming import Rank
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.uniform import Uniform


def empirical(eigenvalues: Any, weights: Any = None) -> Measure:
    r"""Atoms at given eigenvalues.

    .. math:: \mu = \sum_k w_k\, \delta_{\lambda_k}

    Parameters
    ----------
    eigenvalues : array_like of float, shape (n,)
        Real numbers; equal ones are merged and their masses added.
    weights : array_like of float, shape (n,), optional
        Masses, zero or above, divided by their sum; equal ones by default.

    Raises
    ------
    ValueError, TypeError
        If the eigenvalues are none, not finite, complex or not in one list, or the weights do not
        go with them.
    """
    return Measure.empirical(eigenvalues, weights)


def from_density(
    f: Callable[[Array], Any], support: Any, atoms: Any = (), *, normalize: bool = False
) -> Measure:
    r"""The measure with density f on some intervals, and atoms.

    .. math:: \mu(dx) = f(x)\,dx + \sum_j m_j \delta_{a_j}(dx)

    Parameters
    ----------
    f : callable
        Density, of one array; zero or above. At the ends of the intervals it may have roots, be
        infinite as a power above -1, or have a logarithm; inside, jumps and kinks are found, at a
        price.
    support : pair of float, or list of pairs
        Intervals, finite and disjoint.
    atoms : list of pairs (place, mass)
        Point masses besides.
    normalize : bool
        Whether to divide by the mass where it is not 1.

    Returns
    -------
    Measure
        With all transforms right up to the real axis: the density is cut into pieces on which it
        is a power times a polynomial, and these are integrated in closed form.

    Raises
    ------
    SpecError
        If f is negative, not finite inside its intervals, or too rough, or the mass is not 1.

    Notes
    -----
    Next to an end a, x is known to :math:`\epsilon |a|` only. Of an inverse square root at a place
    other than 0 this leaves :math:`\sqrt{\epsilon}`, unless the power fits.

    Examples
    --------
    >>> import numpy as np
    >>> from chione.freeprob import from_density
    >>> mu = from_density(lambda x: 1.5 * np.sqrt(x), (0.0, 1.0))
    >>> round(float(mu.mean), 12)
    0.6
    """
    return Measure.from_density(f, support, atoms, normalize=normalize)


def from_moments(moments: Any, support: Any = None) -> Measure:
    r"""A measure of which the moments :math:`m_1 .. m_n` are known, and no more.

    Parameters
    ----------
    moments : array_like of float, shape (n,)
        The mean first; n up to 60. They are taken as right to rounding.
    support : pair of float, optional
        Interval that is known to carry the measure.

    Returns
    -------
    Measure
        Moments, free and classical cumulants, and sums, products and powers by moments are exact
        up to order n. Of G there is a disc outside of the support (or off the real axis, if that is
        not given): its centre is the value, its radius the error. The distribution function is
        between Chebyshev-Markov-Stieltjes bounds. Density, quantiles and samples are not
        determined: NOT_COMPUTED, or a SpecError. Moments that only a few atoms can have give these
        atoms.

    Raises
    ------
    SpecError
        If no measure, or none on that support, has these moments.

    Notes
    -----
    Where a rounding of the moments changes the sign of a Hankel determinant, the bounds use the
    moments below it alone.

    Examples
    --------
    >>> from chione.freeprob import from_moments
    >>> mu = from_moments([0, 1, 0, 2, 0, 5, 0, 14], support=(-2, 2))
    >>> mu.free_cumulants(4).value.tolist()
    [0.0, 1.0, 0.0, 0.0]
    >>> abs(mu.stieltjes(3.0).value - (3 - 5**0.5) / 2) < mu.stieltjes(3.0).error < 1e-4
    True
    >>> mu.density(0.0).status
    <Status.NOT_COMPUTED: 10>
    """
    return Measure.from_moments(moments, support)


def uniform(low: float = 0.0, high: float = 1.0) -> Measure:
    """Uniform law on [low, high], :class:`~chione.freeprob.Uniform`."""
    low, high = checks.finite("low", low), checks.finite("high", high)
    if not low < high:
        raise ValueError(f"low must be below high, but they are {low!r} and {high!r}.")
    return Measure(Uniform(low, high))


def semicircle(variance: float = 1.0, center: float = 0.0) -> Measure:
    """Wigner's semicircle, :class:`~chione.freeprob.Semicircle`."""
    return Measure(
        Semicircle(checks.positive("variance", variance), checks.finite("center", center))
    )


def marchenko_pastur(ratio: float = 1.0, *, variance: float = 1.0) -> Measure:
    r"""Limit law of the eigenvalues of :math:`X X^T / n`, X of shape (p, n), `ratio` = p/n.

    .. math:: c = 1 / \mathrm{ratio}, \qquad a = \mathrm{variance} \cdot \mathrm{ratio}

    A :class:`~chione.freeprob.FreePoisson` of rate c and jump a.
    """
    ratio, variance = checks.positive("ratio", ratio), checks.positive("variance", variance)
    more = "" if variance == 1.0 else f", variance={variance:g}"
    law = FreePoisson(1.0 / ratio, variance * ratio)
    return Measure(law, f"marchenko_pastur({ratio:g}{more})", Rank.NAME)


def free_poisson(rate: float = 1.0, jump: float = 1.0) -> Measure:
    """Free Poisson law, :class:`~chione.freeprob.FreePoisson`; `jump` may be below 0."""
    rate, jump = checks.positive("rate", rate), checks.finite("jump", jump)
    if jump == 0.0:
        raise ValueError("jump must not be 0; the law would be a point mass at 0.")
    base = Measure(FreePoisson(rate, abs(jump)))
    name = f"free_poisson({rate:g}, {jump:g})"
    return Measure((base if jump > 0.0 else -base).law, name, Rank.NAME)


def arcsine(radius: float = 2.0) -> Measure:
    """Arcsine law on [-radius, radius], :class:`~chione.freeprob.Arcsine`."""
    return Measure(Arcsine(checks.positive("radius", radius)))


def point_mass(place: float = 1.0) -> Measure:
    """The law of a constant; the unit of the free sum at 0, of the free product at 1."""
    return Measure(PointMasses((checks.finite("place", place),), (1.0,)))


def haar_orthogonal(sigma_w: float = 1.0) -> Measure:
    r"""Law of the eigenvalues of :math:`W^T W`, W orthogonal times `sigma_w`: one atom.

    .. math:: S(x) = \sigma_w^{-2}
    """
    return point_mass(checks.positive("sigma_w", sigma_w) ** 2)


def bernoulli(p: float, *, low: float = 0.0, high: float = 1.0) -> Measure:
    """Two values: `high` with probability `p`, `low` with probability 1 - p."""
    p = checks.finite("p", p)
    if not 0.0 < p < 1.0:
        raise ValueError(f"p must lie strictly between 0 and 1, but it is {p!r}.")
    low, high = checks.finite("low", low), checks.finite("high", high)
    more = "" if (low, high) == (0.0, 1.0) else f", low={low:g}, high={high:g}"
    return Measure(PointMasses((low, high), (1.0 - p, p)), f"bernoulli({p:g}{more})", Rank.NAME)


def free_sum(*measures: Any) -> Measure:
    r"""Law of the sum of free variables, :math:`\mu_1 \boxplus \dots \boxplus \mu_n`.

    Parameters
    ----------
    *measures : Measure, law, array of eigenvalues, or with ``to_measure()``
        One or more.
    """
    return joined(measures, combine.total, " + ", Rank.SUM, "free_sum")


def free_product(*measures: Any) -> Measure:
    r"""Law of the product of free variables, :math:`\mu_1 \boxtimes \dots \boxtimes \mu_n`.

    In symmetric form, :math:`A^{1/2} B A^{1/2}`; see :func:`free_sum` for what is accepted.

    Raises
    ------
    ValueError
        If a measure reaches below 0.
    """
    return joined(measures, combine.product, " * ", Rank.PRODUCT, "free_product")
