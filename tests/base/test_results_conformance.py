"""Every result class, from a real call: print, compare, pickle, label, save and load."""

import copy
import csv
import dataclasses
import inspect as python_inspect
import json
import pickle
import pkgutil
from collections.abc import Mapping
from importlib import import_module

import numpy as np
import pytest

import chione as ch
from chione import theory
from chione.base import AbstractResult, Estimate, Status, Table
from chione.base.kinds import KINDS, class_of, kind_of
from chione.diagnosis.finite_width import compare_finite_width
from chione.networks import Attention, Dense, Nonlinearity, Norm, Residual, transformer
from chione.simulation.hessian import network_hessian as simulated_hessian
from chione.sweeps.schemes import which_initialisation
from chione.theory.meanfield.correlation_fixed_point import correlation_fixed_point
from chione.theory.spectra.jacobian_isometry import dynamical_isometry
from chione.theory.spectra.jacobian_limits import LimitLaw


def small_network(**changes):
    given = {"activation": ch.activation("tanh"), "sigma_w": 1.5, "sigma_b": 0.1}
    return ch.MLP(**{**given, "depth": 3, "width": 12, **changes})


def torch_mlp(width):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear
    return torch.nn.Sequential(layer(5, width), torch.nn.Tanh(), layer(width, 1))


def torch_rows():
    torch = pytest.importorskip("torch")
    return torch.linspace(-1.0, 1.0, 20).reshape(4, 5)


def odd_model():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(16, 16) for _ in range(4)))
    torch.nn.init.zeros_(model[1].weight)
    return model


def torch_model():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer, tanh = torch.nn.Linear, torch.nn.Tanh
    model = torch.nn.Sequential(layer(5, 8), tanh(), layer(8, 8), tanh(), layer(8, 5)).double()
    return model, torch.randn(4, 5, dtype=torch.float64)


def watched():
    torch = pytest.importorskip("torch")
    model, x = torch_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)  # too large, so that it says so
    with ch.torch.Monitor(model, every=1, warn=False) as monitor:
        for _ in range(4):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    return monitor.record


def small_resnet():
    """Twelve blocks without a norm, for which a change can be proposed."""
    return ch.networks.resnet(ch.activation("relu"), depth=12, width=8)


def network_hessian():
    rng = np.random.default_rng(0)
    w1, w2, x, y = (rng.standard_normal(s) for s in ((4, 3), (2, 4), (6, 3), (6, 2)))
    return simulated_hessian(ch.activation("tanh"), w1, w2, x, y)


