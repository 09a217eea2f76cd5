"""`chione hermite` and `chione kernel` against 25-digit integrals, sums and plain recursions."""

import json
import math

import mpmath
import numpy as np
import pytest
from click.testing import CliRunner

import chione as ch
from chione.cli import main


def run(*args: str):
    return CliRunner().invoke(main, list(args))


def answer(*args: str):
    out = run(*args, "--json")
    assert out.exit_code == 0, out.stderr
    return json.loads(out.stdout)


# ---- Hermite -----------------------------------------------------------------------------------


def he(k, z):
    """Orthonormal polynomial by mpmath's own physicists' Hermite polynomials."""
    return mpmath.hermite(k, z / mpmath.sqrt(2)) / mpmath.sqrt(2**k * mpmath.factorial(k))


def coefficient(f, q, k):
    """c_k by integration over panels, split at zero."""
    with mpmath.workdps(25):
        root = mpmath.sqrt(q)
        ends = [-14, -8, -4, -2, 0, 2, 4, 8, 14]
        return mpmath.quad(lambda z: f(root * z) * he(k, z) * mpmath.npdf(z), ends)


FORMULAS = {
    "tanh": mpmath.tanh,
    "gelu": lambda h: h * mpmath.ncdf(h),
    "relu": lambda h: max(h, mpmath.mpf(0)),
    "x*tanh(softplus(x))": lambda h: h * mpmath.tanh(mpmath.log1p(mpmath.exp(h))),
}


@pytest.mark.parametrize(("name", "q"), list(zip(FORMULAS, (0.3, 2.5, 2.5, 0.3), strict=True)))
def test_hermite_coefficients_are_those_of_25_digit_integrals(name, q):
    found = answer("hermite", name, "--q", str(q), "--order", "7")
    assert len(found["coefficients"]) == 8
    for k in (0, 1, 2, 7):
        exact = coefficient(FORMULAS[name], mpmath.mpf(q), k)
        assert abs(found["coefficients"][k] - exact) <= found["error"][k] + 1e-25
        assert found["error"][k] < 1e-12


def test_shares_of_an_exponential_are_those_of_a_poisson_law():
    found = answer("hermite", "exp(x)", "--q", "2", "--order", "30")
    poisson = [math.exp(-2.0) * 2.0**k / math.factorial(k) for k in range(31)]
    assert found["shares"] == pytest.approx(poisson, abs=1e-13)
    assert found["second_moment"] == pytest.approx(math.exp(4.0), rel=1e-13)
    assert found["tail"]["value"] <= found["tail"]["error"]


def test_hermite_prints_a_table_and_writes_data_and_picture(tmp_path):
    data, figure = tmp_path / "h.npz", tmp_path / "h.png"
    out = run("hermite", "abs(x)", "--order", "4", "--out", str(data), "--figure", str(figure))
    assert out.exit_code == 0, out.stderr
    lines = out.stdout.splitlines()
    assert lines[4].split()[:2] == ["0", "0.797884560803"]  # sqrt(2 / pi)
    assert lines[5].split()[1] == "0"
    assert "The first order above 0 that does not vanish is 2." in out.stdout
    assert "E phi^2 = 1." in out.stdout
    assert len(ch.load(data)) == 5
    assert figure.read_bytes()[:4] == b"\x89PNG"


def test_an_activation_without_mean_square_has_no_expansion():
    out = run("hermite", "exp(x**2)")
    assert out.exit_code == 1
    assert "E phi^2 has no value there (infinite)" in out.stderr
    small = answer("hermite", "exp(x**2)", "--q", "0.1", "--order", "2")
    # E exp(a z^2) = (1 - 2 a)^{-1/2}
    assert small["coefficients"][0] == pytest.approx(0.8**-0.5, rel=1e-13)
    assert small["second_moment"] == pytest.approx(0.6**-0.5, rel=1e-13)


@pytest.mark.parametrize("options", [("--q", "0"), ("--q", "nan"), ("--order", "-1")])
def test_hermite_refuses_in_a_sentence(options):
    out = run("hermite", "tanh", *options)
    assert out.exit_code == 2
    assert "Error: Invalid value for" in out.stderr


def test_too_many_coefficients_are_refused_before_the_work():
    out = run("hermite", "tanh", "--order", "10000000")
    assert out.exit_code == 2
    assert "--effort" in out.stderr


# ---- kernels -----------------------------------------------------------------------------------


def arc_cosine(q1, q2, c):
    """E relu relu and E step step (Cho & Saul 2009)."""
    angle = math.acos(max(-1.0, min(1.0, c)))
    one = math.sqrt(q1 * q2) / (2 * math.pi) * (math.sin(angle) + (math.pi - angle) * c)
    return one, (math.pi - angle) / (2 * math.pi)


def test_kernel_of_an_activation_is_the_double_sum():
    """The trapezoid rule is exponentially accurate for analytic functions times a Gaussian."""
    found = answer("kernel", "tanh", "--q", "0.8", "--c", "-0.4")
    z = np.arange(-9.0, 9.0, 1.0 / 32.0)
    p = np.exp(-0.5 * z**2) / 32.0 / math.sqrt(2.0 * math.pi)
    u = math.sqrt(0.8) * z[:, None]
    v = math.sqrt(0.8) * (-0.4 * z[:, None] + math.sqrt(0.84) * z)
    for key, f in (("kernel", np.tanh), ("derivative_kernel", lambda h: np.cosh(h) ** -2.0)):
        assert abs(found[key]["value"] - p @ (f(u) * f(v)) @ p) <= found[key]["error"] + 1e-14


