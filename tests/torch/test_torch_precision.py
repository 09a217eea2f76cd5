"""`precision`: measured shares against models that run in the format, theory against networks.

Ladder: really running the cast model; finite networks of several seeds and kinds (the stated error
holds the true one); training that does or does not lose its updates.
"""

import functools
import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")

from test_torch_state import assert_same, prepared, snapshot  # noqa: E402

from chione.base import SpecError  # noqa: E402 - needs torch
from chione.theory import finite_width  # noqa: E402
from chione.torch import precision  # noqa: E402
from chione.torch.formats.laws import Laws  # noqa: E402
from chione.torch.formats.observe import observe  # noqa: E402

nn, F = torch.nn, torch.nn.functional


def mlp(activation, depth=6, n=128, gain=None):
    layers = []
    for _ in range(depth):
        linear = nn.Linear(n, n)
        if gain is not None:
            nn.init.normal_(linear.weight, std=gain / math.sqrt(n))
            nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(n, 10))


class Residual(nn.Module):
    """Pre-norm blocks, functions instead of modules."""

    def __init__(self, n=96, depth=3):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(n) for _ in range(depth))
        self.up = nn.ModuleList(nn.Linear(n, 2 * n) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(2 * n, n) for _ in range(depth))
        self.head = nn.Linear(n, 10)

    def forward(self, x):
        for norm, up, down in zip(self.norms, self.up, self.down, strict=True):
            x = x + down(F.gelu(up(norm(x))))
        return self.head(x)


class Images(nn.Module):
    """Convolutions and a mean over positions."""

    def __init__(self):
        super().__init__()
        sizes = (3, 48, 48, 48)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.head(x.mean((2, 3)))


CASES = {
    "relu": (lambda: mlp(nn.ReLU, gain=math.sqrt(2.0)), (128,)),
    "tanh": (lambda: mlp(nn.Tanh, gain=1.2), (128,)),
    "default": (lambda: mlp(nn.ReLU), (128,)),
    "large": (lambda: mlp(nn.SiLU, depth=3, gain=20.0), (128,)),
    "residual": (Residual, (96,)),
    "images": (Images, (3, 10, 10)),
}
LABELS = torch.arange(32) % 10
FEW = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))


def loss(out):
    return 1e-3 * F.cross_entropy(out.float(), LABELS)


def made(name, seed):
    torch.manual_seed(seed)
    make, shape = CASES[name]
    return make(), torch.randn(32, *shape)


@functools.cache
def of(name, seed=0):
    """The report on one case, made once."""
    return precision(*made(name, seed), loss)


@pytest.mark.parametrize(
    "name",
    [n if n in ("tanh", "large") else pytest.param(n, marks=pytest.mark.slow) for n in CASES],
)
def test_the_stated_error_of_theory_holds_the_true_one(name):
    checked, tight = 0, []
    for seed in (0, 1):
        for t in of(name, seed).tensors:
            for f in t.formats:
                for what in ("underflow", "subnormal", "overflow"):
                    expected = getattr(f, f"expected_{what}")
                    found, error = getattr(f, what), getattr(f, f"{what}_error")
                    if math.isnan(expected):
                        continue
                    assert abs(found - expected) <= error + 1e-15, (t.name, t.what, f.format, what)
                    checked += 1
                    if 0.05 < expected < 0.95:
                        tight.append(error / min(expected, 1.0 - expected))
    assert checked > 200
    assert np.median(tight) < 3.0  # an error that says something


