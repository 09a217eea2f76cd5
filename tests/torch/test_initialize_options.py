"""What may be asked of `initialize_`: laws, exceptions, dry runs; what happens when it fails."""

import copy
import math

import pytest

torch = pytest.importorskip("torch")

from chione.torch import initialize_  # noqa: E402 - needs torch

nn = torch.nn


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(30, 200), nn.ReLU(), nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 7)
    )


X = torch.randn(40, 30, generator=seeded(9))


def values(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(model, before):
    return all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# ---- laws -------------------------------------------------------------------------------------

# Kurtosis E x^4 / (E x^2)^2 of each law; truncated at 2: by integration of the density.
CUT = torch.linspace(-2, 2, 400_001, dtype=torch.float64)
DENSITY = torch.exp(-(CUT**2) / 2) / torch.exp(-(CUT**2) / 2).sum()
CUT_VARIANCE = float((DENSITY * CUT**2).sum())
KURTOSIS = {
    "normal": 3.0,
    "gaussian": 3.0,
    "uniform": 1.8,
    "truncated": float((DENSITY * CUT**4).sum()) / CUT_VARIANCE**2,
}


@pytest.mark.parametrize("law", KURTOSIS)
@pytest.mark.parametrize("option", ["distribution", "weights"])
def test_every_law_has_the_planned_variance_and_its_own_shape(law, option):
    model = network()
    done = initialize_(model, generator=seeded(2), **{option: law})
    w = model[2].weight.detach().double().flatten()
    n = w.numel()
    variance, kurtosis = float(w.square().mean()), KURTOSIS[law]
    assert variance * 200 == pytest.approx(2.0, rel=4 * math.sqrt((kurtosis - 1) / n))
    found = float((w**4).mean()) / variance**2
    assert abs(found - kurtosis) < 4 * math.sqrt(100.0 / n)
    if law == "truncated":
        assert float(w.abs().max()) <= 2.0 * math.sqrt(2 / 200 / CUT_VARIANCE) * (1 + 1e-6)
    assert done.changes[1].std == pytest.approx(math.sqrt(2 / 200), rel=1e-9)
    assert done.changes[1].law == law.replace("gaussian", "normal")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_has_the_tails_of_the_normal_law(dtype):
    model = nn.Sequential(nn.Linear(700, 900), nn.ReLU(), nn.Linear(900, 700)).to(dtype)
    initialize_(model, generator=seeded())
    w = model[0].weight.detach().double()
    w = w / w.std()
    # Of 630,000 entries 40 lie beyond 4 standard deviations.
    assert 15 < int((w.abs() > 4).sum()) < 75
    assert float(w.square().mean() ** 2 * 3) == pytest.approx(float((w**4).mean()), rel=0.02)


# ---- exceptions -------------------------------------------------------------------------------


def test_names_patterns_and_modules_can_be_excluded():
    for exclude in ("2.weight", ["2"], "2.*"):
        model = network()
        before = values(model)
        done = initialize_(model, X, exclude=exclude, generator=seeded())
        assert torch.equal(model[2].weight, before["2.weight"])
        assert dict(done.left)["2.weight"] == "excluded, as asked"
        assert not torch.equal(model[0].weight, before["0.weight"])
    model = network()
    before = values(model)
    initialize_(model, X, exclude=[model[2], "0.bias"], generator=seeded())
    assert torch.equal(model[2].weight, before["2.weight"])
    assert torch.equal(model[0].bias, before["0.bias"])


def test_overrides_are_kept_to_the_letter_and_the_batch_corrects_nothing_of_them():
    model = network()
    overrides = {"0.*": 3.0, "2.weight": "uniform(0.25)", "4.weight": nn.init.zeros_}
    done = initialize_(
        model,
        X,
        overrides={"0.weight": 3.0, **{k: v for k, v in overrides.items() if k != "0.*"}},
        generator=seeded(),
    )
    w = model[0].weight.detach()
    assert float(w.square().mean().sqrt()) * math.sqrt(30) == pytest.approx(3.0, rel=0.03)
    assert float(model[2].weight.detach().abs().max()) == pytest.approx(0.25, rel=1e-3)
    assert not model[4].weight.any()
    assert [c.reason for c in done.changes] == ["as asked"] * 3
    assert all(c.factor == 1.0 for c in done.changes)
    before = values(network())
    model = network()
    done = initialize_(model, X, overrides={"2.weight": "keep"}, generator=seeded())
    assert torch.equal(model[2].weight, before["2.weight"])
    assert dict(done.left)["2.weight"] == "kept, as asked"


def test_patterns_that_fit_nothing_and_laws_that_do_not_exist_are_refused():
    model = network()
    with pytest.raises(ValueError, match=r"exclude: the pattern 'nothing' fits no parameter"):
        initialize_(model, exclude="nothing")
    with pytest.raises(ValueError, match=r"exclude names a Linear that is not in the model"):
        initialize_(model, exclude=nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"an override must be .*'normal\(std\)'.*but it is 'he'"):
        initialize_(model, overrides={"0.weight": "he"})
    with pytest.raises(ValueError, match="sigma_w of an override must be zero or above"):
        initialize_(model, overrides={"0.weight": -1.0})
    with pytest.raises(TypeError, match="an override must be a number"):
        initialize_(model, overrides={"0.weight": None})
    with pytest.raises(TypeError, match="overrides must be a mapping"):
        initialize_(model, overrides=["0.weight"])
    with pytest.raises(ValueError, match="distribution must be one of"):
        initialize_(model, distribution="cauchy")


# ---- plans that are not written ---------------------------------------------------------------


def test_a_dry_run_gives_the_plan_and_changes_nothing_at_all():
    model, generator = network(), seeded(4)
    before, state, world = values(model), generator.get_state(), torch.get_rng_state()
    plan = initialize_(model, X, dry_run=True, generator=generator)
    assert same(model, before)
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.get_rng_state(), world)
    assert not plan.written
    assert str(plan).startswith("Nothing was written")
    done = initialize_(model, X, generator=generator)
    assert done.written
    assert done.changes == plan.changes
    torch.manual_seed(3)
    initialize_(model, X, dry_run=True)
    ahead = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(ahead, torch.rand(1))


