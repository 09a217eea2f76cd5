"""The explorer at a chosen network: in a notebook, as a file, or in the browser."""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.activations.registry import catalogue
from chione.base import AbstractResult, SpecError
from chione.base.files import write_text
from chione.explorer.build import page
from chione.explorer.serve import serve
from chione.explorer.spelling import expression_of
from chione.explorer.state import fragment

_HEIGHT = 900  # pixels of the frame in a notebook


@dataclass(frozen=True)
class Explorer:
    """The explorer's page at one network.

    In a notebook it shows as a frame that needs no server and stays in the exported notebook.

    Parameters
    ----------
    fragment : str
        The state, as it stands behind the # of the page's address.
    """

    fragment: str

    def write(self, path: str | Path) -> Path:
        """Write the page, which opens at this network, to one file."""
        return write_text(path, page(self.fragment))

    def show(self, *, port: int = 0) -> None:
        """Serve the page on the loopback address and open the browser, until Ctrl-C."""
        serve(self.fragment, port=port)

    def _repr_html_(self) -> str:
        """A frame for notebooks, with the whole page inside."""
        return (
            f'<iframe srcdoc="{html.escape(page(self.fragment))}" width="100%" '
            f'height="{_HEIGHT}" sandbox="allow-scripts allow-downloads" '
            'title="chione explorer" style="border:0"></iframe>'
        )

    def __repr__(self) -> str:
        return (
            f"Explorer({self.fragment!r}): shows in a notebook; .show() opens the browser, "
            ".write('page.html') makes a file"
        )


def explore(
    phi: ActivationLike | Any | None = None,
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    **state: Any,
) -> Explorer:
    """The explorer at a network, or at that of a result.

    Parameters
    ----------
    phi : activation or result, optional
        A name or a formula, or a result of chione that knows its activation (`analyze`,
        `mean_field`, `phase_diagram`, `gain`, ...); the page's own network by default.
    sigma_w, sigma_b : float, optional
        Standard deviations of weights and biases.
    **state
        Further parts of the page's state: ``depth``, ``width``, ``q``, ``c``, ``weights``,
        ``mode``, ``field``, ``dropout``, ``alpha``, ``tokens``; see
        :func:`chione.explorer.fragment`.

    Returns
    -------
    Explorer

    Raises
    ------
    SpecError
        If the activation has no formula that the page can read, a result has no activation, or
        a value is outside what the page accepts.

    Examples
    --------
    >>> explore("gelu", 1.5, 0.1, depth=100).fragment
    'activation=gelu&sigma_w=1.5&sigma_b=0.1&depth=100'
    """
    own: dict[str, Any] = {}
    if phi is not None:
        own = (
            state_of(phi)
            if isinstance(phi, AbstractResult)
            else {"activation": spelled(activation(phi))}
        )
    given = {"sigma_w": sigma_w, "sigma_b": sigma_b, **state}
    return Explorer(fragment(**own | {key: v for key, v in given.items() if v is not None}))


def spelled(phi: AbstractActivation) -> str:
    """The name of an activation of the catalogue, else its formula with numbers in it.

    Raises
    ------
    SpecError
        If it is a function without a formula.
    """
    for name, known in catalogue().items():
        if known == phi:
            return name
    parameters = [getattr(phi, f.name) for f in dataclasses.fields(phi)]  # type: ignore[arg-type]
    numeric = bool(phi.formula) and all(isinstance(x, int | float) for x in parameters)
    try:
        text = expression_of(phi) if numeric else phi.name
        activation(text)
    except (SpecError, ValueError, TypeError):
        raise SpecError(
            f"the explorer reads names and formulas, but {phi.name} is a function of Python; "
            "give it as a formula such as 'x*tanh(x)'."
        ) from None
    return text


def state_of(result: Any) -> dict[str, Any]:
    """What the page takes of a result: activation, sigmas, depth, width, weights.

    Raises
    ------
    SpecError
        If the result does not know its activation.
    """
    source = getattr(result, "network", None) or _as_it_is(result)
    rows = getattr(result, "rows", None)
    if rows and hasattr(rows[0], "recommended"):  # a table of gains: its first row
        source = _as_it_is(rows[0].recommended)
        phi = getattr(rows[0], "activation", None)
    else:
        phi = getattr(source, "activation", None)
    if phi is None or not isinstance(phi, (str, AbstractActivation)):
        raise SpecError(
            f"{type(result).__name__} does not know which activation it is of, so the explorer "
            "has nowhere to open; use chione.explore(activation, sigma_w, sigma_b)."
        )
    state: dict[str, Any] = {"activation": spelled(activation(phi))}
    for key in ("sigma_w", "sigma_b"):
        value = getattr(source, key, None)
        if isinstance(value, (int, float)):
            state[key] = min(max(float(value), 0.0), 20.0)
    for key, most in (("depth", 1000), ("width", 1_000_000)):
        value = getattr(source, key, None)
        if isinstance(value, int) and not isinstance(value, bool):
            state[key] = min(max(value, 1), most)
    if getattr(source, "weights", None) == "orthogonal":
        state["weights"] = "orthogonal"
    return state


def _as_it_is(advice: Any) -> Any:
    """A recommendation for the activation itself, where the best one changes the activation."""
    if getattr(advice, "name", "") != "affine change":
        return advice
    others = [o for o in advice.alternatives if o.name != "affine change"]
    return others[0] if others else None
