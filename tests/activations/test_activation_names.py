"""From a text to an activation, or to one clear sentence."""

import pytest

import chione
from chione.activations import ReLU, SiLU, activation, catalogue
from chione.base import SpecError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gelu", "gelu"),
        ("  GELU ", "gelu"),
        ("LeakyReLU", "leaky_relu"),
        ("Hard-Tanh", "hardtanh"),
        ("swish", "silu"),
        ("identity", "linear"),
        ("leaky_relu(0.2)", "leaky_relu(slope=0.2)"),
        ("leaky_relu( slope = 2e-1 )", "leaky_relu(slope=0.2)"),
        ("leaky_relu(0.01)", "leaky_relu"),
        ("siren(w0=-10)", "siren(w0=-10.0)"),
        ("hardtanh(-2, high=3)", "hardtanh(low=-2.0, high=3.0)"),
        ("affine(gelu, scale=2)", "affine(gelu, scale=2.0)"),
        ("affine(affine(relu, shift=1), offset=1)", "affine(affine(relu, shift=1.0), offset=1.0)"),
        ("affine(x*tanh(x), scale=2)", "affine(x*tanh(x), scale=2.0)"),
    ],
)
def test_names_are_read_as_people_write_them(text, name):
    assert activation(text).name == name


def test_an_activation_passes_through():
    phi = ReLU()
    assert activation(phi) is phi
    assert chione.activation("silu") == SiLU()


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_a_misspelt_name_is_answered_with_the_right_one(name):
    if len(name) < 4:
        return
    wrong = name[:-1] + "q"
    with pytest.raises(SpecError, match=r"did you mean '.*'\? .*catalogue\(\) lists") as info:
        activation(wrong)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("gelo", "There is no activation 'gelo'; did you mean 'gelu'"),
        ("zzzzzz", "There is no activation 'zzzzzz'; chione"),
        ("relu(0.3)", "relu takes no parameters"),
        ("leaky_relu(1, 2)", "takes slope"),
        ("leaky_relu(slope=1, slope=2)", "cannot be read"),
        ("leaky_relu(0.1, slope=2)", "cannot be read"),
        ("leaky_relu(alpha=1)", "takes slope"),
        ("leaky_relu(1+1)", "cannot be read|may not"),
        ("leaky_relu(nan)", "cannot be read"),
        ("leaky_relu(1e400)", "slope must be finite"),
        ("leaky_relu(0.2", "cannot be read"),
        ("affine(gelu, factor=2)", "cannot be read"),
        ("affine(gelu, scale=__import__)", "cannot be read"),
        ("affine(gelo)", "did you mean 'gelu'"),
        (3, "of type int"),
        (None, "of type NoneType"),
        (ReLU, r"ReLU is a class; write ReLU\(\)"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(spec, match):
    with pytest.raises(SpecError, match=match) as info:
        activation(spec)
    assert "\n" not in str(info.value)
