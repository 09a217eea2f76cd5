"""What weights that are matrices refuse, on a CPU or on a device."""

from __future__ import annotations

from chione.simulation.normals import FloatArray
from chione.simulation.seeding import Streams


class ExplicitWeights:
    """Matrices of one network at a time, which are drawn once for a pass."""

    def start_together(self, streams: Streams) -> None:
        """Explicit weights are of one network at a time, which their drawing takes.

        Raises
        ------
        RuntimeError
            Always.
        """
        raise RuntimeError(
            f"explicit weights of {len(streams)} networks are not held side by side."
        )

    def again(self, l: int) -> FloatArray:
        """Explicit weights do not repeat a product; the pass keeps the signals instead.

        Raises
        ------
        RuntimeError
            Always.
        """
        raise RuntimeError(f"layer {l}: passes over explicit weights must keep their signals.")