def test_kernel_of_an_activation_prints_both_expectations():
    out = run("kernel", "relu", "--c", "0.5")
    one, step = arc_cosine(1.0, 1.0, 0.5)
    rows = [line.rsplit(maxsplit=2) for line in out.stdout.splitlines()[-2:]]
    assert float(rows[0][1]) == pytest.approx(one, rel=1e-12)
    assert float(rows[1][1]) == pytest.approx(step, rel=1e-12)


def relu_layers(k, w2, b2, depth):
    """NNGP and NTK of a pair (entries 11, 12, 22) by the recursion, layer by layer."""
    theta, rows = list(k), []
    for _ in range(depth):
        rows.append((list(k), list(theta)))
        pairs = ((k[0], k[0], 1.0), (k[0], k[2], k[1] / math.sqrt(k[0] * k[2])), (k[2], k[2], 1.0))
        both = [arc_cosine(*p) for p in pairs]
        k = [w2 * one + b2 for one, _ in both]
        theta = [new + w2 * step * old for new, (_, step), old in zip(k, both, theta, strict=True)]
    return rows


def test_kernels_over_depth_are_those_of_the_arc_cosine_recursion():
    found = answer("kernel", "relu", "--sigma-w", "1.3", "--sigma-b", "0.4", "--depth", "6",
                   "--q0", "2", "--c0", "-0.3")  # fmt: skip
    first = [1.69 * 2.0 * c + 0.16 for c in (1.0, -0.3, 1.0)]
    for i, (k, theta) in enumerate(relu_layers(first, 1.69, 0.16, 6)):
        entries = slice(3 * i, 3 * i + 3)
        assert found["nngp"]["value"][entries] == pytest.approx(k, rel=1e-12)
        assert found["ntk"]["value"][entries] == pytest.approx(theta, rel=1e-12)


def test_layers_until_both_are_settled_are_told():
    given = ("kernel", "relu", "--sigma-w", "1.2", "--sigma-b", "0.5", "--depth", "2", "--settling")
    q_star = 0.25 / (1.0 - 0.72)
    layer = 1 + math.ceil(math.log(0.01 * q_star / (1.44 + 0.25 - q_star)) / math.log(0.72))
    assert answer(*given)["settling"]["lengths"]["value"] == layer
    assert f"within 0.01 of q* = 0.892857 from layer {layer} on." in run(*given).stdout


@pytest.mark.parametrize("ending", [".npy", ".csv", ".txt"])
def test_kernels_of_a_file_are_those_of_each_pair(tmp_path, ending):
    x = np.random.default_rng(3).standard_normal((5, 4))
    path, data, figure = tmp_path / f"x{ending}", tmp_path / "k.npz", tmp_path / "k.png"
    if ending == ".npy":
        np.save(path, x)
    else:
        np.savetxt(path, x, delimiter="," if ending == ".csv" else " ")
    given = ("kernel", "relu", "--sigma-w", "1.3", "--sigma-b", "0.4", "--depth", "3")
    out = run(*given, "--data", str(path), "--out", str(data), "--figure", str(figure))
    assert out.exit_code == 0, out.stderr
    assert "5 inputs" in out.stdout
    found = ch.load(data)
    gram = 1.69 * x @ x.T / 4 + 0.16
    for i in range(5):
        for j in range(5):
            k, theta = relu_layers([gram[i, i], gram[i, j], gram[j, j]], 1.69, 0.16, 3)[-1]
            assert found.nngp.value[i, j] == pytest.approx(k[1], abs=1e-12)
            assert found.ntk.value[i, j] == pytest.approx(theta[1], abs=1e-12)
    assert figure.read_bytes()[:4] == b"\x89PNG"


def test_a_step_has_no_tangent_kernel(tmp_path):
    figure = ch.plot(ch.kernel_matrix(ch.MLP("step", 1.0, depth=2), np.eye(3, 5)))
    ch.plotting.save(figure, tmp_path / "k.png")
    assert [t.get_text() for t in figure.axes[-1].texts] == ["no value: the activation jumps"]
    out = run("kernel", "step", "--sigma-w", "1", "--depth", "2")
    assert out.exit_code == 0
    assert out.stdout.splitlines()[-2].split()[:4] == ["2", "0.5", "0.33333333", "0.66666667"]
    assert "does not exist" in out.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "x.npy"], "add --sigma-w"),
        (["--sigma-w", "1", "--c", "0.3"], "--q0 and --c0"),
        (["--c", "1.5"], "above 1"),
        (["--sigma-w", "1", "--data", "missing.npy"], "does not exist"),
        (["--sigma-w", "1", "--data", "x.npy", "--c0", "0"], "leave them out"),
        (["--sigma-w", "1", "--data", "words.csv"], "must hold numbers"),
        (["--sigma-w", "1", "--data", "line.npy"], "its shape is (3,)"),
        (["--sigma-w", "1", "--data", "nan.npy"], "row 2 does not"),
        (["--sigma-w", "1", "--data", "complex.npy"], "its type complex128"),
        (["--sigma-w", "1", "--data", "x.parquet"], ".npy, .csv or .txt"),
        (["--out", "k.npz"], "add --sigma-w"),
        (["--sigma-w", "1", "--depth", "100000000"], "--effort"),
    ],
)
def test_kernel_refuses_in_a_sentence(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.eye(3))
    np.save("line.npy", np.ones(3))
    np.save("nan.npy", np.array([[1.0, 2.0], [np.nan, 1.0]]))
    np.save("complex.npy", np.eye(2) * 1j)
    (tmp_path / "words.csv").write_text("a,b\n1,2\n")
    (tmp_path / "x.parquet").write_text("")
    out = run("kernel", "tanh", *options)
    assert out.exit_code == 2
    assert words in out.stderr