def test_a_plan_that_is_worse_than_what_is_there_is_not_written():
    model = network()
    initialize_(model, X, generator=seeded())
    before = values(model)
    done = initialize_(model, X, overrides={"2.weight": 1e-20}, generator=seeded())
    assert not done.written
    assert same(model, before)
    assert "The model was left as it was" in done.note
    assert done.verdict.trains == "no"


class Falls(nn.Module):
    """Breaks at the third run."""

    def __init__(self, error):
        super().__init__()
        self.layer, self.norm, self.error = nn.Linear(30, 20), nn.BatchNorm1d(20), error
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        x = self.norm(torch.tanh(self.layer(x))) + torch.rand(1)
        if self.runs == 3:
            raise self.error
        return x


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_an_exception_at_any_point_leaves_the_model_and_all_randomness_as_they_were(error):
    torch.manual_seed(0)
    model, generator = Falls(error), seeded(4)
    model.layer.bias.requires_grad_(False)
    before, state, world = values(model), generator.get_state(), torch.get_rng_state()
    with pytest.raises((ValueError, RuntimeError, KeyboardInterrupt)):
        initialize_(model, X, generator=generator)
    assert model.runs == 3
    assert same(model, before)
    assert model.training
    assert not model.layer.bias.requires_grad
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.get_rng_state(), world)
    assert not model.layer._forward_hooks


# ---- parameters that are not here -------------------------------------------------------------


class DTensor(torch.Tensor):
    """Has the name of a shard."""


def test_parameters_on_the_meta_device_and_shards_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="is on the meta device and has no values"):
        initialize_(nn.Linear(3, 4, device="meta"))
    model = nn.Linear(3, 4)
    model.weight = nn.Parameter(model.weight.detach().as_subclass(DTensor))
    with pytest.raises(ValueError, match="is a DTensor, of which this process holds a part only"):
        initialize_(model)


# ---- the report -------------------------------------------------------------------------------


def test_the_report_ends_with_the_verdict_and_is_plain_data():
    done = initialize_(network(), X, generator=seeded())
    assert str(done).splitlines()[-1].startswith("Trainable")
    data = done.to_dict()
    assert data["verdict"]["trains"] == "yes"
    assert data["changes"][0]["law"] == "normal"
    assert data["loss_above_guess"] < 0.05 * math.log(7)
    without = initialize_(network(), generator=seeded())
    assert without.verdict is None
    assert without.to_dict()["loss_above_guess"] is None


def test_one_seed_gives_one_network_for_every_law():
    for law in ("normal", "truncated", "uniform", "orthogonal"):
        a, b = network(), network()
        world = torch.get_rng_state()
        initialize_(a, X, distribution=law, generator=seeded(5))
        initialize_(b, X, distribution=law, generator=seeded(5))
        assert same(a, values(b))
        assert torch.equal(torch.get_rng_state(), world)
    assert copy.deepcopy(a)[0].weight.shape == (200, 30)
