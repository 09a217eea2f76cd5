"""What to do about a problem: one sentence, chosen in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chione.torch.expected.layer_report import LayerReport
from chione.torch.recommendation.gains import advice


def remedy(problem: str, layers: Sequence[LayerReport]) -> str:
    """The sentence that ends a verdict."""
    counted = Counter(layer.activation for layer in layers if layer.activation)
    activation, depth = counted.most_common(1)[0] if counted else (None, 1)
    return advice(activation, depth)