def test_theory_has_a_law_for_each_layer_of_a_plain_network():
    found = of("tanh")
    without = [
        (t.name, t.what)
        for t in found.tensors
        if t.what in ("activation", "gradient") and math.isnan(t.formats[0].expected_underflow)
    ]
    assert without == [("12", "gradient")]  # the output, whose gradient the loss makes


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_fluctuation_of_a_length_is_that_of_the_finite_width_theory(name):
    phi, gain = (nn.ReLU, math.sqrt(2.0)) if name == "relu" else (nn.Tanh, 1.2)
    torch.manual_seed(0)
    net = mlp(phi, depth=8, n=128, gain=gain).double()
    x = torch.randn(4, 128, dtype=torch.float64)
    x /= x.square().mean(dim=1, keepdim=True).sqrt()
    seen = observe(net, x, None, [], torch.Generator().manual_seed(0))
    laws = Laws(seen)
    rows = [n for n in seen.graph.rows() if n.is_affine][:8]
    measured = np.array([laws._forward[n.index] for n in rows])
    exact = finite_width(name, sigma_w=gain, depth=8, q0=1.0).relative_vertex / 128
    # sigma_w of one draw of weights is 1 % off, and so are chi and the kurtosis of tanh
    np.testing.assert_allclose(measured, exact, rtol=0.05, atol=1e-6)


# ---- the model in the format --------------------------------------------------------------------


def gradients_in(net, x, dtype, scale=1.0):
    """Gradients of the weights of a copy that runs in the format, before they are unscaled."""
    cast = mlp(nn.ReLU)
    cast.load_state_dict(net.state_dict())
    cast = cast.to(dtype)
    out = cast(x.to(dtype))
    (F.cross_entropy(out.float(), LABELS) * 1e-3 * scale).backward()
    return {n: p.grad for n, p in cast.named_parameters()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_shares_are_those_of_gradients_in_a_model_that_runs_in_the_format(dtype):
    net, x = made("default", 3)
    # at 4 to 8 %: where half is lost, rounding of the gradients behind moves the rest by 17 %
    found = precision(net, x, lambda out: 10.0 * loss(out))
    form = str(dtype).removeprefix("torch.")
    got = gradients_in(net, x, dtype, 10.0)
    compared = 0
    for name, p in net.named_parameters():
        if p.dim() < 2:
            continue
        t = found.tensor(name, "weight gradient")
        lost = float((got[name] == 0).double().mean()) - t.zeros
        share = t[form].underflow * (1.0 - t.zeros)
        assert lost == pytest.approx(share, rel=0.05, abs=2e-3), name
        compared += 1
        if dtype == torch.float16:
            tiny = (got[name].abs() < 2.0**-14) & (got[name] != 0)
            expected = t[form].subnormal * (1.0 - t.zeros)
            assert float(tiny.double().mean()) == pytest.approx(expected, abs=0.02), name
    assert compared == 7
    some = found.tensor("0.weight", "weight gradient")[form].underflow
    assert (some > 0.03) == (dtype == torch.float16)


def test_the_loss_scale_that_is_advised_keeps_the_gradients_of_the_cast_model():
    net, x = made("default", 3)
    verdict = precision(net, x, loss, formats=("float16",)).verdict("float16")
    assert verdict.answer == "with a loss scale"
    assert verdict.lowest_scale <= verdict.loss_scale <= verdict.highest_scale
    for scale in (verdict.lowest_scale, verdict.loss_scale, verdict.highest_scale):
        got = gradients_in(net, x, torch.float16, scale)
        exact = gradients_in(net, x, torch.float64, scale)
        for name, g in got.items():
            assert torch.isfinite(g).all()
            told = exact[name] != 0
            assert float((g[told] == 0).double().mean()) <= 4e-3, (scale, name)
    below = gradients_in(net, x, torch.float16, verdict.lowest_scale / 64)
    assert max(float((g == 0).double().mean()) for n, g in below.items() if "w" in n) > 0.05
    beyond = gradients_in(net, x, torch.float16, verdict.highest_scale * 8)
    assert not all(torch.isfinite(g).all() for g in beyond.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_shares_of_activations_are_those_under_autocast(dtype):
    torch.manual_seed(1)
    net = mlp(nn.GELU, depth=3)
    with torch.no_grad():
        net[0].weight.mul_(3e-4)  # signals near the smallest numbers of float16
        net[0].bias.zero_()
    x = torch.randn(32, 128)
    seen = {}
    handles = [
        m.register_forward_hook(lambda m, a, y, k=k: seen.__setitem__(str(k), y.detach()))
        for k, m in enumerate(net)
    ]
    with torch.autocast("cpu", dtype=dtype):
        net(x)
    for h in handles:
        h.remove()
    found = precision(net, x)
    form = str(dtype).removeprefix("torch.")
    for k in range(7):
        t = next(t for t in found.tensors if t.what == "activation" and t.name.split(" ")[0] ==
                 str(k if k % 2 == 0 else k - 1) and (">" in t.name) == (k % 2 == 1))  # fmt: skip
        y = seen[str(k)].double().abs()
        tiny = torch.finfo(dtype).smallest_normal
        small = float(((y > 0) & (y < tiny)).double().mean())
        assert small == pytest.approx(t[form].subnormal * (1 - t.zeros), abs=0.01), k
        assert float((y == 0).double().mean()) == pytest.approx(t[form].underflow, abs=0.005), k
    assert found.tensor("0", "activation")["float16"].subnormal > 0.2


def test_activations_that_are_too_large_are_told_with_the_first_layer():
    torch.manual_seed(0)
    net = mlp(nn.ReLU, depth=4, gain=80.0)
    x = torch.randn(16, 128)
    found = precision(net, x, formats=("float16", "bfloat16"))
    verdict = found.verdict("float16")
    assert verdict.answer == "no" and verdict.what == "activation"
    y, layer = x.half(), None
    for k, m in enumerate(net.half()):
        y = m(y)
        if layer is None and not torch.isfinite(y).all():
            layer = str(k)
    assert verdict.layer == layer
    assert "overflow to infinity" in verdict.sentence
    assert found.verdict("bfloat16").answer == "fits"


def test_a_format_that_fits_needs_no_loss_scale():
    verdict = of("tanh").verdict("bfloat16")
    assert (verdict.answer, verdict.loss_scale, verdict.layer) == ("fits", 1.0, None)


def test_inputs_that_are_too_large_for_a_format_are_the_first_trouble():
    net, x = made("tanh", 0)
    verdict = precision(net, 1e6 * x, formats=("float16",)).verdict("float16")
    assert (verdict.layer, verdict.what) == ("input", "input")


def test_float8_needs_a_scale_for_each_tensor():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 10))
    found = precision(net, torch.randn(32, 128), lambda y: F.cross_entropy(y, LABELS))
    verdict = found.verdict("float8_e4m3fn")
    assert verdict.answer == "with tensor scales"
    # scaling each weight into the middle of the range loses no more than the tolerance
    w = net[0].weight.detach()
    lost = [float(((w * 2.0**k).to(torch.float8_e4m3fn).float() == 0).float().mean())
            for k in (0, 8)]  # fmt: skip
    assert lost[0] > 0.01 and lost[1] <= 1e-3


