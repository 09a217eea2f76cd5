"""Real architectures: nearly all rows carry theory, and it lies near the mean over draws."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import doctor_coverage
from doctor_models import MODELS

pytestmark = pytest.mark.slow

# rows that theory does not describe to 15 %, as they are known
WIDE = {"resnet18": 8, "densenet": 60, "efficientnet": 180, "convnext": 3}


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mixer"])
def test_nearly_all_rows_of_an_architecture_carry_theory(name):
    found = doctor_coverage.covered(name)
    assert found.squares >= 0.95 * found.rows
    assert found.gradients >= 0.95 * found.rows
    assert len(found.off) <= WIDE.get(name, 2)
