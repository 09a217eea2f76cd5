"""Sums and products of free rectangular matrices, by the laws of their squared singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import Estimate, SpecError, Status, checks
from chione.freeprob import rectangular_series
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measure import Measure, as_measure
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.naming import Rank
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.rectangular_law import RectangularSum
from chione.freeprob.resized import Squared, resized
from chione.freeprob.summands import grouped, hull, is_constant

_VALUES = ("squared", "singular")
_ZERO_LAW = PointMasses((0.0,), (1.0,))


def rectangular_sum(*measures: Any, ratio: float | None = None, values: str = "squared") -> Measure:
    r"""Law of the squared singular values of :math:`A_1 + U_2 A_2 V_2^T + \dots`.

    The :math:`A_i` are n x m with :math:`n \le m`, U and V independent Haar orthogonal (or
    unitary), c = n/m. In terms of the laws of the eigenvalues of :math:`A_i A_i^T`, of M = yG - 1
    and of :math:`T(x) = (1 + x)(1 + c x)`,

    .. math:: C(h) = \sum_i C_i(h), \qquad C_i = M_i(y) \ \text{where}\ h = T(M_i(y)) / y

    Parameters
    ----------
    *measures : Measure, law, array, or with ``to_measure()``
        Laws of the squared singular values (the eigenvalues of :math:`A_i A_i^T`, all n of them),
        arrays of squared singular values, or matrices of shape (n, m) themselves.
    ratio : float, optional
        c = n/m in [0, 1]. Matrices know theirs.
    values : str
        ``"singular"`` if laws and arrays are of singular values, not of their squares. The result
        is that of the squares either way; the density of singular values s is
        :math:`2 s \rho(s^2)`, their distribution function :math:`F(s^2)`.

    Returns
    -------
    Measure

    Raises
    ------
    SpecError
        If there is no measure, or no ratio.
    ValueError
        If a measure reaches below 0, or the ratio is above 1: then hand in the laws of
        :math:`A_i^T A_i` and the inverse ratio.

    Notes
    -----
    Solved by operator-valued subordination for all summands at once; equal laws are counted, so
    that n equal summands cost as much as one. c = 1 is the free sum of the symmetrised laws of
    singular values, c = 0 that of the laws of the squares. For Gaussian matrices of variance 1/m,
    :func:`~chione.freeprob.marchenko_pastur` of ratio c, C(h) = h.

    References
    ----------
    .. [1] F. Benaych-Georges, Rectangular random matrices, related convolution, Probab. Theory
       Relat. Fields 144, 2009.
    .. [2] S. T. Belinschi, F. Benaych-Georges, A. Guionnet, Regularization by free additive
       convolution, square and rectangular cases, Complex Anal. Oper. Theory 3, 2009.

    Examples
    --------
    Two Gaussian matrices add up to one of twice the variance.

    >>> from chione.freeprob import marchenko_pastur, rectangular_sum
    >>> law = rectangular_sum(marchenko_pastur(0.5), marchenko_pastur(0.5), ratio=0.5)
    >>> print(round(float(law.density(2.0)), 12))
    0.210542199674
    >>> print(round(float(marchenko_pastur(0.5, variance=2.0).density(2.0)), 12))
    0.210542199674
    """
    if not measures:
        raise SpecError("rectangular_sum needs at least one measure, but it got none.")
    checks.one_of("values", values, _VALUES)
    c = _ratio(measures, ratio)
    laws = [_squares(m, values) for m in measures]
    names = [_name(m, law) for m, law in zip(measures, laws, strict=True)]
    name = f"rectangular_sum({', '.join(names)}, ratio={c:g})"
    if c == 0.0:
        return Measure(FreeSum(tuple(laws)), name, Rank.NAME)
    moving = [(law, 1.0) for law in laws if hull(law)[1] > 0.0]
    constant = [law for law, _ in moving if is_constant(law)]
    parts, times = grouped(moving)
    for law in constant:  # a multiple of an isometry is a constant for the free sum alone
        if law in parts:
            k = parts.index(law)
            times = (*times[:k], times[k] + 1.0, *times[k + 1 :])
        else:
            parts, times = (*parts, law), (*times, 1.0)
    if not parts:
        return Measure(_ZERO_LAW, name, Rank.NAME)
    if len(parts) == 1 and times == (1.0,):
        return Measure(parts[0], name, Rank.NAME)
    return Measure(RectangularSum(parts, times, c), name, Rank.NAME)


def rectangular_product(left: Any, right: Any, *, ratio: float) -> Measure:
    r"""Law of the squared singular values of A U B, A of shape (n, m), B of shape (m, k).

    The eigenvalues of :math:`(A U B)(A U B)^T` are, but for zeros, those of the free product of
    :math:`A^T A` and :math:`B B^T`:

    .. math:: \mu = D_{m/n}\big[ D_{n/m}\mu_A \boxtimes \mu_B \big], \qquad
       D_f \nu = f \nu + (1 - f)\, \delta_0

    Parameters
    ----------
    left, right : Measure, law, array of eigenvalues, or with ``to_measure()``
        Laws of the eigenvalues of :math:`A A^T` (n of them) and :math:`B B^T` (m of them).
    ratio : float
        n/m, above 0. k does not enter: the zeros of :math:`B B^T` know it.

    Returns
    -------
    Measure
        Law of the n eigenvalues of :math:`A U B B^T U^T A^T`.

    Raises
    ------
    ValueError
        If n > m and the law of :math:`A A^T` has not the zeros that it must have.

    Examples
    --------
    Two Gaussian matrices of shapes (n, 2n) and (2n, 2n): the first moments are 1 and
    1 + n/2n + n/2n = 2.

    >>> from chione.freeprob import marchenko_pastur, rectangular_product
    >>> law = rectangular_product(marchenko_pastur(0.5), marchenko_pastur(1.0), ratio=0.5)
    >>> print(law.moments(2).value.round(12))
    [1. 2.]
    """
    ratio = checks.positive("ratio", ratio)
    a, b = as_measure(left), as_measure(right)
    name = f"rectangular_product({a.name}, {b.name}, ratio={ratio:g})"
    product = FreeProduct((resized(a.law, ratio), b.law))
    return Measure(resized(product, 1.0 / ratio), name, Rank.NAME)


def rectangular_cumulants(measure: Any, n: int, *, ratio: float) -> Estimate:
    r"""The first n rectangular cumulants of a law of squared singular values, shape (n,).

    .. math:: C(h) = \sum_k c_k h^k, \qquad
       m_n = \sum_{s=1}^{n} c_s\, [u^{n-s}] \big((1 + M)(1 + c M)\big)^s, \qquad M = \sum m_k u^k

    They add under :func:`rectangular_sum`. Of a Gaussian matrix all but the first are 0; at
    ratio 0 they are the free cumulants.

    Parameters
    ----------
    measure : Measure, law, array of eigenvalues, or with ``to_measure()``
        Law of the eigenvalues of :math:`A A^T`.
    n : int
        How many.
    ratio : float
        c, rows / columns, in [0, 1].
    """
    c = _checked_ratio(ratio)
    m = as_measure(measure).moments(n)
    value, error = rectangular_series.cumulants_with_error(m.value, m.error, c)
    return Estimate(value, error, np.full(value.shape, Status.OK, dtype=np.int8))


def _squares(x: Any, values: str) -> AbstractMeasure:
    """The law of the squared singular values."""
    if _is_matrix(x):
        s = np.linalg.svd(np.asarray(x), compute_uv=False)
        return as_measure(np.where(s > 1e-13 * s[0], s, 0.0) ** 2).law
    law = as_measure(x).law
    if values == "singular":
        if isinstance(law, PointMasses):
            low = law.place[0]
            if low >= 0.0:
                return PointMasses(tuple(law.place**2), tuple(law.mass))
        law = Squared(law)
    if hull(law)[0] < 0.0:
        raise ValueError(
            "squared singular values must be 0 or above, but a measure reaches down to "
            f"{hull(law)[0]:g}."
        )
    return law


def _is_matrix(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.ndim == 2


def _name(x: Any, law: AbstractMeasure) -> str:
    return "matrix" if _is_matrix(x) else (as_measure(x).name if law is not None else "")


def _ratio(measures: tuple[Any, ...], ratio: float | None) -> float:
    shapes = {m.shape for m in measures if _is_matrix(m)}
    if len(shapes) > 1:
        raise SpecError(f"matrices that are added must have one shape, but they have {shapes}.")
    if shapes:
        rows, columns = shapes.pop()
        if ratio is not None and abs(ratio * columns - rows) > 1e-9 * rows:
            raise SpecError(
                f"ratio is {ratio!r}, but the matrices have {rows} rows and {columns} columns."
            )
        ratio = rows / columns
    if ratio is None:
        raise SpecError("ratio is needed: the number of rows divided by that of columns, up to 1.")
    return _checked_ratio(ratio)


def _checked_ratio(ratio: float) -> float:
    c = checks.finite("ratio", ratio)
    if not 0.0 <= c <= 1.0:
        raise ValueError(
            f"ratio must lie in [0, 1], but it is {c!r}; transpose the matrices: hand in the laws "
            "of A^T A and the inverse ratio."
        )
    return c
