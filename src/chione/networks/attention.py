r"""Attention over positions, at initialisation.

.. math:: y_t = W_O \operatorname{concat}_h \sum_s w^h_{ts}\, v^h_s, \qquad
   w^h_{ts} = \operatorname{softmax}_s\Big(\frac{q^h_t \cdot k^h_s}{\sqrt d} + b^h_{ts}\Big)

with q = W_Q x, k = W_K x, v = W_V x of every head (Vaswani et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import WIDTH, AbstractLayer, Shape, ShapeError, count, flag

MASKS = ("none", "causal")
SCORE_SCALES = ("sqrt", "linear")


@final
@dataclass(frozen=True)
class Attention(AbstractLayer, word="attention"):
    r"""Multi-head softmax attention with fresh weights for queries, keys, values and output.

    Parameters
    ----------
    heads : int
        Number of query heads.
    head_size : int, optional
        Channels d of a head; by default those that arrive, divided by `heads`.
    sigma_q, sigma_k, sigma_v, sigma_o : float
        Standard deviations in units of :math:`1 / \sqrt{n_{in}}`: Var W = sigma^2 / n_in.
    sigma_b : float
        Standard deviation of the biases of queries, keys, values and output.
    out : int, optional
        Channels that leave; as many as arrive by default.
    scale : {"sqrt", "linear"}
        Scores are divided by :math:`\sqrt d`, or by d, which makes the weights uniform in the
        limit of large heads.
    mask : {"none", "causal"}
        ``causal``: position t sees the positions up to t, in the order of the grid.
    visible : tuple of int, optional
        Padding mask: how many of the first positions each input has (of the memory, if there is
        one); all by default.
    rope : float, optional
        Base of rotary positions; pairs of channels (j, j + d/2) are turned by the angle
        :math:`t\,\text{base}^{-2j/d}` in queries and keys.
    alibi : bool
        Whether head h of H adds :math:`-2^{-8h/H} |t - s|` to its scores (h = 1, ..., H).
    qk_norm : bool
        Whether queries and keys have mean square 1 over the channels of each head before the
        scores, and gains of `sigma_q` and `sigma_k` after that.
    kv_heads : int, optional
        Number of heads of keys and values, each shared by heads / kv_heads query heads
        (grouped queries); `heads` by default, 1 is multi-query attention.
    memory : str, optional
        Name of the network in ``Network.memory`` whose output gives keys and values (cross
        attention); self attention by default.
    """

    heads: int = 8
    head_size: int | None = None
    sigma_q: float = 1.0
    sigma_k: float = 1.0
    sigma_v: float = 1.0
    sigma_o: float = 1.0
    sigma_b: float = 0.0
    out: int | None = field(default=None, metadata=WIDTH)
    scale: Literal["sqrt", "linear"] = "sqrt"
    mask: Literal["none", "causal"] = "none"
    visible: tuple[int, ...] | None = None
    rope: float | None = None
    alibi: bool = False
    qk_norm: bool = False
    kv_heads: int | None = None
    memory: str | None = None

    def __post_init__(self) -> None:
        checks.one_of("scale", self.scale, SCORE_SCALES)
        checks.one_of("mask", self.mask, MASKS)
        self._set(heads=count("heads", self.heads))
        for name in ("head_size", "out", "kv_heads"):
            value = getattr(self, name)
            if value is not None:
                self._set(**{name: count(name, value)})
        for name in ("sigma_q", "sigma_k", "sigma_v", "sigma_o", "sigma_b"):
            self._set(**{name: checks.non_negative(name, getattr(self, name))})
        flag("alibi", self.alibi)
        flag("qk_norm", self.qk_norm)
        if self.rope is not None:
            self._set(rope=checks.positive("rope", self.rope))
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(
                f"kv_heads must divide heads, but {self.kv_heads} does not divide {self.heads}."
            )
        if self.memory is not None and (not isinstance(self.memory, str) or not self.memory):
            raise TypeError(
                f"memory must be the name of a network in Network.memory, but it is "
                f"{self.memory!r:.60}."
            )
        if self.memory is not None and self.mask == "causal":
            raise ValueError(
                "mask is 'causal', but keys and values come from a memory, whose positions have no "
                "order with those of the queries; use mask='none'."
            )
        if self.visible is not None:
            if not isinstance(self.visible, (list, tuple)):
                raise TypeError(
                    f"visible must be a list with the number of positions of each input, but it is "
                    f"{self.visible!r:.60}."
                )
            self._set(visible=tuple(count(f"visible[{i}]", n) for i, n in enumerate(self.visible)))

    def size(self, shape: Shape, place: str) -> int:
        """Channels d of a head, for what arrives.

        Raises
        ------
        ShapeError
            If `heads` does not divide the channels, or rotary positions meet an odd d.
        """
        size = self.head_size
        if size is None:
            if shape.width % self.heads:
                raise ShapeError(
                    f"{place}: {self.heads} heads do not divide {shape.width} channels; choose "
                    f"heads that do, or give head_size."
                )
            size = shape.width // self.heads
        if self.rope is not None and size % 2:
            raise ShapeError(
                f"{place}: rotary positions turn pairs of channels, but a head has {size}; give "
                f"an even head_size."
            )
        return size

    def after(self, shape: Shape, place: str) -> Shape:
        """As many positions as before; `out` channels."""
        self.size(shape, place)
        if not shape.grid:
            raise ShapeError(
                f"{place}: attention needs positions, but {shape} arrive; give the network an "
                f"input with a grid, such as Input(width=64, grid=(16,))."
            )
        if self.visible is not None and self.memory is None and max(self.visible) > shape.positions:
            raise ShapeError(
                f"{place}: visible says that {max(self.visible)} positions can be seen, but there "
                f"are {shape.positions}."
            )
        return Shape(self.out or shape.width, shape.grid)
