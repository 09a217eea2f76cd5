r"""What a simulation will cost, from its arguments alone, and a refusal where that is too much.

Seconds are those of one core. The constants were measured on one core of a 2.5 GHz x86 server with
OpenBLAS (depth 4 to 40, widths 16 to 4096, 2 to 32 inputs, tanh) and rounded up; a laptop is within
a factor of two of them. Sizes are kept as floats: a depth of :math:`10^{400}` is refused like any
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from chione.base import cost
from chione.networks import MLP

_LAYER = 1e-4  # s a layer forward and backward whatever its size: 77 us measured; streams, calls
_OBSERVED = 3e-5  # s a layer for each observable
_SIGNAL = 1e-7  # s a unit and input: 50 to 60 ns measured with tanh, room for other activations
_SIGNAL_OBSERVED = 1e-8  # s a unit and input for each observable
_PRODUCT = 4e-10  # s for a unit and a pair of inputs: Gram matrices, factorisations
_FLOP = 1.5e-10  # s for a multiplication and an addition of large matrices
_DRAW = {  # s for a weight: 8.5, 3.3, 11, 2.0 ns measured
    "gaussian": 9e-9, "uniform": 4e-9, "truncated": 1.4e-8, "delta": 3e-9, "orthogonal": 9e-9,
}  # fmt: skip
_HAAR = 1.3e-10  # s for the longer side times the shorter one squared: 8e-11 to 1.2e-10 measured
_DEVICE = 1e-10  # s for a weight drawn and used on an accelerator, which has its own law
_SVD = 3e-10  # s for a size cubed: 1.3e-10 (800) to 2.3e-10 (300) measured
_GRADED = 3.0  # a graded product over a plain one: 1.7 to 3.4 measured
_EIGENVALUES = 2e-10  # s for a size cubed
_POINT = 4e-8  # s for a cosine and a sine
_LAYER_BYTES = 1500.0  # descriptions, small matrices and lists of one layer
_VALUE_BYTES = 300.0  # one observable of one layer while networks wait to be added up
_BYTES = 8.0
_GIGA = 1e9
_HUGE = 10**60  # integers above are cut: products of four of them must not overflow


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network as floats, found without a list of its layers where all are alike."""

    depth: float
    units: float  # of all layers
    weights: float  # of all matrices
    largest: float  # entries of the largest matrix
    haar: float  # sum over the layers of the longer side times the shorter one squared
    first: float
    output: float


def sizes(network: MLP) -> Sizes:
    """The sizes of `network`."""
    depth = number(network.depth)
    if not isinstance(network.width, tuple):
        n = number(network.width)
        first = n if network.input_width is None else number(network.input_width)
        haar = (depth - 1.0) * n**3 + max(first, n) * min(first, n) ** 2
        weights = (depth - 1.0) * n * n + first * n
        largest = n * max(first, n if depth > 1 else 1.0)
        return Sizes(depth, depth * n, weights, largest, haar, first, n)
    widths = [number(n) for n in network.widths]
    sides = list(pairwise(widths))
    return Sizes(
        depth=depth,
        units=sum(widths[1:]),
        weights=sum(a * b for a, b in sides),
        largest=max(a * b for a, b in sides),
        haar=sum(max(s) * min(s) ** 2 for s in sides),
        first=widths[0],
        output=widths[-1],
    )


