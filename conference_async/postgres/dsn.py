"""Connection strings: which are ones, and what every connection is made with."""

import os
import re
from typing import TYPE_CHECKING

from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIVELY: "Mapping[str, int]" = {
    "connect_timeout": 5,
    # A peer that is gone is known to be after eleven seconds, also while nothing is asked of it.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def lively(dsn: str) -> str:
    """Return a connection string whose connections notice when the other side is gone.

    What it says itself about time-outs and keepalives holds.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    said = conninfo_to_dict(dsn)
    return make_conninfo(dsn, **{name: _LIVELY[name] for name in _LIVELY if name not in said})


def in_database(where: str | os.PathLike[str]) -> bool:
    """Return whether a place is the URL of a database, and not the path of a file."""
    return os.fspath(where).startswith(("postgresql://", "postgres://"))


def check_dsn(dsn: str, purpose: str) -> None:
    """Refuse what cannot be connected to, without a word of what it holds.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigurationError(
            f'{purpose} needs psycopg: pip install "conference-async[cluster]"'
        ) from error
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except (ProgrammingError, TypeError, ValueError, AttributeError):
        parts = None
    if parts is None or "\0" in dsn:
        raise ConfigurationError(
            "the connection string must be like postgresql://host/database"
        ) from None  # what is wrong with it may be its password
    # Where a password is not quoted, a part of it ends up in one of these, and in error messages.
    port, places = parts.get("port", ""), parts.get("host", "") + parts.get("dbname", "")
    if not re.fullmatch(r"[0-9, ]*", port) or "@" in places:
        raise ConfigurationError(
            "the connection string is not clear: in a user's name or password write @ as %40, "
            "/ as %2F, : as %3A, # as %23, ? as %3F and % as %25"
        )
