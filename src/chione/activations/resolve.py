"""From what a user writes to an activation."""

from __future__ import annotations

from typing import Any

from chione.activations.protocol import AbstractActivation
from chione.activations.registry import from_name
from chione.base import SpecError


def activation(spec: Any) -> AbstractActivation:
    """The activation that `spec` describes.

    Parameters
    ----------
    spec : str or AbstractActivation
        A name of the catalogue, with parameters in brackets where it has some
        (``"gelu"``, ``"leaky_relu(0.2)"``, ``"siren(w0=10)"``), or an activation, which is
        returned as it is.

    Returns
    -------
    AbstractActivation

    Raises
    ------
    SpecError
        If the description cannot be understood.
    """
    if isinstance(spec, AbstractActivation):
        return spec
    if isinstance(spec, str):
        return from_name(spec)
    raise SpecError(f"An activation must be a name, but it is of type {type(spec).__name__}.")
