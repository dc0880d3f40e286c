"""The one error that users see."""


class BatError(ValueError):
    """Something that the user can put right: a wrong setting, file or table.

    The message says what was found, what was expected and what to do. The
    command line prints it without a traceback and ends with status 2.
    """
