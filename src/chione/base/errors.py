"""The few errors that chione raises on purpose."""

from __future__ import annotations


class ChioneError(Exception):
    """Base of all errors that chione raises beside ``ValueError`` and ``TypeError``."""


class ConvergenceError(ChioneError):
    """A computation has no answer, or did not reach it.

    Parameters
    ----------
    message : str
        One sentence for the reader.
    result : object, optional
        The partial result, so that nothing that was computed is lost.
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class CostError(ChioneError, ValueError):
    """A call would cost more than was allowed; the message has the estimate and the way out."""


class EngineError(ChioneError):
    """What was to run the work cannot be had, or has gone away; what was finished is kept."""


class SpecError(ChioneError, ValueError):
    """The description of an activation, a network or a plot cannot be understood."""


class NoPictureError(ChioneError, TypeError):
    """There is no picture for this kind of object."""


class UnsupportedModuleError(ChioneError, TypeError):
    """A module of a framework that chione has no rule for."""


class UnsupportedLayerError(ChioneError, NotImplementedError):
    """A layer, or what stands before it, that chione has no rule for; the message has the place."""


class MissingExtraError(ChioneError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; "
            f"in a checkout of chione install it with: pip install '.[{extra}]'."
        )