def check_simulation(
    network: MLP,
    *,
    inputs: int,
    networks: int,
    observed: int,
    sampler: str,
    backward: bool,
    memory: int,
    workers: int = 1,
    waiting: int = 1,
    on_device: bool = False,
) -> None:
    """Refuse what :func:`~chione.simulation.simulate` could not finish within the limits.

    Parameters
    ----------
    network : MLP
        The network.
    inputs, networks, observed, workers, waiting : int
        Inputs, networks, observables, threads, and networks that wait to be added up.
    sampler : str
        The word for what runs, see :func:`~chione.simulation.samplers.choose`.
    backward : bool
        Whether errors are sent back.
    memory : int
        Bytes for weights and signals that are kept.
    on_device : bool
        Whether the weights live on an accelerator.

    Raises
    ------
    CostError
        With the estimate and what would fit.
    """
    s, count, b = sizes(network), number(networks), float(inputs)
    k = float(observed)
    one = s.depth * (_LAYER + k * _OBSERVED)
    one += s.units * b * (_SIGNAL + k * _SIGNAL_OBSERVED + b * _PRODUCT)
    held = s.depth * _LAYER_BYTES + k * s.depth * (_VALUE_BYTES + _BYTES * b * b) * (1 + waiting)
    signals = 2.0 * _BYTES * b * s.units
    if sampler == "matrix-free":
        held += min(signals, float(memory)) + 6.0 * workers * _BYTES * b * s.units / s.depth
    else:
        again = 2.0 if backward and _BYTES * s.weights > memory else 1.0
        drawing = s.weights * (_DEVICE if on_device else _DRAW[network.weights])
        if network.weights == "orthogonal":
            drawing += s.haar * _HAAR
        one += again * drawing + 2.0 * s.weights * b * (_DEVICE if on_device else _FLOP)
        copies = 4.0 if network.weights == "orthogonal" else 1.0
        held += workers * (signals + copies * _BYTES * s.largest)
        held += min(_BYTES * s.weights, float(memory))
    _refuse(
        f"simulating {_count(networks, 'network')} of depth {network.depth}", one, count, held, s
    )


def check_inputs(width: int, rank: int) -> None:
    """Refuse inputs that do not fit into memory."""
    n = number(width)
    gigabytes = 4.0 * _BYTES * n * rank / _GIGA
    allowed = cost.allowed() * cost.GIGABYTES
    fits = f"a width of {_round(allowed * _GIGA / (4.0 * _BYTES * rank))} fits"
    cost.check(
        f"drawing {_count(rank, 'input')} of width {width}",
        seconds=n * rank * (5e-8 + rank * _PRODUCT),
        gigabytes=gigabytes,
        fits=fits,
    )


def check_circle(network: MLP, *, points: int, networks: int) -> None:
    """Refuse a great circle that could not be followed within the limits."""
    s, p = sizes(network), number(points)
    one = s.depth * _LAYER + 3.0 * p * s.units * 4.0 * _SIGNAL
    one += s.weights * (_DRAW[network.weights] + 6.0 * p * _FLOP)
    if network.weights == "orthogonal":
        one += s.haar * _HAAR
    side = min(p, s.units / s.depth)
    held = s.depth * (_LAYER_BYTES + 30.0 * p) + 24.0 * p * _BYTES * max(s.first, s.units / s.depth)
    held += 4.0 * _BYTES * s.largest
    first = s.depth * p * side * (s.units / s.depth) * _SVD  # principal components of network 0
    _refuse(
        f"following a circle of {points} points through {_count(networks, 'network')} of depth "
        f"{network.depth}",
        one,
        number(networks),
        held,
        s,
        extra=first,
    )


def check_limit(
    network: MLP, *, inputs: int, widths: list[int], outputs: int, frequencies: int, networks: int
) -> None:
    """Refuse a way to the Gaussian limit that could not be walked within the limits."""
    s, b, f = sizes(network), float(inputs), number(frequencies)
    out = number(outputs)
    count = number(networks) * len(widths)
    hidden = sum(number(n) for n in widths) / max(len(widths), 1)
    units = (s.depth - 1.0) * hidden + out
    one = s.depth * _LAYER + units * b * _SIGNAL + f * out * (_POINT + b * _FLOP)
    one += _FLOP * (2.0 * f) ** 2  # the covariance of the features
    if network.weights not in ("gaussian", "orthogonal") or hidden < 8.0 * b:
        one += (s.depth - 1.0) * hidden**2 * _DRAW[network.weights] + hidden * out * 1.4e-8
    held = s.depth * _LAYER_BYTES + 4.0 * _BYTES * f * out + 2.0 * _BYTES * b * units
    held += 2.0 * _BYTES * (2.0 * f + 2.0 * b) * number(networks) + _BYTES * (2.0 * f) ** 2
    _refuse(
        f"running {_count(networks, 'network')} of depth {network.depth} at each of "
        f"{_count(len(widths), 'width')}",
        one,
        count,
        held,
        s,
    )