CALLS = {
    "mean_field": lambda: ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1),
    "no fixed point": lambda: ch.mean_field("relu", sigma_w=1.7, sigma_b=0.1),
    "power laws": lambda: ch.mean_field("tanh", sigma_w=1.0),
    "own formula": lambda: ch.mean_field("x*tanh(softplus(x))", sigma_w=1.2, sigma_b=0.1),
    "affine": lambda: ch.mean_field(
        ch.activations.Affine(ch.activation("gelu"), 1.3, 0.1, -0.2), sigma_w=1.0, sigma_b=0.3
    ),
    "a block": lambda: theory.block_phase([Dense(1.3, 0.3), Nonlinearity("tanh")]),
    "a residual block": lambda: theory.block_phase(
        [Residual([Norm("layer"), Dense(1.2), Nonlinearity("relu"), Dense(1.0)])]
    ),
    "branch_scale": lambda: theory.branch_scale(
        [Residual([Nonlinearity("gelu"), Dense(1.2)])], depth=12
    ),
    "fixed_points": lambda: ch.fixed_points("tanh", sigma_w=1.5, sigma_b=0.1),
    "phase_diagram": lambda: ch.phase_diagram(
        "tanh", sigma_w=np.linspace(0.5, 3.0, 6), sigma_b=np.linspace(0.0, 0.4, 5)
    ),
    "critical_line": lambda: ch.critical_line("tanh"),
    "trajectory": lambda: ch.trajectory("tanh", sigma_w=1.5, sigma_b=0.1, depth=12),
    "criticality": lambda: ch.criticality("gelu"),
    "criticality at zero": lambda: ch.criticality("tanh"),
    "large_depth": lambda: ch.large_depth("tanh")[0],
    "deep run": lambda: theory.iterate_lengths("tanh", sigma_w=1.0, depth=100),
    "finite_width": lambda: ch.finite_width("tanh", sigma_w=1.0, depth=4),
    "trust": lambda: theory.trust("tanh", sigma_w=1.0, width=64, depth=4),
    "metric": lambda: theory.metric_covariance("relu", sigma_w=1.4, depth=2),
    "backward": lambda: ch.backward(small_network()),
    "tradeoff": lambda: theory.tradeoff("tanh"),
    "settling": lambda: ch.settling("tanh", 1.5, 0.1),
    "settling of no length": lambda: ch.settling("relu", 1.6, 0.1),
    "kernel_layers": lambda: theory.kernel_layers(small_network()),
    "kernel_matrix": lambda: ch.kernel_matrix(small_network(), np.eye(3, 5), np.eye(2, 5) + 0.5),
    "gain": lambda: ch.gain("gelu"),
    "affine solution": lambda: theory.critical_affine("gelu")[0],
    "norm_stability": lambda: ch.norm_stability("selu"),
    "norm_map": lambda: theory.norm_map("selu", np.linspace(-1.0, 1.0, 5), 1.0),
    "basins": lambda: theory.basins(
        "selu", means=np.linspace(-0.5, 0.5, 3), variances=np.linspace(0.5, 1.5, 2), n_steps=50
    ),
    "jacobian": lambda: ch.jacobian_spectrum("tanh", sigma_w=1.2, sigma_b=0.1, depth=4),
    "jacobian curve": lambda: ch.jacobian_spectrum("relu", sigma_w=1.4, depth=2).curve(40),
    "isometry": lambda: dynamical_isometry("tanh", depth=8, variance=0.25)[0],
    "limit law": lambda: LimitLaw("smooth", 0.25),
    "edge": lambda: ch.freeprob.edges(ch.freeprob.marchenko_pastur(0.5))[0],
    "outliers": lambda: ch.freeprob.outliers(ch.freeprob.semicircle(), [1.7, 0.4]),
    "measure curve": lambda: (ch.freeprob.marchenko_pastur(3.0) + np.array([0.0, 40.0])).curve(40),
    "universality": lambda: ch.universality_class("relu"),
    "hessian": lambda: ch.hessian_spectrum(ratio=0.5, energy=0.1),
    "hessian curve": lambda: ch.hessian_spectrum(ratio=2.0, energy=0.1, structure="relu").curve(40),
    "index onset": lambda: ch.index_onset(0.5, structure="relu"),
    "correlation point": lambda: correlation_fixed_point(
        ch.activation("tanh"),
        made("fixed_points").points[0].q,
        made("fixed_points").points[0].chi_perp,
        1.5**2,
        chaotic=True,
    ),
    "hermite": lambda: ch.hermite_expansion(np.tanh, 1.0, 8),
    "simulate": lambda: ch.simulate(
        small_network(), n_networks=3, observe=("lengths", "ntk", "preactivation_histogram")
    ),
    "simulate a network": lambda: ch.simulate(small_resnet(), n_networks=3, ntk=True),
    "network_theory": lambda: ch.network_theory(small_resnet()),
    "feature_update": lambda: ch.feature_update(small_network(), learning_rate=0.1),
    "parametrization": lambda: ch.parametrization([0, 0.5, 0.5], [0, 0, 0], 0),
    "transformer_phase": lambda: ch.transformer_phase(
        transformer(2, 16, 2, tokens=3), attention_scale=[0.5, 2.0], residual_scale=[0.3, 1.0]
    ),
    "tokens": lambda: theory.TokenMap(
        [Residual([Norm("rms"), Attention(2)], 0.8, 0.6)]
    ).exponents(),
    "analyze a network": lambda: ch.analyze(small_resnet(), n_networks=2),
    "compare a network": lambda: ch.compare(made("simulate a network")),
    "great_circle": lambda: ch.great_circle(small_network(), n_points=12, n_networks=2),
    "gaussian_limit": lambda: ch.gaussian_limit(
        small_network(),
        np.eye(2, 12),
        kernel=np.eye(2),
        widths=(8, 16),
        n_outputs=4,
        n_networks=40,
    ),
    "simulate_spectrum": lambda: ch.simulate_spectrum(small_network(), n_networks=2),
    "spectrum comparison": lambda: made("simulate_spectrum").compare(
        ch.jacobian_spectrum("tanh", q_star=1.0, depth=small_network().depth)
    ),
    "network_hessian": network_hessian,
    "analyze": lambda: ch.analyze("tanh", sigma_w=1.5, sigma_b=0.1, depth=6, width=16),
    "analyze without networks": lambda: ch.analyze("relu", sigma_w=1.4, depth=5, simulate=False),
    "analyze with picture": lambda: ch.analyze(
        "tanh", sigma_w=1.5, sigma_b=0.1, depth=4, simulate=False, picture=True
    ),
    "picture": lambda: made("analyze with picture").picture,
    "compare": lambda: ch.compare(ch.simulate(small_network(), n_networks=3)),
    "gain_table": lambda: ch.gain_table("tanh"),
    "compare_finite_width": lambda: compare_finite_width(small_network(), n_networks=20),
    "inspect": lambda: ch.torch.inspect(*torch_model()),
    "initialize_": lambda: ch.torch.initialize_(*torch_model()),
    "model jacobian": lambda: ch.torch.jacobian_spectrum(torch_model()[0], torch_model()[1][0]),
    "model parametrization": lambda: ch.torch.parametrization(
        torch_mlp, (8, 16), optimizer=0.1, batch=torch_model()[1].float(), seeds=2
    ),
    "first_step": lambda: ch.torch.first_step(
        torch_mlp(8), torch_rows(), lambda out: out.square().mean(), "sgd", lr=0.1
    ),
    "coord_check": lambda: ch.torch.coord_check(
        torch_mlp, torch_rows(), lambda out: out.square().mean(), 0.1, widths=(4, 8), seeds=2
    ),
    "largest_learning_rate": lambda: ch.torch.largest_learning_rate(
        torch_mlp(8), torch_rows(), lambda out: out.square().mean(), hessian=True, rehearse=2
    ),
    "precision": lambda: ch.torch.precision(*torch_model(), loss=lambda y: y.square().mean()),
    "monitor": watched,
    "audit": lambda: ch.torch.audit(torch_model()[0], {"0.weight": "normal(0, 1)", "1.*": "zeros"}),
    "audit that finds something": lambda: ch.torch.audit(odd_model()),
    "boundary": lambda: ch.boundary(
        "tanh",
        [0.4, 0.55, 0.7, 2.0],
        depth=(1, 16),
        ratio=1.5,
        width=16,
        steps=40,
        batch=16,
        seeds=1,
        rate=[0.05],
        data="synthetic",
    ),
    "depth constant": lambda: made("boundary").constants[0],
    "sweep": lambda: ch.sweep(
        ["tanh", "relu"],
        sigma_w=[0.9, 1.4],
        depth=[2, 4],
        width=8,
        steps=3,
        seeds=2,
        data="synthetic",
        workers=1,
    ),
    "which_initialisation": lambda: which_initialisation(
        ("tanh", "x*sigmoid(x)"),
        depths=(2,),
        schemes=("he", "chione"),
        rates={"adam": (0.01,)},
        optimizers=("adam",),
        n_seeds=2,
        width=6,
        steps=3,
        batch=5,
        data="synthetic",
    ),
    "table": lambda: Table(("a", "b"), ((1.0, "x"), (float("nan"), None))),
}
_MADE: dict = {}


