"""Measures written as text: what is understood, how tightly signs bind, what is refused."""

import numpy as np
import pytest

from chione import freeprob as fp
from chione.base import SpecError
from chione.freeprob.grammar import NAMES, parse

COIN = fp.bernoulli(0.5, low=-1.0, high=1.0)


def moments(measure, n=6):
    return np.asarray(measure.moments(n).value)


@pytest.mark.parametrize(
    ("text", "mean", "variance"),
    [
        ("semicircle", 0.0, 1.0),
        ("semicircle(3)", 0.0, 3.0),
        ("semicircle(variance=3, center=-2)", -2.0, 3.0),
        ("mp(0.5)", 1.0, 0.5),
        ("mp(0.5)+semicircle(1)", 1.0, 1.5),
        ("2*mp(0.5)", 2.0, 2.0),
        ("mp(0.5)*2", 2.0, 2.0),
        ("mp(0.5)/2", 0.5, 0.125),
        ("mp(0.5) + 3", 4.0, 0.5),
        ("3 - mp(0.5)", 2.0, 0.5),
        ("-mp(0.5)", -1.0, 0.5),
        ("--mp(0.5)", 1.0, 0.5),
        ("mp(0.5) - mp(0.5)", 0.0, 1.0),
        ("coin + 2*coin", 0.0, 5.0),
        ("(coin + coin)*2", 0.0, 8.0),
        ("2*3*coin", 0.0, 36.0),
        ("coin*2^3", 0.0, 64.0),
        ("point(2) + point(pi)", 2.0 + np.pi, 0.0),
        ("1e1 * coin", 0.0, 100.0),
        ("\t mp ( .5 )  ", 1.0, 0.5),
        ("mp(0.5) * mp(0.5)", 1.0, 1.0),  # E of the square is m2 n1^2 + m1^2 n2 - m1^2 n1^2
        ("projection(0.25)", 0.25, 0.1875),
    ],
)
def test_mean_and_variance_are_those_of_the_formula(text, mean, variance):
    found = parse(text)
    m = moments(found, 2)
    assert m[0] == pytest.approx(mean, abs=1e-14)
    assert m[1] - m[0] ** 2 == pytest.approx(variance, abs=1e-13)


def test_signs_bind_as_in_arithmetic():
    bound = parse("semicircle(1) + 2*mp(1)*mp(0.5) - 3*coin")
    own = fp.semicircle(1.0) + 2.0 * fp.marchenko_pastur(1.0) * fp.marchenko_pastur(0.5)
    np.testing.assert_allclose(moments(bound), moments(own - 3.0 * COIN), rtol=1e-12)


def test_a_power_is_a_sum_of_free_copies_and_a_double_star_a_product():
    np.testing.assert_allclose(moments(parse("coin^4")), moments(COIN + COIN + COIN + COIN))
    plain = fp.marchenko_pastur(0.5)
    np.testing.assert_allclose(moments(parse("mp(0.5)**3")), moments(plain * plain * plain))
    np.testing.assert_allclose(
        moments(parse("1 + semicircle(1)^2.5")), moments(1.0 + fp.semicircle(2.5)), atol=1e-12
    )
    np.testing.assert_allclose(moments(parse("2*coin^2")), moments(2.0 * (COIN + COIN)))
    np.testing.assert_allclose(moments(parse("-coin^2")), moments(COIN + COIN))


def test_a_file_is_read_by_the_caller(tmp_path):
    seen = []

    def read(path):
        seen.append(path)
        return fp.empirical([1.0, 2.0])

    found = parse("a-b/c.npy + 'd e.txt' + ../f.csv", read=read)
    assert seen == ["a-b/c.npy", "d e.txt", "../f.csv"]
    assert moments(found, 1)[0] == pytest.approx(4.5)
    with pytest.raises(SpecError, match="files are not read here"):
        parse("a.npy + mp(1)")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("3", "is the number 3"),
        ("2*3+1", "is the number 7"),
        ("mp(0.5) +", "breaks off"),
        ("mp(0.5) semicircle(1)", "follows a finished measure"),
        ("mp(0.5", "needs"),
        ("mp(0.5,)", "is no measure"),
        ("(mp(0.5)", "needs ')'"),
        ("mp(0.5))", "follows"),
        ("marchenko(0.5)", "is not known"),
        ("semicirlce(1)", "did you mean 'semicircle'"),
        ("mp(0.5)/mp(0.5)", "divided by a number only"),
        ("mp(0.5)/0", "divides by 0"),
        ("mp(0.5)^mp(0.5)", "exponent must be a number"),
        ("mp(0.5)^(-1)", "t must be above 0"),
        ("0^(-1)*mp(1)", "no finite number"),
        ("(-8)^0.5*mp(1)", "no finite number"),
        ("1e999*mp(1)", "beyond the range"),
        ("mp(1)+1e5e5", "has no meaning"),
        ("mp(1,2,3)", "arguments that do not fit"),
        ("mp(size=1)", "arguments that do not fit"),
        ("mp(semicircle(1))", "ratio"),
        ("mp(-1)", "ratio"),
        ("compress(0.5, coin)", "arguments that do not fit"),
        ("__import__('os')", "not known"),
        ("mp(1).law", "has no meaning"),
        ("mp(1)[0]", "has no meaning"),
        ("mp(1) if 1 else 2", "follows"),
        ("λ", "has no meaning"),
        ("(" * 50 + "mp(1)" + ")" * 50, "nested"),
        ("mp(1)" + "+mp(1)" * 1000, "characters"),
        ("2^" * 60 + "2", "nested"),
    ],
)
def test_what_is_not_understood_is_told_in_one_sentence(text, part):
    with pytest.raises((SpecError, ValueError, TypeError)) as error:
        parse(text)
    message = str(error.value)
    assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_example_of_every_name_is_a_measure(name):
    found = parse(NAMES[name].example)
    assert NAMES[name].example.split("(")[0] == name
    assert np.isfinite(moments(found, 2)).all()


def test_random_text_ends_in_a_measure_or_a_sentence():
    rng = np.random.default_rng(5)
    words = ["mp(0.5)", "coin", "semicircle", "point(1)", "pi", "x", "e", "2", ".5"]
    words += [*"()+-*/^,='", "**"]
    for _ in range(1000):
        text = "".join(rng.choice(words, size=int(rng.integers(1, 9))))
        try:
            assert isinstance(parse(text), fp.Measure)
        except (SpecError, ValueError, TypeError) as error:
            assert "\n" not in str(error)
