"""What was measured at one executed layer of a model, and what theory expects there."""

from __future__ import annotations

import math

from chione.base import AbstractResult, result


@result
class Expected(AbstractResult):
    """What the theory of wide networks expects of one layer; NaN where it cannot tell.

    Parameters
    ----------
    mean_square, correlation, gradient, jacobian : float
        As measured, see :class:`LayerReport`.
    chi_perp : float
        Factor on the total squared gradient from this layer to the one it reads.
    mean_square_error, correlation_error, gradient_error, jacobian_error : float
        Bounds on the errors of theory's numbers; a network of finite width is further off.
    """

    mean_square: float = math.nan
    correlation: float = math.nan
    gradient: float = math.nan
    jacobian: float = math.nan
    chi_perp: float = math.nan
    mean_square_error: float = math.nan
    correlation_error: float = math.nan
    gradient_error: float = math.nan
    jacobian_error: float = math.nan


@result
class LayerReport(AbstractResult):
    r"""One executed layer.

    Parameters
    ----------
    name : str
        Path in the model; a second execution of the same module says "(2)".
    kind : str
        affine, embedding, norm, sum (a residual or other addition), attention or unknown.
    operation : str
        What was executed: linear, convolution, layer_norm, ...
    shape : tuple of int
        Shape of the output, batch included.
    fan_in, fan_out : float or None
        Products in one output, and units or channels; None without weights.
    mean, mean_square : float
        Of the output (the pre-activation h), over inputs and units.
    one_minus_c, correlation : float
        Mean over pairs of different inputs of :math:`1 - c` and of c; NaN with one input.
    gradient : float
        Mean square of dLoss/dh.
    jacobian, jacobian_error : float
        :math:`\|\partial y / \partial h\|_F^2 / n_y`, y the output and :math:`n_y` its entries,
        by random projections, and the standard error over them.
    weight_std, bias_std : float or None
        Standard deviations of the entries.
    sigma_w, sigma_b : float or None
        :math:`\sqrt{n_{in} \langle W^2 \rangle}` and :math:`\sqrt{\langle b^2 \rangle}`.
    activation : str or None
        What is applied to h next.
    saturation, dead : float
        Fraction of entries with :math:`|\phi'| < 10^{-3}`, and of units that are so for every
        input of the batch; NaN without an activation. Of an attention: fraction of its rows with
        a weight above 0.99.
    known : bool
        Whether the theory has a rule for this layer; `expected` is filled only then.
    expected : Expected
        What theory expects beside the measured values.
    residual : bool
        Whether a sum is a residual addition.
    entropy : float
        Of an attention: mean entropy of its rows, 1 where the weights are even; else NaN.
    """

    name: str
    kind: str
    operation: str
    shape: tuple[int, ...]
    fan_in: float | None
    fan_out: int | None
    mean: float
    mean_square: float
    one_minus_c: float
    gradient: float
    jacobian: float
    jacobian_error: float
    weight_std: float | None
    bias_std: float | None
    sigma_w: float | None
    sigma_b: float | None
    activation: str | None
    saturation: float
    dead: float
    known: bool
    expected: Expected
    residual: bool = False
    entropy: float = math.nan

    @property
    def correlation(self) -> float:
        """Mean correlation between different inputs."""
        return 1.0 - self.one_minus_c
