"""The one error that is the user's to mend, and the words that help to."""

from collections.abc import Collection
from difflib import get_close_matches

SHOWN = 12  # of what is known, where nothing is alike


class UserError(Exception):
    """Bad input: one line that says what is wrong and how to mend it. The command line exits with status 2."""

    def __init__(self, line: str) -> None:
        super().__init__(" ".join(line.split()))  # what a user gave, or a library said, may hold line breaks


class DataError(UserError):
    """A data set that is missing or unreadable; the line names the file or the places looked in."""


class NotFiniteError(UserError):
    """A network that cannot be read, since its weights or its reconstructions hold NaN or Inf; the line names where."""


def meant(word: str, known: Collection[str], *, alike: float = 0.5) -> str:
    """How a line on an unknown word ends: the nearest known one, if it is `alike` in [0, 1] or more, else some."""
    close = get_close_matches(word, known, n=1, cutoff=alike)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = ", ..." if len(known) > SHOWN else ""
    return f"; known are {', '.join(list(known)[:SHOWN]) or 'none'}{more}"
