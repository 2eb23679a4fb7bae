"""What a file will answer however often it is asked."""

import errno
import sqlite3
from collections.abc import Mapping

from conference_async.errors import ConfigurationError

_PRIMARY = 0xFF
"""The part of an error's code that says its kind."""

_RIGHT = "let this user read and write the file, and its folder too, where its log is kept"
_PLACE = "name a file in a folder that is there"
_OTHER = "name a file of its own, or put a good copy back"

_BY_NUMBER: Mapping[int | None, str] = {
    errno.ENOENT: _PLACE,
    errno.ENOTDIR: _PLACE,
    errno.EISDIR: _PLACE,
    errno.ENODEV: _PLACE,
    errno.ENAMETOOLONG: _PLACE,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EROFS: _RIGHT,
}
_BY_CODE: Mapping[int, str] = {
    sqlite3.SQLITE_PERM: _RIGHT,
    sqlite3.SQLITE_READONLY: _RIGHT,
    sqlite3.SQLITE_AUTH: _RIGHT,
    sqlite3.SQLITE_NOTADB: _OTHER,
    sqlite3.SQLITE_CORRUPT: _OTHER,
}


def never(error: BaseException, purpose: str) -> ConfigurationError | None:
    """Return what a caller gets for an error that no waiting mends; None if it may pass.

    A disk that is full, a file that is busy and one that was moved away may.

    Args:
        error: What SQLite or the system raised.
        purpose: What the file is for, as the beginning of a sentence.
    """
    found = _remedy(error)
    if found is None:
        return None
    return ConfigurationError(f"{purpose} cannot be used: {words(error)}; {found}")


def place_or_right(error: BaseException) -> str | None:
    """Return what is to be done about where a file is, or who may use it; None if that is right.

    What a file holds is another matter: to name another one, or an older copy, forgets calls.
    """
    found = _remedy(error)
    return None if found == _OTHER else found


def words(error: BaseException) -> str:
    """Return what SQLite or the system says of an error."""
    return str(error.strerror if isinstance(error, OSError) else error)


def _remedy(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        return _BY_NUMBER.get(error.errno)
    code = getattr(error, "sqlite_errorcode", 0)
    moved = code == sqlite3.SQLITE_READONLY_DBMOVED
    return None if moved else _BY_CODE.get(code & _PRIMARY)
