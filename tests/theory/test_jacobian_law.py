"""Which activations have a law of phi'(h)^2: a step that a framework leaves is no jump."""

import pytest

import chione


def test_the_step_in_torchs_softplus_is_no_jump():
    torch = pytest.importorskip("torch")  # the module jumps by 2e-9 at its threshold 20
    module = chione.jacobian_spectrum(torch.nn.Softplus(), depth=4, q_star=1.0)
    formula = chione.jacobian_spectrum("softplus", depth=4, q_star=1.0)
    assert module.edges == pytest.approx(formula.edges, rel=1e-9)


def test_a_true_jump_has_no_spectrum():
    with pytest.raises(ValueError, match="step jumps at 0"):
        chione.jacobian_spectrum("step", depth=4, q_star=1.0)
