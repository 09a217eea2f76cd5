"""Matrix-free Jacobian spectra against the matrix, exact laws and the theory."""

import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.base import Status, UnsupportedModuleError  # noqa: E402
from chione.torch import jacobian_spectrum, normal_, orthogonal_  # noqa: E402 - needs torch
from chione.torch.spectra.jacobian import jacobian_operator  # noqa: E402

nn = torch.nn


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(activation=nn.Tanh, sizes=(30, 50, 40, 20), sigma_w=1.5):
    layers = []
    for i, (n, m) in enumerate(pairwise(sizes)):
        layer = nn.Linear(n, m).double()
        normal_(layer.weight, sigma_w, generator=seeded(i))
        layers += [layer, activation()]
    return nn.Sequential(*layers)


def inputs(n=30, seed=9):
    return torch.randn(1, n, generator=seeded(seed), dtype=torch.float64)


def matrix(model, x):
    """The Jacobian by torch's own function, which shares nothing with ours."""
    return torch.autograd.functional.jacobian(model, x).reshape(-1, x.numel())


def test_products_with_the_operator_are_those_with_the_matrix():
    model, x = network(), inputs()
    exact = matrix(model, x)
    u, v = torch.randn(30, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    with jacobian_operator(model, x) as operator:
        assert torch.allclose(operator.forward(u), exact @ u, atol=1e-13)
        assert torch.allclose(operator.transposed(v), exact.T @ v, atol=1e-13)
        assert operator.products == 2


@pytest.mark.parametrize("sizes", [(30, 50, 40, 20), (20, 60, 45)])
def test_the_dense_spectrum_is_that_of_the_matrix_within_its_error(sizes):
    model, x = network(sizes=sizes), inputs(sizes[0])
    found = jacobian_spectrum(model, x)
    exact = matrix(model, x)
    s = torch.linalg.svdvals(exact)
    assert (found.outputs, found.inputs) == (sizes[-1], sizes[0])
    assert abs(found.largest.value - float(s[0])) <= found.largest.error
    assert abs(found.smallest.value - float(s[-1])) <= found.smallest.error
    for k in range(1, 5):
        moment = float((s ** (2 * k)).sum()) / sizes[-1]
        assert abs(found.moments.value[k - 1] - moment) <= found.moments.error[k - 1]
        assert found.moments.error[k - 1] <= 1e-11 * moment


@pytest.mark.parametrize("sizes", [(30, 50, 40, 20), (20, 60, 45)])
def test_exhausted_lanczos_is_exact_at_both_ends(sizes):
    model, x = network(sizes=sizes), inputs(sizes[0])
    s = torch.linalg.svdvals(matrix(model, x))
    found = jacobian_spectrum(model, x, method="lanczos", steps=80, probes=3)
    for estimate, exact in ((found.largest, s[0]), (found.smallest, s[-1])):
        assert estimate.status == Status.OK
        assert abs(estimate.value - float(exact)) <= estimate.error
        assert estimate.error < 1e-9


def test_few_steps_find_the_largest_singular_value_within_their_residual():
    model, x = network(sizes=(200, 260, 300)), inputs(200)
    s = torch.linalg.svdvals(matrix(model, x))
    found = jacobian_spectrum(model, x, method="lanczos", steps=30, probes=2)
    assert found.largest.status == Status.OK
    assert abs(found.largest.value - float(s[0])) <= found.largest.error
    assert found.smallest.status == Status.INEXACT
    assert found.smallest.value >= float(s[-1])
    assert found.products <= 2 * 2 * 30


@pytest.mark.slow
def test_stochastic_moments_cover_the_exact_ones_at_the_stated_rate():
    model, x = network(sizes=(60, 80, 70)), inputs(60)
    s = torch.linalg.svdvals(matrix(model, x))
    exact = np.array([float((s ** (2 * k)).sum()) / 70 for k in (1, 2, 3, 4)])
    inside = total = 0
    for seed in range(25):
        found = jacobian_spectrum(model, x, method="lanczos", steps=12, probes=6, seed=seed)
        inside += int(np.sum(np.abs(found.moments.value - exact) <= found.moments.error))
        total += 4
        # 2 * 12 - 1 moments of each probe are exact, so two probes more do not bias them
    assert inside >= 0.93 * total  # 99 % intervals; the four moments go together


def test_moments_and_distribution_of_an_isometry_are_exact():
    layer = nn.Linear(40, 40, bias=False).double()
    orthogonal_(layer.weight, 1.3, generator=seeded())
    found = jacobian_spectrum(layer, inputs(40), method="lanczos", steps=5, probes=3)
    assert found.moments.value == pytest.approx([1.69, 1.69**2, 1.69**3, 1.69**4], rel=1e-12)
    assert found.cdf(1.68).value == pytest.approx(0.0, abs=1e-12)
    assert found.cdf(1.70).value == pytest.approx(1.0)
    assert found.largest.value == pytest.approx(1.3, rel=1e-12)


def test_the_distribution_function_matches_the_eigenvalues_within_its_error():
    model, x = network(sizes=(150, 200, 180)), inputs(150)
    eigenvalues = np.zeros(180)
    eigenvalues[:150] = torch.linalg.svdvals(matrix(model, x)).numpy() ** 2
    points = np.quantile(eigenvalues[:150], [0.1, 0.3, 0.5, 0.7, 0.9])
    exact = np.array([np.mean(eigenvalues <= p) for p in points])
    found = jacobian_spectrum(model, x, method="lanczos", steps=50, probes=10).cdf(points)
    assert np.all(np.abs(found.value - exact) <= found.error)
    dense = jacobian_spectrum(model, x, method="dense")
    assert np.all(np.abs(dense.cdf(points).value - exact) <= dense.cdf(points).error)
    # Not up to the largest itself: by the last digit it may lie beyond where it was found to be.
    edges = np.linspace(0.0, 1.001 * eigenvalues.max(), 9)
    density = dense.histogram(edges)
    counts = np.histogram(eigenvalues[eigenvalues > 0], edges)[0]
    assert density.value == pytest.approx(counts / 180 / np.diff(edges), abs=1e-9)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Hardtanh])
