"""Outliers: eigenvalues that spikes of one matrix send out of the bulk of a sum or product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chione.base import AbstractResult, Estimate, SpecError, Status, checks, missing, result
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measure import as_measure
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.spiked import Gap, SpikedPart, gaps_of

Convolution = FreeSum | FreeProduct

_KINDS = ("parts", "sum", "product")


@result
class Outlier(AbstractResult):
    """What becomes of one spike.

    Parameters
    ----------
    part : int
        Which summand or factor has the spike.
    spike : float
        The eigenvalue theta.
    place : Estimate
        The eigenvalue of the sum or product; status NONE where the spike stays in the bulk.
    overlap : Estimate
        Squared scalar product of its eigenvector with that of the spike.
    side : str
        ``"above"`` or ``"below"`` all bands, ``"gap"`` between two, ``"none"``.
    """

    part: int
    spike: float
    place: Estimate
    overlap: Estimate
    side: str


@result
class Threshold(AbstractResult):
    """The critical spike of one end of a band.

    Parameters
    ----------
    part : int
        Which summand or factor.
    edge : Estimate
        The end of a band of the sum or product.
    spike : Estimate
        The spike at which an outlier comes out of that end.
    side : str
        ``"upper"`` where larger spikes give outliers above the edge, ``"lower"`` where smaller
        spikes give outliers below it.
    """

    part: int
    edge: Estimate
    spike: Estimate
    side: str


@result
class Outliers(AbstractResult):
    """Outliers of a sum or product whose parts have spikes.

    Parameters
    ----------
    kind : str
        ``"sum"`` or ``"product"``.
    found : tuple of Outlier
        For each part and spike, in the order given: one for each place, from below; one of side
        ``"none"`` where there is none.
    thresholds : tuple of Threshold
        For each part with spikes: the critical spikes at the ends of the bands, from below.
    """

    kind: str
    found: tuple[Outlier, ...]
    thresholds: tuple[Threshold, ...]

    @property
    def places(self) -> tuple[float, ...]:
        """Places of all outliers, from below."""
        return tuple(sorted(float(o.place) for o in self.found if o.side != "none"))


def outliers(measure: Any, spikes: Any, *, kind: str = "parts") -> Outliers:
    r"""Outliers of :math:`A + U B U^T` or :math:`A^{1/2} U B U^T A^{1/2}` from spikes of A or B.

    A spike is one of finitely many eigenvalues theta beside the law of A. With the subordination
    function :math:`\omega_A` of the sum or product, there is an outlier wherever, off the bulk,

    .. math:: \omega_A(z) = \theta, \qquad
       |\langle v, u\rangle|^2 = \frac{1}{\omega_A'(z)} \ \text{(sum)}, \qquad
       \frac{\theta}{z\,\omega_A'(z)} \ \text{(product)}

    with v its eigenvector and u that of the spike; to the spikes of the other matrices v is
    orthogonal in the limit. A spike that :math:`\omega_A` does not reach stays in the bulk.

    Parameters
    ----------
    measure : Measure, law, array of eigenvalues, or with ``to_measure()``
        A free sum or product; or any law, with `kind` ``"sum"`` or ``"product"``.
    spikes : sequence of float, or mapping of int to sequence of float
        Spikes of the first part, or of the parts by their number. Parts are numbered from left to
        right, sums inside of sums opened.
    kind : str
        ``"parts"``: the spikes belong to the parts of the free sum or product `measure`; of
        another law this means ``"sum"``. ``"sum"``: the law is that of X in
        :math:`X + \sum_i \theta_i u_i u_i^T`, with :math:`G(z) = 1/\theta` at an outlier.
        ``"product"``: that of X in :math:`S^{1/2} X S^{1/2}`, S the identity but for the
        eigenvalues theta. The directions are uniform relative to X.

    Returns
    -------
    Outliers
        Places, overlaps and critical spikes, each with its error.

    Raises
    ------
    SpecError
        If the spikes belong to no part, or are negative in a product.

    Notes
    -----
    In every gap of the support :math:`\omega_A` increases, through infinity where G has a zero; a
    spike may have an outlier in each gap. In a product v is an eigenvector of the symmetric matrix
    in which the spiked one stands outside; the places are the same either way round.

    References
    ----------
    .. [1] J. Baik, G. Ben Arous, S. Peche, Phase transition of the largest eigenvalue for nonnull
       complex sample covariance matrices, Ann. Probab. 33, 2005.
    .. [2] F. Benaych-Georges, R. R. Nadakuditi, The eigenvalues and eigenvectors of finite, low
       rank perturbations of large random matrices, Adv. Math. 227, 2011.
    .. [3] S. T. Belinschi, H. Bercovici, M. Capitaine, M. Fevrier, Outliers in the spectrum of
       large deformed unitarily invariant models, Ann. Probab. 45, 2017.

    Examples
    --------
    A spiked covariance with theta = 4 and ratio 1/2: theta (1 + c / (theta - 1)) = 14/3.

    >>> from chione.freeprob import free_product, marchenko_pastur, outliers, point_mass
    >>> found = outliers(free_product(point_mass(1.0), marchenko_pastur(0.5)), [4.0, 1.5])
    >>> print(round(float(found.found[0].place), 12), found.found[1].side)
    4.666666666667 none
    """
    law, by_part = _system(measure, spikes, checks.one_of("kind", kind, _KINDS))
    gaps = gaps_of(law)
    found: list[Outlier] = []
    thresholds: list[Threshold] = []
    for part, thetas in by_part.items():
        spiked = SpikedPart(law, law.expand()[part][0])
        ends = [(gap, spiked.ends(gap)) for gap in gaps]
        for gap, critical in ends:
            for edge, spike, side in zip(
                (gap.low, gap.high), critical, ("upper", "lower"), strict=True
            ):
                if edge is not None and spike is not None:
                    thresholds.append(Threshold(part, edge, spike, side))
        for theta in thetas:
            here = [
                o for gap, critical in ends for o in _in_gap(spiked, gap, critical, part, theta)
            ]
            none = missing(Status.NONE)
            found += here or [Outlier(part, theta, none, none, "none")]
    kind = "sum" if isinstance(law, FreeSum) else "product"
    return Outliers(kind, tuple(found), tuple(thresholds))


def _in_gap(
    spiked: SpikedPart,
    gap: Gap,
    critical: tuple[Estimate | None, Estimate | None],
    part: int,
    theta: float,
) -> list[Outlier]:
    return [
        Outlier(part, theta, place, overlap, gap.side)
        for place, overlap in spiked.solve(gap, critical, theta)
    ]


def _system(measure: Any, spikes: Any, kind: str) -> tuple[Convolution, dict[int, list[float]]]:
    """The convolution and the spikes by part."""
    law: Any = as_measure(measure).law
    if kind == "sum" or (kind == "parts" and not isinstance(law, FreeSum | FreeProduct)):
        law = FreeSum((PointMasses((0.0,), (1.0,)), law))
    elif kind == "product":
        law = FreeProduct((PointMasses((1.0,), (1.0,)), law))
    parts = law.expand()
    given = spikes if isinstance(spikes, Mapping) else {0: spikes}
    by_part: dict[int, list[float]] = {}
    for part, thetas in given.items():
        if not isinstance(part, int) or not 0 <= part < len(parts):
            raise SpecError(
                f"spikes are given for part {part!r}, but there are {len(parts)} parts, numbered "
                f"from 0 to {len(parts) - 1}."
            )
        values = checks.real_array(f"spikes of part {part}", thetas).ravel()
        if isinstance(law, FreeProduct) and np.any(values < 0.0):
            raise SpecError(
                f"spikes of a product must be 0 or above, but one is {values.min():g}; for a "
                "perturbation that is added use a sum."
            )
        by_part[part] = [float(x) for x in values]
    return law, by_part
