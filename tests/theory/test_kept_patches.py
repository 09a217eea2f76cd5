"""What phase diagrams keep of an activation: found ready, and the same whoever asked first."""

import numpy as np
import pytest

import chione
from chione.theory import phase_diagram
from chione.theory.meanfield import correlation_patches as kept
from chione.theory.moments.slope_flow import SlopeFlow

NAMES = ["tanh", "hardtanh", "gelu", "sign", "x*tanh(x)+sin(x)"]


def forget():
    kept.patch.cache_clear()
    kept._flow.cache_clear()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.sampled(3)
def test_a_second_diagram_compiles_nothing(name):
    w, b = np.linspace(0.6, 3.0, 7), np.linspace(0.05, 0.8, 5)
    phase_diagram(name, sigma_w=w, sigma_b=b)
    before = kept.patch.cache_info().misses, kept._flow.cache_info().misses
    phase_diagram(name, sigma_w=w[1:], sigma_b=b[::-2])
    assert (kept.patch.cache_info().misses, kept._flow.cache_info().misses) == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.sampled(3)
def test_a_diagram_does_not_depend_on_the_ones_before_it(name):
    w, b = np.array([1.4, 2.2]), np.array([0.1, 0.7])
    forget()
    alone = phase_diagram(name, sigma_w=w, sigma_b=b)
    forget()
    # far below and far above, and next to the critical line where 1 - c* is small
    phase_diagram(name, sigma_w=[1e-3, 1.3, 30.0], sigma_b=[1e-4, 0.3, 20.0])
    assert phase_diagram(name, sigma_w=w, sigma_b=b) == alone


def test_the_remainder_of_a_flow_is_that_of_the_pieces_in_use():
    flow = SlopeFlow(chione.activation("hardtanh"), 0.25, 4.0, 4.0)
    flow.kernel(np.array([1.0]), np.array([0.5]))
    before = flow.error_down_to(0.5)
    flow.kernel(np.array([1.0]), np.array([1e-9]))  # many more pieces
    assert flow.error_down_to(0.5) == before
    assert before <= flow.error_down_to(1e-9) < 1e-12