def test_the_law_of_a_wide_network_is_that_of_the_theory(activation, weights):
    torch.manual_seed(0)
    width, depth, layers = 300, 3, []
    for i in range(depth):
        layer = nn.Linear(width, width, bias=False).double()
        fill = orthogonal_ if weights == "orthogonal" else normal_
        fill(layer.weight, 1.5, generator=seeded(i))
        layers += [layer, activation()]
    model = nn.Sequential(*layers)
    found = jacobian_spectrum(model, 0.8 * inputs(width))
    assert found.theory is not None, found.note
    assert found.theory.weights == weights
    for p in (0.75, 0.9, 0.97):
        at = float(found.theory.quantile(p).value)
        # fluctuations of a count of 300 are below 1 / width in rigid spectra; q adds its own
        assert abs(float(found.cdf(at).value) - p) < 0.04


def test_theory_is_withheld_with_the_reason_where_it_does_not_apply():
    x = inputs(30)
    assert "no chain" in jacobian_spectrum(nn.Linear(30, 8).double(), x).note
    mixed = nn.Sequential(nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 30), nn.ReLU()).double()
    assert "activations differ" in jacobian_spectrum(mixed, x).note
    fading = network(sizes=(30, 30, 30, 30), sigma_w=0.3)
    assert "not stationary" in jacobian_spectrum(fading, x).note


def test_convolutions_attention_and_normalisations_have_jacobians_too():
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(4, 8, 3, padding=1)
            self.attend = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

        def forward(self, x):
            return self.attend(self.conv(x).transpose(1, 2))

    torch.manual_seed(1)
    model, x = Small().double(), torch.randn(1, 4, 6).double()
    s = torch.linalg.svdvals(matrix(model, x))
    found = jacobian_spectrum(model, x, method="lanczos", steps=60, probes=2)
    assert abs(found.largest.value - float(s[0])) <= found.largest.error
    model.eval()
    s = torch.linalg.svdvals(matrix(model, x))
    assert abs(jacobian_spectrum(model, x).largest.value - float(s[0])) < 1e-10


def test_float32_models_say_how_much_they_lose():
    model, x = network(), inputs()
    exact = float(torch.linalg.svdvals(matrix(model, x))[0])
    for method in ("dense", "lanczos"):
        found = jacobian_spectrum(model.float(), x.float(), method=method)
        assert abs(found.largest.value - exact) <= found.largest.error < 1e-4
    model.double()


def test_the_model_is_untouched_and_the_seed_decides():
    model, x = network(), inputs()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = torch.get_rng_state()
    a, b = (jacobian_spectrum(model, x, method="lanczos", probes=2, steps=4) for _ in range(2))
    assert a.to_dict() == b.to_dict()
    assert torch.equal(model[0].weight.grad, torch.ones(50, 30))
    assert model[0].weight.requires_grad
    assert torch.equal(before, torch.get_rng_state())


def test_bad_input_is_refused():
    model = network()
    with pytest.raises(ValueError, match="rejects the batch in layer '0'"):
        jacobian_spectrum(model, torch.ones(1, 30, dtype=torch.int64))
    with pytest.raises(ValueError, match="method must be one of auto, dense, stabilised, lanczos"):
        jacobian_spectrum(model, inputs(), method="svd")
    with pytest.raises(ValueError, match=r"at most 2 \* steps - 1 = 3"):
        jacobian_spectrum(model, inputs(), method="lanczos", steps=2, moments=4)
    with pytest.raises(ValueError, match="rejects the batch in layer '0'"):
        jacobian_spectrum(model, inputs(7))

    class Cut(nn.Linear):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ValueError, match="does not depend on the input"):
        jacobian_spectrum(Cut(4, 3), torch.randn(1, 4))


def test_an_operation_without_second_derivative_is_named_and_dense_still_works():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    class Square(nn.Linear):
        def forward(self, x):
            return Once.apply(super().forward(x))

    model, x = Square(5, 4).double(), torch.randn(1, 5).double()
    with pytest.raises(UnsupportedModuleError, match="use method='dense'"):
        jacobian_spectrum(model, x, method="lanczos")
    exact = (
        2
        * model(x).detach().sqrt().abs().squeeze()
        * torch.sign(nn.functional.linear(x, model.weight, model.bias).detach().squeeze())
    )
    s = torch.linalg.svdvals(exact[:, None] * model.weight.detach())
    assert jacobian_spectrum(model, x, method="dense").largest.value == pytest.approx(float(s[0]))


def test_the_spectrum_is_drawn_and_turned_into_plain_data(tmp_path):
    found = jacobian_spectrum(network(sizes=(30, 30, 30)), inputs())
    found.plot(str(tmp_path / "spectrum.png"))
    assert (tmp_path / "spectrum.png").stat().st_size > 5000
    plain = found.to_dict()
    assert plain["largest"]["status"] == "ok"
    assert math.isfinite(plain["moments"]["value"][0])