def made(name):
    if name not in _MADE:
        _MADE[name] = CALLS[name]()
    return _MADE[name]


@pytest.fixture(params=CALLS)
def a_result(request):
    return made(request.param)


def inner(x):
    """All results within a result, itself included."""
    if isinstance(x, AbstractResult):
        yield x
        for f in dataclasses.fields(x):
            yield from inner(getattr(x, f.name))
    elif isinstance(x, tuple | list):
        for v in x:
            yield from inner(v)
    elif isinstance(x, Mapping):
        for v in x.values():
            yield from inner(v)


def all_subclasses():
    for module in pkgutil.walk_packages(ch.__path__, "chione."):
        if ".cli" not in module.name and "__main__" not in module.name:
            import_module(module.name)
    return {c for c in AbstractResult.__subclasses__() if c.__module__.split(".", 1)[0] == "chione"}


def test_the_table_of_kinds_is_that_of_all_result_classes():
    pytest.importorskip("torch")
    known = {kind: class_of(kind) for kind in KINDS}
    assert {c for c in known.values() if issubclass(c, AbstractResult)} == all_subclasses()
    for kind, cls in known.items():
        assert kind_of(cls) == kind
        assert KINDS[kind] == cls.__module__


def test_every_result_class_is_made_by_one_of_the_calls_here():
    pytest.importorskip("torch")
    seen = {type(x) for name in CALLS for x in inner(made(name))}
    assert {c.__name__ for c in all_subclasses() - seen} == set()


