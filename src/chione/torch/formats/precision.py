"""What a format can hold of one step of a model: by theory, and as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import poisson

from chione.base import Array, checks
from chione.torch.capture.nodes import Node
from chione.torch.capture.state import preserved
from chione.torch.capture.tracing import check_model
from chione.torch.formats import advice
from chione.torch.formats.counting import Counts
from chione.torch.formats.floats import Format, format_of
from chione.torch.formats.laws import EntryLaw, Laws
from chione.torch.formats.masses import (
    Masses,
    activated_masses,
    gaussian_masses,
    scales,
    sent_back_masses,
    uniform_masses,
)
from chione.torch.formats.observe import Loss, Observed, observe
from chione.torch.formats.report import FormatShare, PrecisionReport, TensorRange
from chione.torch.layers.joins import Product

_MANY = 4.0  # standard deviations
_RARE = 1e-5  # probability beyond a number of rare entries
_ENOUGH = 600  # entries that tell a normal from a uniform law
_NORMAL, _UNIFORM = 3.0, 1.8  # E x^4 / (E x^2)^2
_DEFAULT = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def precision(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    formats: Sequence[Any] = _DEFAULT,
    optimizer: torch.optim.Optimizer | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> PrecisionReport:
    r"""Find what float16, bfloat16 and float8 lose of a model's numbers, layer by layer.

    A number becomes zero where :math:`|x| \le 2^{e_- - p}`, loses digits below :math:`2^{e_-}` and
    is too large from half a step above the largest one, for a format of p digits and smallest
    exponent :math:`e_-`. By theory the entries of a wide layer are Gaussian,

    .. math:: P(|h| \le t) = E_Q \operatorname{erf}\frac{t}{\sqrt{2 Q}}, \qquad E Q = q, \quad
       \frac{\mathrm{Var}\, Q}{q^2} = \frac{V}{n q^2},

    with log Q normal, V / n the finite-width fluctuation of a length.

    Parameters
    ----------
    model : Module
        Any module, in float32 or float64; it runs in the mode it is in and is afterwards as
        before, also after an exception.
    batch : Tensor, tuple, list or mapping
        As :func:`chione.torch.inspect` takes it.
    loss : callable, optional
        From what the model returns to the number that is trained on, as it is scaled there (mean
        or sum): gradients have its scale. Without one that of the output is taken (``out["loss"]``,
        or an output of one number), and if there is none, gradients are left out.
    formats : sequence of str or torch.dtype
        Among float16, bfloat16, float8_e4m3fn, float8_e5m2.
    optimizer : torch.optim.Optimizer, optional
        Its ``eps`` and ``betas`` are judged; those of Adam's default, 1e-8 and (0.9, 0.999),
        without one.
    tolerance : float
        Share of a tensor that may become zero.
    seed : int
        Of the random projections by which theory follows gradients.

    Returns
    -------
    PrecisionReport
        ``print``, ``.verdicts``, ``.tensors``, ``.adam``, ``.plot()``, ``.to_dict()``.

    Raises
    ------
    TypeError, ValueError
        As :func:`chione.torch.inspect`; SpecError, a ValueError, for an unknown format.

    Notes
    -----
    Measured shares are exact counts on the tensors of this step: those of a pass in the format
    itself differ where rounding earlier layers moves later ones. Expected shares have the error
    of a network of this width: four standard deviations, over networks and over entries, those of
    different positions counted as one. Cost: a forward pass, three backward passes, and about ten
    passes over each tensor.

    Examples
    --------
    >>> import torch
    >>> from chione.torch import precision
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 4))
    >>> found = precision(net, torch.randn(16, 32), lambda y: 1e-6 * y.square().mean())
    >>> found.verdict("float16").answer, found.verdict("bfloat16").answer
    ('with a loss scale', 'fits')
    """
    model = check_model(model)
    forms = list(dict.fromkeys(format_of(f) for f in formats))
    if not forms:
        raise ValueError("formats is empty; name at least one, such as 'float16'.")
    tolerance = checks.non_negative("tolerance", tolerance)
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, minimum=0))
    if loss is not None and not callable(loss):
        raise TypeError(
            f"loss must be a function of what the model returns, but it is {type(loss).__name__}; "
            "pass for example lambda out: cross_entropy(out, labels)."
        )
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
        seen = observe(model, batch, loss, forms, generator)
        tensors = tuple(_tensors(seen, forms))
        lost = _lost_moments(seen, optimizer)
    named = _named(seen)
    verdicts = tuple(advice.verdict(f, tensors, *named, tolerance) for f in forms)
    epsilon, beta2 = _adam(optimizer)
    weights = list(seen.weight_gradients.items())
    return PrecisionReport(
        model=type(model).__name__,
        dtype=str(seen.dtype).removeprefix("torch."),
        batch=seen.graph.batch,
        loss=seen.loss,
        tolerance=tolerance,
        tensors=tensors,
        verdicts=verdicts,
        adam=advice.adam_epsilon(epsilon, beta2, seen.dtype, weights, lost),
        notes=tuple(_notes(seen)),
    )


def _notes(seen: Observed) -> Iterator[str]:
    if math.isnan(seen.loss):
        yield (
            "without a loss gradients have no scale, so they are left out; pass loss=, for example "
            "lambda out: cross_entropy(out, labels)."
        )
    if seen.dtype in (torch.float16, torch.bfloat16):
        yield (
            f"the parameters are {str(seen.dtype).removeprefix('torch.')}: what that format has "
            "rounded to zero already is not seen; measure the model in float32."
        )


def _adam(optimizer: torch.optim.Optimizer | None) -> tuple[float, float]:
    group = {} if optimizer is None else optimizer.param_groups[0]
    return float(group.get("eps", 1e-8)), float(group.get("betas", (0.9, 0.999))[1])


def _lost_moments(seen: Observed, optimizer: torch.optim.Optimizer | None) -> float:
    """Share of gradients whose (1 - beta_2) g^2 is zero in the dtype of the parameters."""
    info = torch.finfo(seen.dtype)
    zero = math.log2(info.smallest_normal) + math.log2(info.eps) - 1.0  # and below
    border = 2.0 ** ((zero - math.log2(max(1.0 - _adam(optimizer)[1], 1e-300))) / 2.0)
    found = list(seen.weight_gradients.values())
    told = sum(c.told for c in found)
    return sum(c.below(border) * c.told for c in found if c.told) / told if told else math.nan


def _named(seen: Observed) -> tuple[list[tuple[str, Counts]], list[tuple[str, Counts]]]:
    """Counts with names: of what runs forward, and of all gradients."""
    nodes = seen.graph.nodes
    signals, gradients = (
        [(_name(seen, nodes[i]), c) for i, c in found.items() if _shown(nodes[i])]
        for found in (seen.signals, seen.gradients)
    )
    forward = [("input", c) for c in seen.inputs] + signals + list(seen.weights.items())
    return forward, gradients + list(seen.weight_gradients.items())


def _shown(node: Node) -> bool:
    return node.row or node.applied is not None or isinstance(node.layer, Product)


def _name(seen: Observed, node: Node) -> str:
    """Path of a row; of an activation that of its module, or of the row it acts on."""
    if node.row:
        return node.name
    word = node.applied.name if node.applied is not None else node.kind
    if node.origin is not None:
        return f"{seen.graph.nodes[node.origin].name} > {word}"
    return node.name or word


def _tensors(seen: Observed, forms: list[Format]) -> Iterator[TensorRange]:
    laws = Laws(seen)
    nodes = seen.graph.nodes
    for counts in seen.inputs:
        yield _range("input", "input", "input", counts, forms, None)
    for index, counts in seen.signals.items():
        if _shown(nodes[index]):
            law = laws.signal(nodes[index])
            name, kind = _name(seen, nodes[index]), nodes[index].kind
            yield _range(name, "activation", kind, counts, forms, law)
    for name, counts in seen.weights.items():
        masses = _weight_masses(counts, seen.kurtosis[name], forms)
        yield _range(name, "weight", "parameter", counts, forms, None, masses)
    for index, counts in sorted(seen.gradients.items(), reverse=True):
        if _shown(nodes[index]):
            law = laws.gradient(nodes[index])
            name, kind = _name(seen, nodes[index]), nodes[index].kind
            yield _range(name, "gradient", kind, counts, forms, law)
    for name, counts in seen.weight_gradients.items():
        yield _range(name, "weight gradient", "parameter", counts, forms, None)


def _weight_masses(counts: Counts, kurtosis: float, forms: list[Format]) -> list[Masses] | None:
    """Of normal or uniform entries, whichever the fourth moment says; None for neither."""
    if counts.told < _ENOUGH or not counts.square > 0.0:
        return None
    room = _MANY * math.sqrt(24.0 / counts.told) + 0.05  # of the kurtosis of normal entries
    if abs(kurtosis - _NORMAL) <= min(room, 0.6):
        law = scales(np.array([counts.square]), np.ones(1), 0.0)
        return [gaussian_masses(f, law) for f in forms]
    if abs(kurtosis - _UNIFORM) <= min(room, 0.6):
        return [uniform_masses(f, counts.square) for f in forms]
    return None


def _range(
    name: str,
    what: str,
    kind: str,
    counts: Counts,
    forms: list[Format],
    law: EntryLaw | None,
    masses: list[Masses] | None = None,
) -> TensorRange:
    shares = []
    for k, form in enumerate(forms):
        found = masses[k] if masses is not None else None if law is None else _masses(form, law)
        expected = error = np.full(3, np.nan)
        if found is not None:
            expected = found.mean
            independent = counts.told if law is None else min(law.independent, counts.told)
            error = _error(found, independent, 0.0 if law is None else law.relative_error)
        shares.append(
            FormatShare(
                form.name,
                counts.underflow(form),
                counts.share(counts.subnormal[form.name]),
                counts.share(counts.overflow[form.name]),
                *(float(x) for x in expected),
                *(float(x) for x in error),
            )
        )
    size = max(counts.size, 1)
    return TensorRange(
        name, what, kind, counts.size, counts.zeros / size, counts.broken / size,
        math.sqrt(counts.square), counts.smallest, counts.largest, tuple(shares),
    )  # fmt: skip


def _masses(form: Format, law: EntryLaw) -> Masses:
    if law.value is not None:
        return activated_masses(form, law.value, law.scales)
    if law.slope is not None:
        return sent_back_masses(form, law.slope, law.q, law.scales)
    return gaussian_masses(form, law.scales)


def _error(masses: Masses, independent: float, relative: float) -> Array:
    """Four standard deviations of a share over networks and entries, and theory's own error.

    A share moves with the scale by at most its own size times half the relative change of q, or by
    the density of a normal law; few entries, or few that are left out, come as a Poisson number.
    """
    p = np.clip(masses.mean, 0.0, 1.0)
    n = max(independent, 1.0)
    noise = _MANY * np.sqrt(masses.variance + p * (1.0 - p) / n)
    few = n * np.minimum(p, 1.0 - p)
    rare = np.where(few < 100.0, (poisson.isf(_RARE, few) - few) / n, 0.0)
    return np.asarray(np.maximum(noise, rare + _MANY * np.sqrt(masses.variance)) + 0.5 * relative)
