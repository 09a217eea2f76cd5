"""Spectra at initialisation: of the input-output Jacobian, and of the Hessian."""

from chione.theory.spectra.hessian import HessianSpectrum, critical_energy, hessian_spectrum
from chione.theory.spectra.jacobian import JacobianSpectrum, SpectrumCurve, jacobian_spectrum
from chione.theory.spectra.jacobian_isometry import (
    IsometricInitialization,
    dynamical_isometry,
    q_star_for_variance,
)
from chione.theory.spectra.jacobian_law import derivative_law
from chione.theory.spectra.jacobian_limits import LimitLaw, Universality, universality_class

__all__ = [
    "HessianSpectrum",
    "IsometricInitialization",
    "JacobianSpectrum",
    "LimitLaw",
    "SpectrumCurve",
    "Universality",
    "critical_energy",
    "derivative_law",
    "dynamical_isometry",
    "hessian_spectrum",
    "jacobian_spectrum",
    "q_star_for_variance",
    "universality_class",
]