# ---- Adam's epsilon -----------------------------------------------------------------------------


def digits_loss(scale, eps, steps=150):
    """Loss on the digits after Adam on a loss that was multiplied by a small number."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor((x - x.mean()) / x.std()).float()[:512], torch.tensor(y)[:512]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=eps)
    found = precision(net, x, lambda out: scale * F.cross_entropy(out, y), optimizer=optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        (scale * F.cross_entropy(net(x), y)).backward()
        optimizer.step()
    return found.adam, F.cross_entropy(net(x), y).item()


def test_an_epsilon_above_the_gradients_is_told_and_that_advised_trains():
    healthy, best = digits_loss(1.0, 1e-8)
    assert healthy.below < 0.01 and "below nearly all gradients" in healthy.sentence
    told, stuck = digits_loss(1e-8, 1e-8)
    assert told.below > 0.99 and "use eps = " in told.sentence
    assert stuck > 3.0 * best
    advised, trained = digits_loss(1e-8, told.advised)
    assert trained < 1.1 * best + 0.02 and advised.below < 0.03


def test_shares_below_epsilon_are_those_of_the_gradients():
    net, x = made("default", 0)
    optimizer = torch.optim.AdamW(net.parameters(), eps=3e-9)
    found = precision(net, x, loss, optimizer=optimizer).adam
    loss(net(x)).backward()
    g = torch.cat([p.grad.reshape(-1) for p in net.parameters()]).abs()
    g = g[g > 0]
    assert found.epsilon == 3e-9
    assert found.below == pytest.approx(float((g < 3e-9).double().mean()), abs=0.01)
    quantiles = [
        float(p.grad.abs()[p.grad != 0].quantile(0.01)) for p in net.parameters() if p.dim() > 1
    ]
    assert found.advised <= min(quantiles) < 100.0 * found.advised


def test_moments_that_are_zero_in_half_precision_are_told():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)).half()
    x = torch.randn(32, 64).half()
    found = precision(net, x, lambda y: F.cross_entropy(y.float(), LABELS)).adam
    assert found.stored == 0.0 and "divides by zero" in found.sentence
    F.cross_entropy(net(x).float(), LABELS).backward()
    g = torch.cat([p.grad.reshape(-1) for p in net.parameters()])
    told = g[g != 0].float()
    lost = float((((told.double() ** 2) * 1e-3).half() == 0).double().mean())
    assert found.lost == pytest.approx(lost, abs=0.03)


# ---- what it takes and leaves -------------------------------------------------------------------


def test_everything_is_as_before():
    model = prepared(False)
    before = snapshot(model)
    precision(model, FEW, lambda y: y.square().mean())
    assert_same(before, snapshot(model))


def test_everything_is_as_before_after_an_exception_in_the_model():
    model = prepared(True)
    before = snapshot(model)
    with pytest.raises(ValueError, match="rejects the batch in layer 'last'"):
        precision(model, FEW, lambda y: y.square().mean())
    assert_same(before, snapshot(model))


def test_everything_is_as_before_after_an_exception_in_the_loss():
    model = prepared(False)
    before = snapshot(model)

    def broken(out):
        raise RuntimeError("no labels")

    with pytest.raises(RuntimeError, match="no labels"):
        precision(model, FEW, broken)
    assert_same(before, snapshot(model))


def test_without_a_loss_gradients_are_left_out_and_said_so():
    found = precision(*made("tanh", 0))
    assert {t.what for t in found.tensors} == {"input", "activation", "weight"}
    assert found.adam is None and "pass loss=" in found.notes[0]
    assert "gradients need a loss" in found.verdict("bfloat16").sentence


def test_the_loss_that_a_model_returns_itself_is_taken():
    class WithLoss(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x):
            y = self.layer(x)
            return {"loss": y.square().mean(), "logits": y}

    found = precision(WithLoss(), torch.randn(5, 6))
    assert math.isfinite(found.loss) and found.adam is not None


def test_frozen_parameters_have_no_gradients():
    net, x = made("tanh", 0)
    net[0].weight.requires_grad_(False)
    names = {t.name for t in precision(net, x, loss).tensors if t.what == "weight gradient"}
    assert "0.weight" not in names and "0.bias" in names


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"formats": ("float7",)}, SpecError, "float16, bfloat16"),
        ({"formats": ()}, ValueError, "formats is empty"),
        ({"loss": 3}, TypeError, "loss must be a function"),
        ({"loss": lambda y: y}, ValueError, "loss must return one number"),
        ({"tolerance": -1.0}, ValueError, "tolerance"),
        ({"loss": lambda y: y.sum() * math.inf}, ValueError, "loss must be finite"),
    ],
)
def test_bad_input_gets_one_sentence(change, error, words):
    with pytest.raises(error, match=words):
        precision(*made("tanh", 0), **change)


def test_the_page_names_tensors_and_ends_with_a_sentence_for_each_format():
    found = of("default")
    text = str(found)
    assert "0.weight" in text and "weight gradient" in text
    for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        assert f"\n{name}: " in text
    with pytest.raises(KeyError, match=r"the names are 0\.weight"):
        found.tensor("nowhere", "weight")


@pytest.mark.parametrize("field", [None, "overflow"])
def test_it_draws_itself(field, tmp_path):
    import matplotlib.pyplot as plt

    found = of("tanh")
    figure = found.plot(str(tmp_path / "a.png"), field=field)
    assert (tmp_path / "a.png").stat().st_size > 5000
    plt.close(figure)