def test_every_result_class_is_frozen_and_keeps_what_the_base_gives_it():
    for cls in all_subclasses():
        assert cls.__dataclass_params__.frozen, cls
        own = {"__eq__", "__hash__", "save", "to_dict", "to_xarray", "to_pandas"} & set(vars(cls))
        assert not own, (cls, own)


PAGES = ("Analysis", "GainTable")  # their page is the established answer of the prompt


def test_repr_is_short_and_print_shows_a_page(a_result):
    for x in inner(a_result):
        if type(x).__name__ not in PAGES:
            assert len(repr(x)) <= 400, repr(x)
            assert "\n" not in repr(x)
            assert type(x).__name__ in repr(x)
        assert str(x).strip()
        assert len(str(x)) < 20_000


def test_notebooks_get_a_table(a_result):
    html = a_result._repr_html_()
    assert html.count("<table") == html.count("</table>") >= 1
    assert len(html) < 60_000


def test_to_dict_is_strict_json_and_names_its_kind(a_result):
    text = json.dumps(a_result.to_dict(), allow_nan=False)
    assert json.loads(text)["kind"]
    named = type(a_result).__name__
    if "kind" not in {f.name for f in dataclasses.fields(a_result)}:
        assert json.loads(text)["kind"] == named


def test_numbers_beyond_json_become_null_wherever_a_result_holds_them():
    found = ch.norm_stability(lambda x: 1e200 * np.tanh(x))  # slopes that overflow
    assert not all(np.all(np.isfinite(p.jacobian)) for p in found.points)
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_equality_compares_content_and_never_raises(a_result):
    twin = pickle.loads(pickle.dumps(a_result))
    assert twin is not a_result
    assert twin == a_result
    assert hash(twin) == hash(a_result)
    assert a_result != "something else"
    assert a_result not in [None, 1, np.zeros(3)]


@pytest.mark.parametrize("name", CALLS)
def test_another_number_makes_another_result(name):
    a_result = made(name)
    for f in dataclasses.fields(a_result):
        x = getattr(a_result, f.name)
        if isinstance(x, float):
            changed = 2.0 * x + 1.0 if np.isfinite(x) else 7.0
        elif isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size:
            changed = x.copy()
            changed.flat[-1] = 1.5 if changed.flat[-1] != 1.5 else 2.5
        elif isinstance(x, Estimate):
            changed = Estimate(x.value, np.asarray(x.error) + 1.0 if x.shape else 7.0, x.status)
        else:
            continue
        assert dataclasses.replace(a_result, **{f.name: changed}) != a_result, f.name


@pytest.mark.parametrize("ending", [".json", ".npz", ".nc"])
def test_a_saved_result_comes_back_equal_and_prints_the_same(a_result, ending, tmp_path):
    path = a_result.save(tmp_path / f"result{ending}")
    back = ch.load(path)
    assert back == a_result
    assert type(back) is type(a_result)
    assert str(back) == str(a_result)
    assert repr(back) == repr(a_result)
    assert back.to_dict() == a_result.to_dict()
    again = back.save(tmp_path / f"again{ending}")
    assert ch.load(again) == a_result
    if ending != ".nc":
        assert again.read_bytes() == path.read_bytes()


