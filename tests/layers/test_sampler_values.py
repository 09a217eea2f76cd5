"""What each layer computes, against a few plain lines of NumPy; and the sizes of what it draws."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from chione.networks import (
    WEIGHT_LAWS,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Gate,
    Maxout,
    Noise,
    Norm,
    Parallel,
    Pooling,
    Position,
    Residual,
    Scale,
    Shape,
)
from chione.simulation.layers import Draws, draw, leaves

RNG = np.random.default_rng(17)
X = RNG.standard_normal((2, 2, 3, 6)) + 0.4  # replicas, inputs, positions, channels
LINE, PLANE = Shape(6, (3,)), Shape(4, (5, 4))


def output(layer, x, shape=LINE, index=0):
    return draw(layer, shape, Draws(1, index, x.shape[:2], place="layers[0]")).forward(x)


# ---- fixed functions of the signal ---------------------------------------------------------------


def test_layer_and_rms_norm_work_at_each_position():
    for r, a, t in itertools.product(range(2), range(2), range(3)):
        h = X[r, a, t]
        layer = 1.2 * (h - h.mean()) / math.sqrt(np.mean((h - h.mean()) ** 2) + 0.1)
        rms = h / math.sqrt(np.mean(h**2))
        np.testing.assert_allclose(output(Norm("layer", 1.2, eps=0.1), X)[r, a, t], layer)
        np.testing.assert_allclose(output(Norm("rms"), X)[r, a, t], rms)


def test_group_norm_works_over_a_group_and_all_positions_and_batch_norm_over_inputs():
    group, batch = output(Norm("group", groups=3), X), output(Norm("batch"), X)
    for r, a, k in itertools.product(range(2), range(2), range(3)):
        h = X[r, a, :, 2 * k : 2 * k + 2]
        np.testing.assert_allclose(group[r, a, :, 2 * k : 2 * k + 2], (h - h.mean()) / h.std())
    for r, i in itertools.product(range(2), range(6)):
        h = X[r, :, :, i]
        np.testing.assert_allclose(batch[r, :, :, i], (h - h.mean()) / h.std())


def test_pools_flatten_and_scale_rearrange_positions():
    x = RNG.standard_normal((1, 2, 20, 4))
    image = x.reshape(2, 5, 4, 4)
    average = output(Pooling("average", (2, 3), (2, 1)), x, PLANE).reshape(2, 2, 2, 4)
    largest = output(Pooling("max", 2), x, PLANE).reshape(2, 2, 2, 4)
    for i, j in itertools.product(range(2), range(2)):
        window = image[:, 2 * i : 2 * i + 2, j : j + 3]
        np.testing.assert_allclose(average[:, i, j], window.mean(axis=(1, 2)))
        window = image[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        np.testing.assert_array_equal(largest[:, i, j], window.max(axis=(1, 2)))
    np.testing.assert_allclose(output(Pooling(), x, PLANE)[0, :, 0], image.mean(axis=(1, 2)))
    np.testing.assert_array_equal(output(Flatten(), x, PLANE)[0, :, 0], image.reshape(2, -1))
    np.testing.assert_array_equal(output(Scale(-0.3), x, PLANE), -0.3 * x)


def test_a_padded_maximum_is_that_of_the_positions_that_are_there():
    x = RNG.standard_normal((1, 2, 20, 4)) - 3.0  # below the zeros of a padded convolution
    image = x.reshape(2, 5, 4, 4)
    found = output(Pooling("max", 3, 2, padding=1), x, PLANE).reshape(2, 3, 2, 4)
    for i, j in itertools.product(range(3), range(2)):
        rows, columns = slice(max(2 * i - 1, 0), 2 * i + 2), slice(max(2 * j - 1, 0), 2 * j + 2)
        np.testing.assert_array_equal(found[:, i, j], image[:, rows, columns].max(axis=(1, 2)))


def test_branches_are_summed_averaged_joined_and_multiplied():
    branches = ((), (Scale(2.0),), (Scale(-3.0), Pooling("average", 1)))
    np.testing.assert_allclose(output(Parallel(branches, "sum"), X), 0.0 * X, atol=1e-15)
    np.testing.assert_allclose(output(Parallel(branches[:2], "mean"), X), 1.5 * X)
    np.testing.assert_allclose(output(Parallel(branches, "product"), X), -6.0 * X**3)
    joined = np.concatenate([X, 2.0 * X, -3.0 * X], axis=-1)
    np.testing.assert_allclose(output(Parallel(branches, "concat"), X), joined)
    mixed = Residual((Scale(2.0),), skip=0.5, scale=0.7, shortcut=(Scale(-1.0),))
    np.testing.assert_allclose(output(mixed, X), (1.4 - 0.5) * X)


def test_waves_are_sines_then_cosines_of_the_position():
    added = output(Position("sinusoidal", 0.7, base=100.0), X) - X
    for t, j in itertools.product(range(3), range(3)):
        angle = t * 100.0 ** (-2.0 * j / 6)
        np.testing.assert_allclose(added[..., t, j], 0.7 * math.sin(angle), atol=1e-15)
        np.testing.assert_allclose(added[..., t, 3 + j], 0.7 * math.cos(angle))


# ---- convolutions: the weights are drawn, the taps are read off --------------------------------


def taps_of(layer, shape):
    """Weights W[out, in] of every (output, input) pair of positions, read off unit impulses."""
    step = draw(layer, shape, Draws(3, 0, (1, 1), place="layers[0]"))
    size = shape.positions * shape.width
    impulses = np.eye(size).reshape(size, 1, shape.positions, shape.width)
    y = step.forward(impulses[None, :, 0])[0] - step.forward(0.0 * impulses[None, :, 0])[0]
    return y.reshape(shape.positions, shape.width, *y.shape[-2:])  # s, in, t, out


@pytest.mark.parametrize("padding", ["zero", "circular"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), ((2, 1), (1, 2))])
def test_an_output_reads_the_positions_of_its_taps_with_the_same_weights(padding, stride, dilation):
    layer = Convolution((3, 2), stride=stride, dilation=dilation, padding=padding)
    w = taps_of(layer, PLANE)
    s, d = (v if isinstance(v, tuple) else (v, v) for v in (stride, dilation))
    after = layer.after(PLANE, "").grid
    seen, expected = {}, np.zeros(w.shape)
    for t1, t2 in itertools.product(range(after[0]), range(after[1])):
        for b1, b2 in itertools.product(range(3), range(2)):
            at1, at2 = s[0] * t1 + d[0] * (b1 - 1), s[1] * t2 + d[1] * b2
            if padding == "circular":
                at1, at2 = at1 % 5, at2 % 4
            if 0 <= at1 < 5 and 0 <= at2 < 4:
                place = (4 * at1 + at2, slice(None), after[1] * t1 + t2)
                seen.setdefault((b1, b2), w[place])  # the tap is the same wherever it stands
                expected[place] += seen[b1, b2]
    np.testing.assert_allclose(w, expected, atol=1e-13)
    assert len(seen) == 6


def test_a_transposed_convolution_writes_its_taps():
    layer = Convolution((3, 2), out=3, stride=2, transposed=True)
    w = taps_of(layer, PLANE)
    first = w[0].reshape(4, 11, 8, 3)  # what input position 0 writes: a block of 3 x 2
    assert np.count_nonzero(first) == 3 * 2 * 4 * 3
    for p1, p2 in itertools.product(range(5), range(4)):
        written = w[4 * p1 + p2].reshape(4, 11, 8, 3)[:, 2 * p1 : 2 * p1 + 3, 2 * p2 : 2 * p2 + 2]
        np.testing.assert_allclose(written, first[:, :3, :2], atol=1e-13)
        assert np.count_nonzero(w[4 * p1 + p2]) == 3 * 2 * 4 * 3


def test_groups_read_their_own_channels_and_the_centre_tap_stands_alone():
    grouped = taps_of(Convolution(3, groups=2, out=6), PLANE)
    assert not np.any(grouped[:, :2, :, 3:])
    assert not np.any(grouped[:, 2:, :, :3])
    assert np.all(grouped[5, :2, 5, :3])
    depthwise = taps_of(Convolution(3, depthwise=True), PLANE)
    assert np.count_nonzero(depthwise[6].any(axis=1)) == 4  # each channel reaches one
    assert not np.any(depthwise[6, 0, :, 1:])
    centre = taps_of(Convolution(3, 1.3, weights="delta_orthogonal", stride=2), PLANE)
    for t1, t2 in itertools.product(range(3), range(2)):
        w = centre[8 * t1 + 2 * t2, :, 2 * t1 + t2]
        np.testing.assert_allclose(w @ w.T, 1.69 * np.eye(4), atol=1e-12)
    assert np.count_nonzero(centre) == 6 * 16


# ---- sizes of what is drawn, over many networks -------------------------------------------------


def check_mean(values, expected):
    """Student's t of independent values, each entry on its own; a slip of 5 % would show."""
    values = np.asarray(values)
    error = values.std(axis=0, ddof=1) / math.sqrt(len(values))
    assert np.all(error < 0.012 * np.max(np.abs(expected)))
    t = (values.mean(axis=0) - expected) / np.maximum(error, 1e-12)
    assert np.all(stats.t.sf(np.abs(t), len(values) - 1) > 5e-6)


