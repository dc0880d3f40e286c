"""The names of `bat.files`, for code that still imports them from here."""

from bat.errors import ArtifactError, DamagedError, MisplacedError  # noqa: F401
from bat.files import *  # noqa: F403
