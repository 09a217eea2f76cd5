"""The fixture ``assert_initialized`` for pytest; nothing is loaded before a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_initialized() -> Callable[..., None]:
    """:func:`chione.torch.assert_initialized`: fails with a table of what is not as declared.

    Examples
    --------
    A test of one's own model::

        def test_my_model_is_initialised_as_gpt2(assert_initialized):
            assert_initialized(MyModel(), "gpt2")
    """

    def check(model: Any, declared: Any, **options: Any) -> None:
        __tracebackhide__ = True
        torch = pytest.importorskip("torch", reason="chione.torch needs torch")
        assert torch
        from chione.torch import assert_initialized as checked

        try:
            checked(model, declared, **options)
        except AssertionError as err:
            pytest.fail(str(err), pytrace=False)

    return check
