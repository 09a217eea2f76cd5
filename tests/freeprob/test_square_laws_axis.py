"""The derivative's law on the real axis: the limit from above, at nodes of the rule, too."""

import numpy as np
import pytest

from chione.theory.spectra import derivative_law


@pytest.mark.parametrize("q", [0.1, 0.8, 5.0])
@pytest.mark.parametrize("name", ["erf", "tanh", "gelu", "silu", "siren", "selu", "sin"])
def test_transforms_on_the_axis_are_the_limits_from_above(name, q):
    law = derivative_law(name, q)
    nodes = law.nodes[0]
    rng = np.random.default_rng(3)
    t = np.concatenate([rng.uniform(0.0, nodes.max(), 30), nodes[::23][:30]])
    t = t[(t > 1e-100) & ~np.isin(t, law.place)]
    g, u = law.stieltjes(t + 0j), law.mean_log(t + 0j)
    rho, f = law.density(t), law.cdf(t)
    assert np.all(abs(-g.imag / np.pi - rho) <= 1e-11 * (rho + 1.0))
    assert np.all(abs(1.0 - u.imag / np.pi - f) <= 1e-13)
    inner = t[(f > 0.05) & (f < 0.8)][:20]
    step = 1e-7 * inner  # far from nodes and axis alike; the difference is of first order
    near = law.mean_log(inner + 1j * step)
    on = law.mean_log(inner + 0j)
    assert np.all(abs(on.real - near.real) <= 10.0 * step * (1.0 + abs(law.density(inner))))
