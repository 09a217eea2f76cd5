"""Depth scales of a sweep (compiled kernels) are those of a boundary (maps of a block)."""

import pytest

from chione.sweeps.boundary_scales import depth_scales
from chione.sweeps.depth_scales import scales_over


@pytest.mark.parametrize("dropout", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [("tanh", 0.8, 0.1), ("tanh", 2.0, 0.05), ("erf", 1.6, 0.2), ("relu", 1.0, 0.1)],
)
def test_two_ways_to_the_depth_scales_agree(name, sigma_w, sigma_b, dropout):
    one = depth_scales(name, sigma_w, sigma_b, dropout)
    xi_c, xi_chi = scales_over(name, [sigma_w], [sigma_b], dropout=dropout)
    assert one.xi_chi == pytest.approx(float(xi_chi[0, 0]), rel=1e-9)
    assert one.xi_c == pytest.approx(float(xi_c[0, 0]), rel=1e-8)