SMALL = RNG.standard_normal((1, 2, 3, 6))
ROWS = SMALL.reshape(6, 6)
GRAM = ROWS @ ROWS.T / 6  # over inputs and positions


def grams(layer, x=SMALL, shape=LINE, networks=6000):
    """(1/n) sum_i y_i y_i of every network."""
    y = [output(layer, x, shape, index).reshape(-1, layer.after(shape, "").width)
         for index in range(networks)]  # fmt: skip
    return [h @ h.T / h.shape[1] for h in y]


@pytest.mark.parametrize("law", WEIGHT_LAWS)
def test_every_law_of_weights_has_the_second_moment_of_its_description(law):
    check_mean(grams(Dense(1.3, 0.5, 24, law)), 1.69 * GRAM + 0.25)


def test_weight_norm_has_rows_of_one_length_and_spectral_norm_one_largest_value():
    for form in ("weight_norm", "spectral_norm"):
        step = draw(Dense(1.3, 0.0, 4, form=form), LINE, Draws(1, 0, (1, 6), place=""))
        w = step.forward(np.eye(6)[None, :, None])[0, :, 0].T
        if form == "weight_norm":
            np.testing.assert_allclose(np.sum(w**2, axis=1), 1.69)
        else:
            np.testing.assert_allclose(np.linalg.svd(w)[1][0], 1.3)
    check_mean(grams(Dense(1.3, 0.0, 24, form="weight_norm")), 1.69 * GRAM)


