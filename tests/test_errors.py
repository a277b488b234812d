"""The user's errors are one line, whatever is told."""

from __future__ import annotations

import pytest

from phashopt.errors import DataError, UserError


@pytest.mark.parametrize("error", [UserError, DataError])
@pytest.mark.parametrize("text", ["a\nb", "a\r\n  b\n", "a\u2028b", "a\x85b", "a\tb"])
def test_an_error_is_one_line_whatever_was_given(error: type[UserError], text: str) -> None:
    assert str(error(text)) == "a b"