def test_the_table_of_a_result_is_rectangular_and_comes_back(a_result, tmp_path):
    path = a_result.save(tmp_path / "table.csv")
    table = ch.load(path)
    assert isinstance(table, Table)
    assert str(table).strip()
    with path.open(newline="") as f:
        lines = list(csv.reader(f))
    assert tuple(lines[0]) == table.columns
    assert len(lines) - 1 == len(table.rows)
    frame = a_result.to_pandas()
    assert list(frame.columns) == list(table.columns)
    assert len(frame) == len(table.rows)


def test_labelled_data_hold_every_array(a_result):
    data = a_result.to_xarray()
    for f in dataclasses.fields(a_result):
        x = getattr(a_result, f.name)
        if isinstance(x, Estimate):
            x = np.asarray(x.value)
            assert {f"{f.name}_error", f"{f.name}_status"} <= set(data.variables)
        if isinstance(x, np.ndarray) and f.name not in ("input_gram",):
            np.testing.assert_array_equal(data[f.name].values, x)
            axes = type(a_result).axes.get(f.name)
            assert axes is None or data[f.name].dims == axes


def test_the_axes_of_every_class_name_its_fields():
    for cls in all_subclasses():
        assert set(cls.axes) <= {f.name for f in dataclasses.fields(cls)}, cls


def test_npz_shows_its_arrays_to_a_reader_without_chione(tmp_path):
    diagram = made("phase_diagram")
    with np.load(diagram.save(tmp_path / "d.npz")) as data:
        assert np.array_equal(data["q_star"], diagram.q_star, equal_nan=True)
        assert np.array_equal(data["q_star_error"], diagram.errors["q_star"], equal_nan=True)
        assert list(data["phase"].ravel()) == list(diagram.phase.ravel())


