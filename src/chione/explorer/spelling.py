"""Activations as the page spells them: formulas with numbers in the place of parameters."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from chione.activations import AbstractActivation, activation


def expression_of(phi: AbstractActivation) -> str:
    """The formula with its parameters as numbers, as ``chione.activation`` reads it."""
    text = phi.formula
    for field in dataclasses.fields(phi):  # type: ignore[arg-type]
        value = repr(float(getattr(phi, field.name)))
        value = f"({value})" if value.startswith("-") else value
        text = re.sub(rf"\b{field.name}\b", value, text)
    z = np.linspace(-4.03, 4.01, 41)
    if not np.allclose(activation(text).value(z), phi.value(z), rtol=1e-5, atol=1e-12):
        raise ValueError(f"the formula of {phi.name} does not give its values: {text}")
    return text
