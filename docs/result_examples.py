"""For each class of results a few lines that make one: run and printed on its page.

``EXAMPLES[kind] = (lines, pick)``: the lines make `result`, and `pick` says where in it an object
of the class is (nothing where it is the result itself). Classes that are made together share
their lines, which run once.
"""

ANALYSIS = 'result = ch.analyze("tanh", 1.5, 0.1, depth=6, width=16)'
PICTURE = 'result = ch.analyze("tanh", 1.5, 0.1, depth=4, simulate=False, picture=True)'
CHANGES = """network = ch.networks.resnet("relu", depth=12, width=8)
result = ch.analyze(network, n_networks=2)"""
SMALL = """network = ch.MLP("tanh", 1.5, 0.1, depth=3, width=12)
"""
RESNET = """network = ch.networks.resnet("relu", depth=12, width=8)
"""
FIXED = 'result = ch.fixed_points("tanh", sigma_w=1.5, sigma_b=0.1)'
CRITICAL = 'result = ch.criticality("tanh")'
NORM = 'result = ch.norm_stability("selu")'
SPIKES = "result = ch.freeprob.outliers(ch.freeprob.semicircle(), [1.7, 0.4])"
BLOCK = """from chione.networks import Dense, Nonlinearity

result = ch.theory.block_phase([Dense(1.3, 0.3), Nonlinearity("tanh")])"""
RESIDUAL = """from chione.networks import Dense, Nonlinearity, Norm, Residual

branch = [Norm("layer"), Dense(1.2), Nonlinearity("relu"), Dense(1.0)]
"""
BOUNDARY = """result = ch.boundary(
    "tanh", [0.4, 0.55, 0.7, 2.0], depth=(1, 16), ratio=1.5, width=16, steps=40, batch=16,
    seeds=1, rate=[0.05], data="synthetic",
)"""
MODEL = """import torch

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Tanh(),
    torch.nn.Linear(8, 5),
).double()
batch = torch.randn(4, 5, dtype=torch.float64)


def loss(out):
    return out.square().mean()


"""
INSPECT = MODEL + "result = ch.torch.inspect(model, batch)"
INITIALIZE = MODEL + "result = ch.torch.initialize_(model, batch)"
STEP = MODEL + 'result = ch.torch.first_step(model, batch, loss, "sgd", lr=0.1)'
PRECISION = MODEL + "result = ch.torch.precision(model, batch, loss=loss)"
AUDIT = (
    MODEL
    + """torch.nn.init.zeros_(model[2].weight)
result = ch.torch.audit(model)"""
)
DECLARED = MODEL + 'result = ch.torch.audit(model, {"0.weight": "normal(0, 1)", "*.bias": "zeros"})'
MONITOR = (
    MODEL
    + """optimizer = torch.optim.SGD(model.parameters(), lr=100.0)  # far too large
with ch.torch.Monitor(model, every=1, warn=False) as monitor:
    for _ in range(4):
        optimizer.zero_grad()
        loss(model(batch)).backward()
        optimizer.step()
result = monitor.record"""
)
WIDTHS = (
    MODEL
    + """

def make(width):
    torch.manual_seed(width)
    return torch.nn.Sequential(
        torch.nn.Linear(5, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
    )


rows = torch.linspace(-1, 1, 20).reshape(4, 5)
"""
)

