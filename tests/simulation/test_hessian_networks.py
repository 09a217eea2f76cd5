"""Structures of the model Hessian against sampled matrices and real networks."""

import numpy as np
import pytest

from chione.activations import activation
from chione.simulation.hessian import network_hessian, sample_model_hessian
from chione.theory.spectra.hessian import hessian_index, hessian_spectrum
from chione.theory.spectra.hessian_h1 import Blocks
from chione.theory.spectra.hessian_law import HessianLaw


def distance(values, share, zero):
    """Kolmogorov-Smirnov distance at the values that are not rounding of zero."""
    n = values.size
    return np.max(abs(share - (np.arange(n) + 0.5) / n)[~zero])


@pytest.mark.parametrize("structure", ["wigner", "relu", "linear", "product"])
@pytest.mark.parametrize(("ratio", "energy"), [(0.3, 0.4), (1.5, 0.3), (3.5, 0.6)])
def test_sampled_matrices_follow_the_law_of_their_structure(structure, ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
    n = 400
    values = sample_model_hessian(ratio=ratio, energy=energy, structure=structure, size=n, seed=1)
    zero = abs(values) < 1e-10
    atom = sum(m for _, m in s.atoms)
    assert abs(np.mean(zero) - atom) < 2.0 / n
    assert distance(values, np.asarray(s.cdf(values).value), zero) < 3.0 / n**0.9  # rigid
    negative = np.mean(values < -1e-10)
    assert abs(negative - hessian_index(ratio, energy, structure=structure).value) < 3.0 / n


def network_parts(name, n, m, energy, seed):
    """A hidden layer of n units between n inputs and n outputs, residuals that are pure noise."""
    rng = np.random.default_rng(seed)
    phi = activation(name)
    w1, w2 = rng.standard_normal((2, n, n)) / np.sqrt(n)
    x = rng.standard_normal((m, n))
    residual = np.sqrt(2.0 * energy) * rng.standard_normal((m, n))
    y = phi.value(x @ w1.T) @ w2.T - residual
    return network_hessian(phi, w1, w2, x, y), rng


@pytest.mark.parametrize(("m", "active"), [(36, 0.5), (18, 0.5), (11, 0.5)])
def test_second_derivatives_of_a_real_relu_network_follow_the_law_of_blocks(m, active):
    n, energy = 18, 0.3
    found, rng = network_parts("relu", n, m, energy, seed=m)
    assert found.ratio == 2 * n / m
    assert abs(found.loss / n / energy - 1.0) < 4.5 * np.sqrt(2.0 / (m * n))
    values = np.linalg.eigvalsh(found.h1)
    law = HessianLaw((Blocks(found.ratio, energy, active),))
    # the second cumulant is p phi eps, up to the noise of the residuals' and the data's squares
    noise = np.sqrt(2.0 / (m * n)) * 4.5 + 2.0 / n
    assert abs(np.mean(values**2) / (active * found.ratio * energy) - 1.0) < noise
    zero = abs(values) < 1e-10
    share, _ = law.cdf_with_error(values)
    # n blocks of n x n, whose units are active at m/2 +- sqrt(m)/2 data
    assert distance(values, share, zero) < 1.5 / np.sqrt(n * m) + 0.02
    count = values.size
    wishart = rng.standard_normal((count, round(count / found.ratio)))
    h = np.linalg.eigvalsh(wishart @ wishart.T / wishart.shape[1] + found.h1)
    s = hessian_spectrum(ratio=found.ratio, energy=energy, structure="relu")
    other = hessian_spectrum(ratio=found.ratio, energy=energy, structure="linear")
    null = abs(h) < 1e-10
    near = distance(h, np.asarray(s.cdf(h).value), null)
    assert near < 0.02
    assert distance(h, np.asarray(other.cdf(h).value), null) > 3.0 * near


def test_a_linear_layer_is_active_at_all_data():
    found, _ = network_parts("linear", 20, 24, 0.4, seed=3)
    law = HessianLaw((Blocks(found.ratio, 0.4, 1.0),))
    values = np.linalg.eigvalsh(found.h1)[::20]  # every unit has the same block
    share, _ = law.cdf_with_error(values)
    assert np.max(abs(share - (np.arange(values.size) + 0.5) / values.size)) < 0.06
    assert abs(np.mean(values**2) / (found.ratio * 0.4) - 1.0) < 0.3


def test_bad_structures_are_refused():
    with pytest.raises(ValueError, match="structure must be one of wigner, relu, linear, product"):
        sample_model_hessian(ratio=1.0, energy=1.0, structure="tanh")