def check_spectrum(network: MLP, *, networks: int, stabilised: bool) -> None:
    """Refuse singular values that could not be had within the limits."""
    s, count = sizes(network), number(networks)
    products = s.haar * 2.0 * _FLOP * (_GRADED * 2.0 if stabilised else 1.0)
    one = s.depth * _LAYER + s.weights * _DRAW[network.weights] + products
    if network.weights == "orthogonal":
        one += s.haar * _HAAR
    one += _SVD * s.output * min(s.first, s.output) ** 2 * (_GRADED if stabilised else 1.0)
    values = min(s.first, s.output)
    held = s.depth * 500.0 + 6.0 * _BYTES * max(s.largest, s.first * s.output)
    held += 10.0 * _BYTES * count * values
    what = f"singular values of {_count(networks, 'network')} of depth {network.depth}"
    _refuse(what, one, count, held, s)


def check_matrix(size: int, columns: float, structure: str = "wigner") -> None:
    """Refuse a sampled model Hessian of that size, made of `columns` data."""
    n, m = number(size), min(columns, 1e60)
    allowed = cost.allowed()
    inner = m * m if structure == "product" else n * m if structure in ("relu", "linear") else 0.0
    seconds = _DRAW["gaussian"] * (n * (n + m) + inner) + _EIGENVALUES * n**3
    seconds += _FLOP * n * (n * m + inner)
    gigabytes = _BYTES * (n * (m + 5.0 * n) + inner) / _GIGA
    share = max(seconds / cost.SECONDS, gigabytes / cost.GIGABYTES) / allowed
    fit = n * share ** (-1.0 / 3.0) if share > 0.0 else n
    cost.check(
        f"a sampled matrix of size {size} from {columns:.3g} data",
        seconds=seconds,
        gigabytes=gigabytes,
        fits=f"a size of {_round(fit)} fits" if fit >= 1.0 else "a larger ratio fits",
    )


def check_hessian(parameters: float, residuals: float) -> None:
    """Refuse the exact Hessian of a network with that many parameters and residuals."""
    cost.check(
        f"the Hessian of {parameters:.6g} parameters and {residuals:.6g} residuals",
        seconds=_FLOP * parameters**2 * (residuals + 4.0) + 2e-8 * parameters * residuals,
        gigabytes=_BYTES * (3.0 * parameters * residuals + 4.0 * parameters**2) / _GIGA,
        fits="a smaller network or fewer data fit",
    )


def first_width(network: MLP) -> int:
    """Units of the input, without a list of all layers."""
    if network.input_width is not None:
        return network.input_width
    return network.width[0] if isinstance(network.width, tuple) else network.width


def widths_given(network: MLP) -> tuple[int, ...]:
    """Units of the layers, once where all are alike."""
    return network.width if isinstance(network.width, tuple) else (network.width,)


def output_width(network: MLP) -> int:
    """Units of the last layer, without a list of all layers."""
    return network.width[-1] if isinstance(network.width, tuple) else network.width


def number(n: int) -> float:
    """An integer of any size as a float."""
    return float(min(n, _HUGE))


def _refuse(
    what: str, one: float, count: float, held: float, s: Sizes, *, extra: float = 0.0
) -> None:
    """Check `count` networks of `one` second each; say how many networks or layers would fit."""
    seconds, gigabytes = one * count + extra, held / _GIGA
    allowed = cost.allowed()
    room = cost.SECONDS * allowed - extra
    if gigabytes <= cost.GIGABYTES * allowed and 0.0 < one <= room:
        fits = f"about {_round(room / one)} of these networks fit"
    else:
        shrink = max(seconds / cost.SECONDS, gigabytes / cost.GIGABYTES) / allowed
        depth = s.depth / shrink
        fits = f"a depth of {_round(depth)} fits" if depth >= 1.0 else "narrower networks fit"
    cost.check(what, seconds=seconds, gigabytes=gigabytes, fits=fits)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n if n < 10**15 else f'{number(n):.3g}'} {noun}s"


def _round(x: float) -> str:
    """Two digits, rounded down, so that what is named does fit."""
    n = int(min(x, 1e15))
    step = 10 ** max(len(str(n)) - 2, 0)
    return str(n // step * step)