def test_gates_are_products_of_two_independent_maps():
    identity = Gate("identity", 24, 1.2, 0.9, 0.3)
    expected = (1.44 * GRAM + 0.09) * (0.81 * GRAM + 0.09)
    check_mean(grams(identity, networks=20_000), expected)


def test_the_largest_of_two_maps_has_the_moments_of_two_normals():
    """E max(u, v)^2 = q, and of a pair (q/2) (c + (2/pi) (sqrt(1 - c^2) + c asin c))."""
    q, s = np.diag(GRAM), np.sqrt(np.outer(np.diag(GRAM), np.diag(GRAM)))
    c = np.clip(GRAM / s, -1.0, 1.0)
    pair = 0.5 * s * (c + 2.0 / np.pi * (np.sqrt(1.0 - c**2) + c * np.arcsin(c)))
    np.testing.assert_allclose(np.diag(pair), q)
    check_mean(grams(Maxout(2, 1.0, 0.0, 24)), pair)


@pytest.mark.slow
def test_convolutions_have_the_second_moment_of_their_description():
    x = SMALL.reshape(2, 3, 6)
    around = np.stack([np.roll(x, shift, axis=1) for shift in (1, 0, -1)]).reshape(3, 6, 6)
    expected = 1.69 * np.mean([b @ b.T / 6 for b in around], axis=0) + 0.25
    for how in ({}, {"groups": 2}):
        layer = Convolution(3, 1.3, 0.5, 24, padding="circular", **how)
        found = grams(layer)
        if how:  # a group sees its own channels
            halves = [[b[:, k : k + 3] @ b[:, k : k + 3].T / 3 for b in around] for k in (0, 3)]
            expected = 1.69 * np.mean(halves, axis=(0, 1)) + 0.25
        check_mean(found, expected)
    each = [[np.outer(b[:, i], b[:, i]) for b in around] for i in range(6)]
    depthwise = Convolution(3, 1.3, padding="circular", depthwise=True)
    check_mean(grams(depthwise, networks=30_000), 1.69 * np.mean(each, axis=(0, 1)))


def test_a_transposed_convolution_has_the_second_moment_of_its_description():
    """Every output is reached by k / stride taps of variance sigma_w^2 stride / (n_in k)."""
    found = grams(Convolution(3, 1.3, 0.0, 24, stride=2, transposed=True))
    written = np.zeros((3, 2, 7, 6))
    for b in range(3):
        written[b, :, b : b + 5 : 2] = SMALL[0]
    rows = written.reshape(3, 14, 6)
    check_mean(found, 1.69 * 2.0 / 3.0 * np.sum([r @ r.T / 6 for r in rows], axis=0))


def test_masks_and_noise_are_shared_as_described():
    ones = np.ones((1, 2, 3, 6))
    same_input = np.kron(np.eye(2), np.ones((3, 3)))
    shared = {
        "independent": np.eye(6),
        "positions": same_input,
        "all": np.ones((6, 6)),
        "path": same_input,
    }
    for share, where in shared.items():
        expected = 1.0 + where * (1.0 / 0.8 - 1.0)
        check_mean(grams(Dropout(0.8, share), ones, networks=6000), expected)
    path = output(Dropout(0.5, "path"), np.ones((1, 200, 3, 6)))
    assert set(path.std(axis=(2, 3)).ravel()) == {0.0}  # all or nothing
    assert set(np.unique(path)) == {0.0, 2.0}
    check_mean(grams(Noise(0.5), SMALL), GRAM + 0.25 * np.eye(6))
    learned = Position("learned", 0.5)
    check_mean(grams(learned, SMALL), GRAM + 0.25 * np.kron(np.ones((2, 2)), np.eye(3)))


def test_biases_of_a_norm_are_shared_by_inputs_and_positions():
    bias = output(Norm("layer", 0.0, 0.7), SMALL)
    assert np.ptp(bias, axis=(0, 1, 2)).max() == 0.0
    check_mean(grams(Norm("layer", 0.0, 0.7)), np.full((6, 6), 0.49))


def test_copies_share_weights_and_have_masks_of_their_own():
    x = np.broadcast_to(X[:1], X.shape)
    assert np.array_equal(*output(Dense(), x))
    assert not np.array_equal(*output(Dropout(0.5, "all"), x))
    assert not np.array_equal(*output(Noise(0.5), x))
    step = draw(Gate("silu"), LINE, Draws(1, 0, (2, 2), place=""))
    first, second = (leaf._weight for leaf in leaves(step))
    assert not np.allclose(first, second)
