"""Singular values of finite networks' Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from chione.base import EPS, AbstractResult, Array, ConvergenceError, along, checks, cost, result
from chione.networks import MLP, as_network
from chione.simulation.costs import check_spectrum
from chione.simulation.graded_product import alive_rows, graded_product
from chione.simulation.side_by_side import one_by_one, runner_of
from chione.simulation.spectrum_comparison import (
    LawInLogs,
    SpectrumComparison,
    compare_spectrum,
    lost,
)
from chione.simulation.streams import Purpose, entropy, stream
from chione.simulation.weights import dense_weights

Method = Literal["plain", "stabilised"]
_KNOWN = 0.5  # error of the logarithm of a value from which on it is not resolved


@result
class SimulatedSpectrum(AbstractResult):
    r"""Singular values of :math:`J = D^L W^L \cdots D^1 W^1` of sampled networks.

    Parameters
    ----------
    log_singular_values : ndarray, shape (n_networks, k)
        Natural logarithms, falling; k is the smaller of the input's and the output's width.
        -inf where a value is exactly zero.
    output_width : int
        Size of :math:`J J^T`; its eigenvalues beyond k are zero.
    errors : ndarray, shape (n_networks, k)
        Of the logarithms, estimated from rounding; infinite where nothing is known, 0 for zeros
        that are exact.
    resolved : ndarray of bool, shape (n_networks, k)
        Whether a value is not zero and lies above the rounding of the method.
    method : {"plain", "stabilised"}
        How the product was formed.
    seed : int
        The seed used.
    q_star : float or None
        The mean square of the pre-activations whose quantiles made the diagonals D; None where a
        forward pass made them.
    """

    axes = along("network rank", "log_singular_values", "errors", "resolved")

    log_singular_values: Array
    output_width: int
    errors: Array
    resolved: NDArray[np.bool_]
    method: Method
    seed: int
    q_star: float | None = None

    @property
    def log_eigenvalues(self) -> Array:
        """Logarithms of all eigenvalues of J J^T, pooled and rising, -inf for zeros.

        Values that are not `resolved` are in it as they were found, as rounding.
        """
        log = 2.0 * self.log_singular_values
        missing = self.output_width - log.shape[1]
        zeros = np.full((log.shape[0], missing), -np.inf)
        return np.sort(np.concatenate([log, zeros], axis=1).ravel())

    @property
    def singular_values(self) -> Array:
        """The singular values, 0 where they leave the range of float64."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_singular_values))

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Which values are rounding: not zeros that are exact, and not known to one half of a log.

        Shape (n_networks, k).
        """
        return lost(self.log_singular_values, self.errors, self.resolved)

    @property
    def log_floor(self) -> float:
        """Largest log eigenvalue that is rounding; -inf where all values are known."""
        return float(np.max(2.0 * self.log_singular_values[self.lost], initial=-np.inf))

    def compare(self, spectrum: LawInLogs) -> SpectrumComparison:
        """These networks beside a law of infinite width, above their rounding.

        Parameters
        ----------
        spectrum : JacobianSpectrum
            The law, of the same depth and parameters.

        Returns
        -------
        SpectrumComparison
            Distance of the distribution functions, the distance to expect at this width, shares
            at point masses and below rounding, and a sentence.
        """
        return compare_spectrum(
            self.log_singular_values, self.errors, self.resolved, self.output_width, spectrum,
            forward=self.q_star is None,
        )  # fmt: skip

    def distance(self, spectrum: LawInLogs) -> float:
        """Largest distance of the distribution functions above rounding, see :meth:`compare`."""
        return self.compare(spectrum).distance

    def ks_distance(self, log_lambda: Array, cdf: Array) -> float:
        """Largest distance to a distribution function given at points log lambda.

        Points below the rounding of the networks are left out; NaN if none is above it.
        """
        own = self.log_eigenvalues
        x, cdf = np.asarray(log_lambda, dtype=np.float64), np.asarray(cdf)
        right = np.searchsorted(own, x, side="right") / own.size
        away = abs(right - cdf)[x >= self.log_floor]
        return float(np.max(away)) if away.size else float("nan")


def simulate_spectrum(
    network: MLP,
    *,
    x: Any = None,
    q_star: float | None = None,
    n_networks: int = 1,
    seed: int | None = 0,
    method: str = "plain",
    workers: int | None = None,
    engine: Any = None,
    progress: Callable[[int, int], None] | None = None,
    effort: float = 1.0,
) -> SimulatedSpectrum:
    r"""Singular values of the input-output Jacobian of sampled networks.

    Parameters
    ----------
    network : MLP
        The network's description; any weights, any widths.
    x : array_like, shape (N_0,), optional
        Input of the forward pass that makes the diagonals D; a random input of mean square 1 by
        default.
    q_star : float, optional
        Where given, there is no forward pass: the entries of D are :math:`\phi'` at the Gaussian
        quantiles :math:`\sqrt{q_*}\,\Phi^{-1}((i - 1/2)/N)` in random order, so that only the
        spectrum of the product is tested.
    n_networks : int
        Number of independent networks.
    seed : int or None
        Seed of everything random; None draws one, which the result holds.
    method : {"plain", "stabilised"}
        Plain product, right for singular values above about 1e-13 of the largest; or the product
        in graded form, right for all of them at about three times the cost.
    workers, engine : optional
        How many networks run side by side, and where, see :func:`~chione.simulation.simulate`;
        the numbers do not depend on it.
    progress : callable, optional
        Called with (networks done, networks in total) after each network.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Raises
    ------
    ValueError
        For an unknown method, a wrong input or q_star <= 0.
    CostError
        If it would take more than `effort` allows.
    """
    network = as_network(network)
    how: Method = (
        "plain"
        if checks.one_of("method", method, ("plain", "stabilised")) == "plain"
        else "stabilised"
    )
    n = checks.integer("n_networks", n_networks)
    with cost.allowing(effort):
        check_spectrum(network, networks=n, stabilised=how == "stabilised")
    start = None if x is None else _input(x, network.widths[0])
    q = None if q_star is None else checks.positive("q_star", q_star)
    seed = entropy(seed)
    values, errors, resolved = [], [], []
    logs = partial(_logs, network, seed, start, q, how)
    with runner_of(engine, workers, n) as runner:
        for log, error, ok in one_by_one(logs, range(n), runner):
            values.append(log)
            errors.append(error)
            resolved.append(ok)
            if progress is not None:
                progress(len(values), n)
    return SimulatedSpectrum(
        np.array(values), network.widths[-1], np.array(errors), np.array(resolved), how, seed, q
    )


def _logs(
    network: MLP, seed: int, x: Array | None, q_star: float | None, method: Method, numbers: range
) -> list[tuple[Array, Array, NDArray[np.bool_]]]:
    """Log singular values of the networks of these numbers, errors, and which are resolved."""
    form = _plain if method == "plain" else _stabilised
    return [
        form(jacobian_factors(network, seed=seed, number=number, x=x, q_star=q_star))
        for number in numbers
    ]


def jacobian_factors(
    network: MLP,
    *,
    seed: int = 0,
    number: int = 0,
    x: Array | None = None,
    q_star: float | None = None,
) -> Iterator[Array]:
    """The matrices D^l W^l of one network, from the input on, one at a time."""
    phi = network.activation
    if x is None and q_star is None:
        x = stream(seed, number, 0, Purpose.INPUTS).standard_normal(network.widths[0])
        x *= np.sqrt(x.size / (x @ x))
    dense = network.matrices
    for index, layer in enumerate(dense):
        w = dense_weights(layer, stream(seed, number, index, Purpose.WEIGHTS))
        if q_star is not None:
            rng = stream(seed, number, index, Purpose.PROBES)
            p = (np.arange(layer.fan_out) + 0.5) / layer.fan_out
            h = rng.permutation(np.sqrt(q_star) * ndtri(p))
        else:
            assert x is not None
            with np.errstate(over="ignore", invalid="ignore"):
                h = w @ x
            if not np.all(np.isfinite(h)):
                raise ConvergenceError(
                    f"the signal leaves the range of float64 in layer {index + 1}; take smaller "
                    "sigmas or fewer layers."
                )
            if layer.sigma_b > 0.0:
                rng = stream(seed, number, index, Purpose.BIASES)
                h += layer.sigma_b * rng.standard_normal(h.size)
            x = phi.value(h)
        w *= phi.derivative(h)[:, None]
        yield w


def log_singular_values(factors: Iterator[Array] | list[Array], *, method: str = "plain") -> Array:
    """Log singular values of the product of `factors`, the first one rightmost."""
    how = checks.one_of("method", method, ("plain", "stabilised"))
    return (_plain(iter(factors)) if how == "plain" else _stabilised(iter(factors)))[0]


def _plain(factors: Iterator[Array]) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The product, brought back to size 1 by a power of two at each step, and one SVD."""
    product, log, steps = None, 0.0, 0
    rows, rank = np.arange(0), np.iinfo(np.intp).max
    for a in factors:
        steps += 1
        # Rows of zeros, of units that are off, are left out as long as nothing is added to them.
        kept = alive_rows(a)
        part = a if kept.size == a.shape[0] else a[kept]
        if product is not None:
            product = (part if rows.size == a.shape[1] else part[:, rows]) @ product
        else:
            product = part
        rows, rank = kept, min(rank, *product.shape)
        outputs, top = a.shape[0], float(np.max(abs(product), initial=0.0))
        if top > 0.0 and not 1e-100 < top < 1e100:
            exponent = int(np.frexp(top)[1])
            product = np.ldexp(product, -exponent)
            log += exponent * np.log(2.0)
    assert product is not None
    s = np.zeros(min(outputs, product.shape[1]))
    if product.size:
        found = np.linalg.svd(product, compute_uv=False)[:rank]
        s[: found.size] = (
            found  # those beyond the narrowest layer, units that are off left out, are 0
        )
    rounding = max(product.shape) * EPS * s[0]  # each step adds eps times the norm at random
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(s > rounding, np.sqrt(steps) * rounding / s, np.inf)
        error[rank:] = 0.0
        return np.log(s) + log, error, s > rounding


def _stabilised(factors: Iterator[Array]) -> tuple[Array, Array, NDArray[np.bool_]]:
    log, error = graded_product(factors).log_values_and_errors()
    return log, error, np.isfinite(log) & (error < _KNOWN)


def _input(x: Any, width: int) -> Array:
    a = checks.real_array("x", x)
    if a.shape != (width,):
        raise ValueError(f"x must be one input of shape ({width},), but its shape is {a.shape}.")
    return a
