"""Spectra at initialisation: of the input-output Jacobian, and of the Hessian."""

from chione.theory.spectra.hessian import (
    HessianCurve,
    HessianSpectrum,
    IndexOnset,
    critical_amplitude,
    critical_energy,
    energy_at_index,
    hessian_index,
    hessian_spectrum,
    index_onset,
)
from chione.theory.spectra.jacobian import JacobianSpectrum, SpectrumCurve, jacobian_spectrum
from chione.theory.spectra.jacobian_isometry import (
    IsometricInitialization,
    dynamical_isometry,
    q_star_for_variance,
)
from chione.theory.spectra.jacobian_law import derivative_law
from chione.theory.spectra.jacobian_limits import LimitLaw, Universality, universality_class

__all__ = [
    "HessianCurve",
    "HessianSpectrum",
    "IndexOnset",
    "IsometricInitialization",
    "JacobianSpectrum",
    "LimitLaw",
    "SpectrumCurve",
    "Universality",
    "critical_amplitude",
    "critical_energy",
    "derivative_law",
    "dynamical_isometry",
    "energy_at_index",
    "hessian_index",
    "hessian_spectrum",
    "index_onset",
    "jacobian_spectrum",
    "q_star_for_variance",
    "universality_class",
]