def test_the_table_of_a_diagram_has_the_status_of_every_cell(tmp_path):
    diagram = made("phase_diagram")
    with diagram.save(tmp_path / "d.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == diagram.q_star.size
    for row, q, status in zip(rows, diagram.q_star.ravel(), diagram.status.ravel(), strict=True):
        assert float(row["q_star"]) == q or np.isnan(q)
        assert row["status"] == Status(int(status)).word
    assert {float(r["sigma_w"]) for r in rows} == set(diagram.sigma_w)


def test_netcdf_is_a_labelled_dataset_with_coordinates(tmp_path):
    xarray = pytest.importorskip("xarray")
    diagram = made("phase_diagram")
    with xarray.open_dataset(diagram.save(tmp_path / "d.nc"), engine="scipy") as data:
        assert data["q_star"].dims == ("sigma_b", "sigma_w")
        cell = data["chi_perp"].sel(sigma_w=diagram.sigma_w[3], sigma_b=diagram.sigma_b[2])
        assert float(cell) == diagram.chi_perp[2, 3]


def test_a_function_of_the_users_own_comes_back_by_name_and_says_so(tmp_path):
    found = ch.mean_field(lambda x: np.tanh(x) + 0.1 * x, sigma_w=1.1, sigma_b=0.1)
    back = ch.load(found.save(tmp_path / "own.json"))
    assert back == found
    assert str(back) == str(found)
    for use in (lambda: back.activation(1.0), lambda: ch.mean_field(back.activation, sigma_w=1.0)):
        with pytest.raises(ch.SpecError, match="was a function of the program that saved the file"):
            use()
    assert pickle.loads(pickle.dumps(back)) == back


def module_level(x):
    return np.tanh(x) + 0.1 * x


def test_results_of_the_users_own_functions_are_pickled(tmp_path):
    found = ch.mean_field(lambda x: np.tanh(x) + 0.1 * x, sigma_w=1.1, sigma_b=0.1)
    back = pickle.loads(pickle.dumps(found))
    assert back == found
    with pytest.raises(ch.SpecError, match="was a function of the program"):
        back.activation(1.0)
    assert copy.deepcopy(found).activation(1.0) == found.activation(1.0)
    run = ch.simulate(ch.MLP(lambda x: np.tanh(2 * x), 1.2, depth=2, width=8), n_networks=2)
    assert pickle.loads(pickle.dumps(run)) == run
    assert ch.load(run.save(tmp_path / "run.npz")) == run
    layers = (ch.networks.Dense(), ch.networks.Nonlinearity(lambda x: np.tanh(2 * x)))
    network = ch.networks.Network((ch.networks.Residual(layers),), ch.networks.Input(8))
    run = ch.simulate(network, n_networks=2)
    assert pickle.loads(pickle.dumps(run)) == run
    assert ch.load(run.save(tmp_path / "run.npz")) == run
    assert "tanh" not in run.to_dict()["network"]
    kept = ch.mean_field(module_level, sigma_w=1.1, sigma_b=0.1)
    again = pickle.loads(pickle.dumps(kept))
    assert again == kept
    assert again.activation(0.5) == kept.activation(0.5)


def test_a_simulated_formula_is_not_evaluated_by_loading(tmp_path, monkeypatch):
    run = ch.simulate(ch.MLP("x*tanh(x)+0.25*x", 1.2, depth=2, width=8), n_networks=2)
    path = run.save(tmp_path / "run.json")
    monkeypatch.setattr("chione.activations.own.from_expression", None)  # would fail if called
    assert ch.load(path) == run
    assert str(ch.load(path)) == str(run)


def test_a_formula_comes_back_as_an_activation_that_computes(tmp_path):
    found = made("own formula")
    back = ch.load(found.save(tmp_path / "own.json"))
    z = np.linspace(-3.0, 3.0, 7)
    assert np.array_equal(back.activation(z), found.activation(z))
    assert ch.mean_field(back.activation, sigma_w=1.2, sigma_b=0.1) == found


def test_a_loaded_spectrum_computes_on(tmp_path):
    spectrum = made("jacobian")
    back = ch.load(spectrum.save(tmp_path / "s.npz"))
    assert back.support == spectrum.support
    assert back.curve(40) == spectrum.curve(40)


def test_every_public_annotation_of_a_result_resolves():
    for cls in all_subclasses():
        assert python_inspect.get_annotations(cls, eval_str=True) is not None


DRAWN = {
    "mean_field", "no fixed point", "power laws", "fixed_points", "phase_diagram", "critical_line",
    "trajectory", "criticality", "criticality at zero", "deep run", "finite_width", "metric",
    "backward", "kernel_layers", "kernel_matrix", "norm_stability", "basins", "jacobian",
    "jacobian curve",
    "limit law", "hessian", "hessian curve", "hermite", "simulate", "great_circle",
    "gaussian_limit", "simulate_spectrum", "network_hessian", "analyze",
    "analyze without networks", "compare",
    "picture", "inspect", "model jacobian",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DRAWN))
@pytest.mark.sampled(3)
def test_a_result_draws_itself_whole_on_given_axes_and_by_field(name, tmp_path):
    from matplotlib.figure import Figure

    found = made(name)
    whole = ch.plot(found)
    assert isinstance(whole, Figure)
    assert whole.axes
    ch.plotting.save(whole, tmp_path / "a.png")
    ch.plotting.save(ch.load(found.save(tmp_path / "r.npz")).plot(), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(ch.SpecError, match=r"field must be one of .*, but") as caught:
        found.plot(field="no such field")
    for field in str(caught.value).split("one of ")[1].split(", but")[0].split(", "):
        ax = Figure().add_subplot()
        assert found.plot(ax=ax, field=field) is ax.figure
        assert ax.has_data() or ax.texts
        assert ax.get_xlabel() or not ax.get_xticks().size


@pytest.mark.parametrize(
    "name", ["trust", "universality", "table", "spectrum comparison", "simulate a network"]
)
def test_a_result_without_a_picture_says_so(name):
    with pytest.raises(TypeError, match="there is no picture for a"):
        made(name).plot()
