"""The one error that users see."""

from typing import Any

from bat.escaping import for_terminal


class BatError(ValueError):
    """Something that the user can put right: a wrong setting, file or table.

    The message says what was found, what was expected and what to do. The
    command line prints it without a traceback and ends with status 2. What it
    quotes of others' names and files is shown, and never acts on a terminal.
    """

    def __init__(self, *args: Any):
        super().__init__(*(for_terminal(arg) if isinstance(arg, str) else arg for arg in args))


class DataError(BatError):
    """What is wrong with which file of a data set, and what to do about it."""


class ArtifactError(BatError):
    """A file that is missing, damaged, of another kind, or of another data set."""


class DamagedError(ArtifactError):
    """A file of ours whose content is not what was written."""


class MisplacedError(ArtifactError):
    """A file that says it is another's than the one whose place it lies in."""


REMAKE = "remove it and run the command again that made it"
"""What to do about a file of ours that is not what it should be."""
