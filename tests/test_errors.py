"""The user's errors are one line, whatever is told."""

from __future__ import annotations

import pytest

from phashopt.errors import SHOWN, DataError, UserError, meant


@pytest.mark.parametrize("error", [UserError, DataError])
@pytest.mark.parametrize("text", ["a\nb", "a\r\n  b\n", "a\u2028b", "a\x85b", "a\tb"])
def test_an_error_is_one_line_whatever_was_given(error: type[UserError], text: str) -> None:
    assert str(error(text)) == "a b"


@pytest.mark.parametrize(
    ("word", "known", "end"),
    [
        ("widht", ["widths", "epochs"], "; did you mean 'widths'?"),
        ("dog", ["0", "1"], "; known are 0, 1"),
        ("dog", [], "; known are none"),
        ("dog", [str(number) for number in range(100)], f"; known are {', '.join(map(str, range(SHOWN)))}, ..."),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest_or_with_what_there_is(
    word: str, known: list[str], end: str
) -> None:
    assert meant(word, known) == end
