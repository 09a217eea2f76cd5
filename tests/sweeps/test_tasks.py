"""Tasks: what they hold, how they are split, and what files are refused."""

import pickle

import numpy as np
import pytest

from chione.base import SpecError
from chione.sweeps.bundle import train
from chione.sweeps.tasks import load_task, make_task
from chione.sweeps.training import Training

RNG = np.random.default_rng(1)
X, Y = RNG.standard_normal((60, 4, 5)), np.arange(60) % 3


@pytest.mark.parametrize(
    ("name", "inputs", "classes", "count"),
    [
        ("digits", 64, 10, 1797),
        ("shapes", 400, 9, 9000),
        ("shapes3", 400, 3, 3000),
        ("synthetic", 64, 10, 2500),
    ],
)
def test_tasks_have_inputs_of_mean_square_one_and_a_fifth_held_apart(name, inputs, classes, count):
    if name == "digits":
        pytest.importorskip("sklearn")
    task = load_task(name)
    assert (task.inputs, task.classes) == (inputs, classes)
    assert len(task.x_train) + len(task.x_test) == count
    assert len(task.x_test) == round(count / 5)
    assert np.mean(task.x_train**2) == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(task.x_train.mean(axis=0), 0.0, atol=1e-12)
    shares = np.bincount(task.y_train) / len(task.y_train)
    assert shares.min() > 0.6 / classes
    assert shares.max() < 1.4 / classes
    assert np.std(task.y_train[:100]) > 0  # not sorted by label


def test_no_input_is_in_both_parts_and_none_is_missing():
    task = make_task(
        "numbers", np.stack([np.arange(100.0), np.zeros(100)], axis=1), Y.repeat(2)[:100]
    )
    got = np.concatenate([task.x_train[:, 0], task.x_test[:, 0]])
    assert len(np.unique(np.round(got, 9))) == 100


def test_a_task_is_the_same_after_a_journey_and_when_made_again(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    task = load_task(tmp_path / "a.npz")
    assert pickle.loads(pickle.dumps(task)).digest == task.digest
    assert load_task(str(tmp_path / "a.npz")).digest == task.digest
    np.savez(tmp_path / "renamed.npz", x=X, y=Y, more=1)
    assert load_task(tmp_path / "renamed.npz").digest == task.digest


@pytest.mark.parametrize("change", ["x", "y"])
def test_another_number_is_another_digest(change):
    x, y = X.copy(), Y.copy()
    before = make_task("t", x, y).digest
    if change == "x":
        x[7, 1, 2] += 1e-9
    else:
        y[7] = (y[7] + 1) % 3
    assert make_task("t", x, y).digest != before


def test_images_are_flattened_and_labels_counted_from_zero():
    task = make_task("t", X, np.array([3, 7, 11])[Y])
    assert task.x_train.shape == (48, 20)
    assert set(task.y_train) == {0, 1, 2}
    bytes_ = make_task("t", (255 * RNG.random((30, 2, 2))).astype(np.uint8), Y[:30] == 1)
    assert bytes_.classes == 2


BAD = {
    "labels are one short": (X, Y[:-1], r"must be of shape \(60,\)"),
    "labels are one-hot": (X, np.eye(3)[Y], "argmax"),
    "labels are numbers": (X, Y + 0.5, "must be integers"),
    "labels are whole floats": (X, Y.astype(float), "must be integers"),
    "labels are words": (X, np.array(["a", "b", "c"])[Y], "must be integers"),
    "one class": (X, np.zeros(60, int), "two classes"),
    "a class for each input": (X, np.arange(60), "must be classes"),
    "an input is NaN": (
        np.where(np.arange(60)[:, None, None] == 5, np.nan, X),
        Y,
        "input 5 is not",
    ),
    "an input is infinite": (np.where(X[3, 0, 0] == X, np.inf, X), Y, "input 3 is not"),
    "inputs are flat": (X[:, 0, 0], Y, "one input in each row"),
    "inputs are words": (X.astype(str), Y, "must be real numbers"),
    "inputs are complex": (X + 0j, Y, "must be real numbers"),
    "inputs are alike": (np.ones((60, 4)), Y, "all alike"),
    "inputs overflow": (np.where(X[3, 0, 0] == X, 1e308, -1e308 * (X < 0)), Y, "alike or overflow"),
    "few inputs": (X[:6], Y[:6], "at least 10"),
    "no entries": (np.zeros((60, 0)), Y, "at least 10"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("case", list(BAD))
def test_a_file_that_holds_no_task_is_refused_in_one_sentence(case, tmp_path):
    x, y, words = BAD[case]
    np.savez(tmp_path / "bad.npz", x=x, y=y)
    with pytest.raises(SpecError, match=words) as err:
        load_task(tmp_path / "bad.npz")
    assert "\n" not in str(err.value)
    assert "bad.npz" in str(err.value)


def test_what_is_no_such_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "text.npz").write_text("x,y\n1,2\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez(tmp_path / "names.npz", images=X, labels=Y)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, []], dtype=object), y=Y)
    whole = tmp_path / "cut.npz"
    np.savez(whole, x=X, y=Y)
    whole.write_bytes(whole.read_bytes()[:500])
    (tmp_path / "folder.npz").mkdir()
    for name, words in {
        "text.npz": "cannot be read",
        "empty.npz": "cannot be read",
        "one.npz": "holds one array",
        "names.npz": "no x and no y.*images, labels",
        "objects.npz": "cannot be read",
        "cut.npz": "cannot be read",
        "folder.npz": "does not exist",
        "absent.npz": "does not exist",
        "mnist": "no task .*digits, shapes",
    }.items():
        data = name if name == "mnist" else tmp_path / name
        with pytest.raises(SpecError, match=words) as err:
            load_task(data)
        assert "\n" not in str(err.value)


@pytest.mark.parametrize(("name", "least"), [("shapes3", 0.8), ("synthetic", 0.9)])
def test_what_is_learned_holds_for_inputs_held_apart(name, least):
    training = Training(
        "tanh", 1.3, 0.05, 2, 64, data=name, optimizer="adam", rate=2e-3, steps=200, batch=64
    )
    (got,) = train([training], load_task(name))
    assert got.test_accuracy > least