EXAMPLES = {
    "base.Table": (
        'result = ch.Table(("sigma_w", "phase"), ((0.9, "ordered"), (1.5, "chaotic")))',
        "",
    ),
    "diagnosis.Alternative": (ANALYSIS, ".alternatives[0]"),
    "diagnosis.Analysis": (ANALYSIS, ""),
    "diagnosis.AnalysisPicture": (PICTURE, ".picture"),
    "diagnosis.Comparison": (SMALL + "result = ch.compare(ch.simulate(network, n_networks=3))", ""),
    "diagnosis.CurveData": (PICTURE, ".picture.curves[0]"),
    "diagnosis.CurveErrors": (ANALYSIS, ".errors"),
    "diagnosis.DiagramData": (PICTURE, ".picture.diagram"),
    "diagnosis.GainRow": ('result = ch.gain_table("tanh")', ".rows[0]"),
    "diagnosis.GainTable": ('result = ch.gain_table("tanh")', ""),
    "diagnosis.MapData": (PICTURE, ".picture.lengths"),
    "diagnosis.Measured": (ANALYSIS, ".slopes.chi_parallel"),
    "diagnosis.NetworkAnalysis": (CHANGES, ""),
    "diagnosis.NetworkChange": (CHANGES, ".changes[0]"),
    "diagnosis.NetworkComparison": (
        RESNET + "result = ch.compare(ch.simulate(network, n_networks=3))",
        "",
    ),
    "diagnosis.Phase": (ANALYSIS, ".phase"),
    "diagnosis.Slopes": (ANALYSIS, ".slopes"),
    "diagnosis.Verdict": (ANALYSIS, ".verdict"),
    "diagnosis.WidthComparison": (
        "from chione.diagnosis.finite_width import compare_finite_width\n\n"
        + SMALL
        + "result = compare_finite_width(network, n_networks=20)",
        "",
    ),
    "freeprob.MeasureCurve": ("result = ch.freeprob.marchenko_pastur(0.5).curve(40)", ""),
    "freeprob.Edge": ("result = ch.freeprob.edges(ch.freeprob.marchenko_pastur(0.5))", "[0]"),
    "freeprob.Outlier": (SPIKES, ".found[0]"),
    "freeprob.Outliers": (SPIKES, ""),
    "freeprob.Threshold": (SPIKES, ".thresholds[0]"),
    "gaussian.HermiteExpansion": ("result = ch.hermite_expansion(np.tanh, 1.0, 8)", ""),
    "simulation.CurveGeometry": (
        SMALL + "result = ch.great_circle(network, n_points=12, n_networks=2)",
        "",
    ),
    "simulation.GaussianLimit": (
        SMALL
        + """result = ch.gaussian_limit(
    network, np.eye(2, 12), kernel=np.eye(2), widths=(8, 16), n_outputs=4, n_networks=40
)""",
        "",
    ),
    "simulation.NetworkHessian": (
        """from chione.simulation.hessian import network_hessian

rng = np.random.default_rng(0)
w1, w2, x, y = (rng.standard_normal(s) for s in ((4, 3), (2, 4), (6, 3), (6, 2)))
result = network_hessian(ch.activation("tanh"), w1, w2, x, y)""",
        "",
    ),
    "simulation.NetworkSimulation": (RESNET + "result = ch.simulate(network, n_networks=3)", ""),
    "simulation.SimulatedRow": (RESNET + "result = ch.simulate(network, n_networks=3)", ".rows[0]"),
    "simulation.SimulatedSpectrum": (
        SMALL + "result = ch.simulate_spectrum(network, n_networks=2)",
        "",
    ),
    "simulation.SpectrumComparison": (
        SMALL
        + """law = ch.jacobian_spectrum("tanh", q_star=1.0, depth=3)
result = ch.simulate_spectrum(network, n_networks=2).compare(law)""",
        "",
    ),
    "simulation.SimulationResult": (SMALL + "result = ch.simulate(network, n_networks=3)", ""),
    "sweeps.BoundaryResult": (BOUNDARY, ""),
    "sweeps.DepthConstant": (BOUNDARY, ".constants[0]"),
    "sweeps.SweepResult": (
        """result = ch.sweep(
    ["tanh", "relu"], sigma_w=[0.9, 1.4], depth=[2, 4], width=8, steps=3, seeds=2,
    data="synthetic", workers=1,
)""",
        "",
    ),
    "sweeps.SchemeTable": (
        """result = ch.sweeps.which_initialisation(
    ("tanh", "x*sigmoid(x)"), depths=(2,), schemes=("he", "chione"), rates={"adam": (0.01,)},
    optimizers=("adam",), n_seeds=2, width=6, steps=3, batch=5, data="synthetic",
)""",
        "",
    ),
    "theory.AffineSolution": ('result = ch.theory.critical_affine("gelu")', "[0]"),
    "theory.BackwardPass": (SMALL + "result = ch.backward(network)", ""),
    "theory.Basins": (
        """means, variances = [-0.5, 0.0, 0.5], [0.5, 1.5]
result = ch.theory.basins("selu", means=means, variances=variances, n_steps=50)""",
        "",
    ),
    "theory.BlockLaw": (
        RESIDUAL + "result = ch.theory.block_phase([Residual(branch)])",
        ".laws[0]",
    ),
    "theory.BlockPhase": (BLOCK, ""),
    "theory.BlockPoint": (BLOCK, ".points[0]"),
    "theory.BranchScale": (
        RESIDUAL + "result = ch.theory.branch_scale([Residual([branch[2], branch[3]])], depth=12)",
        "",
    ),
    "theory.CorrelationPoint": (
        """from chione.theory.meanfield.correlation_fixed_point import correlation_fixed_point

point = ch.fixed_points("tanh", sigma_w=1.5, sigma_b=0.1).points[0]
result = correlation_fixed_point(
    ch.activation("tanh"), point.q, point.chi_perp, 1.5**2, chaotic=True
)""",
        "",
    ),
    "theory.CriticalLine": ('result = ch.critical_line("tanh")', ""),
    "theory.CriticalPoint": (CRITICAL, ".points[0]"),
    "theory.Criticality": (CRITICAL, ""),
    "theory.DeepRun": ('result = ch.theory.iterate_lengths("tanh", sigma_w=1.0, depth=100)', ""),
    "theory.Fading": ('result = ch.criticality("gelu")', ".points[1].fading"),
    "theory.FeatureUpdate": (SMALL + "result = ch.feature_update(network, learning_rate=0.1)", ""),
    "theory.FiniteWidth": ('result = ch.finite_width("tanh", sigma_w=1.0, depth=4)', ""),
    "theory.FixedPoint": (FIXED, ".points[0]"),
    "theory.FixedPoints": (FIXED, ""),
    "theory.HessianCurve": ("result = ch.hessian_spectrum(ratio=0.5, energy=0.1).curve(40)", ""),
    "theory.HessianSpectrum": ("result = ch.hessian_spectrum(ratio=0.5, energy=0.1)", ""),
    "theory.IndexOnset": ('result = ch.index_onset(0.5, structure="relu")', ""),
    "theory.IsometricInitialization": (
        'result = ch.dynamical_isometry("tanh", depth=8, variance=0.25)',
        "[0]",
    ),
    "theory.JacobianSpectrum": (
        'result = ch.jacobian_spectrum("tanh", sigma_w=1.2, sigma_b=0.1, depth=4)',
        "",
    ),
    "theory.KernelLayers": (SMALL + "result = ch.theory.kernel_layers(network)", ""),
    "theory.KernelMatrix": (SMALL + "result = ch.kernel_matrix(network, np.eye(3, 5))", ""),
    "theory.LargeDepth": ('result = ch.large_depth("tanh")', "[0]"),
    "theory.LimitLaw": ('result = ch.LimitLaw("smooth", 0.25)', ""),
    "theory.MeanField": ('result = ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1)', ""),
    "theory.MetricCovariance": (
        'result = ch.theory.metric_covariance("relu", sigma_w=1.4, depth=2)',
        "",
    ),
    "theory.NetworkTheory": (RESNET + "result = ch.network_theory(network)", ""),
    "theory.NormFixedPoint": (NORM, ".points[0]"),
    "theory.NormMap": ('result = ch.theory.norm_map("selu", np.linspace(-1, 1, 5), 1.0)', ""),
    "theory.NormStability": (NORM, ""),
    "theory.Parametrization": ("result = ch.parametrization([0, 0.5, 0.5], [0, 0, 0], 0)", ""),
    "theory.PhaseDiagram": (
        """result = ch.phase_diagram(
    "tanh", sigma_w=np.linspace(0.5, 3.0, 6), sigma_b=np.linspace(0.0, 0.4, 5)
)""",
        "",
    ),
    "theory.PowerLaw": ('result = ch.large_depth("tanh")', "[0].length"),
    "theory.Recommendation": ('result = ch.gain("gelu")', ""),
    "theory.Settling": ('result = ch.settling("tanh", 1.5, 0.1)', ""),
    "theory.SpectrumCurve": (
        'result = ch.jacobian_spectrum("relu", sigma_w=1.4, depth=2).curve(40)',
        "",
    ),
    "theory.TokenExponents": (
        """from chione.networks import Attention, Norm, Residual

block = [Residual([Norm("rms"), Attention(2)], 0.8, 0.6)]
result = ch.theory.TokenMap(block).exponents()""",
        "",
    ),
    "theory.Tradeoff": ('result = ch.theory.tradeoff("tanh")', ""),
    "theory.Trajectory": ('result = ch.trajectory("tanh", sigma_w=1.5, sigma_b=0.1, depth=12)', ""),
    "theory.TransformerPhase": (
        """result = ch.transformer_phase(
    ch.networks.transformer(2, 16, 2, tokens=3), attention_scale=[0.5, 2.0],
    residual_scale=[0.3, 1.0],
)""",
        "",
    ),
    "theory.Trust": ('result = ch.theory.trust("tanh", sigma_w=1.0, width=64, depth=4)', ""),
    "theory.Universality": ('result = ch.universality_class("relu")', ""),
    "torch.AdamEpsilon": (PRECISION, ".adam"),
    "torch.AuditReport": (AUDIT, ""),
    "torch.CoordCheck": (
        WIDTHS + "result = ch.torch.coord_check(make, rows, loss, 0.1, widths=(4, 8), seeds=2)",
        "",
    ),
    "torch.DeclaredLine": (DECLARED, ".lines[0]"),
    "torch.ExampleStep": (STEP, ".example[0]"),
    "torch.Expected": (INSPECT, ".layers[0].expected"),
    "torch.ExpectedSignal": (MONITOR, ".expected[0]"),
    "torch.Finding": (AUDIT, ".findings[0]"),
    "torch.FirstStep": (STEP, ""),
    "torch.FormatShare": (PRECISION, ".tensors[0].formats[0]"),
    "torch.FormatVerdict": (PRECISION, ".verdicts[0]"),
    "torch.InitializationReport": (INITIALIZE, ""),
    "torch.InspectionReport": (INSPECT, ""),
    "torch.LargestLearningRate": (
        MODEL
        + "result = ch.torch.largest_learning_rate(model, batch, loss, hessian=True, rehearse=2)",
        "",
    ),
    "torch.LayerChange": (INITIALIZE, ".changes[0]"),
    "torch.LayerReport": (INSPECT, ".layers[0]"),
    "torch.LayerSignal": (MONITOR, ".steps[0].layers[0]"),
    "torch.LayerStep": (STEP, ".layers[0]"),
    "torch.ModelJacobian": (MODEL + "result = ch.torch.jacobian_spectrum(model, batch[0])", ""),
    "torch.ModelParametrization": (
        WIDTHS
        + "result = ch.torch.parametrization(make, (8, 16), optimizer=0.1, batch=rows, seeds=2)",
        "",
    ),
    "torch.MonitorRecord": (MONITOR, ""),
    "torch.MonitoredStep": (MONITOR, ".steps[0]"),
    "torch.ParameterAudit": (AUDIT, ".parameters[0]"),
    "torch.ParameterReport": (INSPECT, ".parameters[0]"),
    "torch.ParameterStep": (STEP, ".parameters[0]"),
    "torch.ParameterUpdate": (MONITOR, ".steps[0].parameters[0]"),
    "torch.PrecisionReport": (PRECISION, ""),
    "torch.Remark": (MONITOR, ".remarks[0]"),
    "torch.TensorRange": (PRECISION, ".tensors[0]"),
    "torch.Verdict": (INITIALIZE, ".verdict"),
}
