"""The one error that is the user's to mend."""


class UserError(Exception):
    """Bad input: one line that says what is wrong and how to mend it. The command line exits with status 2."""

    def __init__(self, line: str) -> None:
        super().__init__(" ".join(line.split()))  # what a user gave, or a library said, may hold line breaks


class DataError(UserError):
    """A data set that is missing or unreadable; the line names the file or the places looked in."""
