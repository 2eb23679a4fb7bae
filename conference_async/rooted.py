"""What lives in one process, and goes nowhere else."""

from typing import NoReturn

from conference_async.errors import ConfigurationError

of_the_parent: list[object] = []
"""What a parent process has open. A child that closes it, or leaves it to the garbage collector,
would speak to servers in the parent's name, undo locks that it relies on, or wake its loop: so it
is kept."""


class Rooted:
    """Part of whatever has a pace, connections or files of its own: it can only be made anew.

    A copy would keep a pace of its own on top of the one before, and a pickle the secrets.
    """

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "clients, limits, journals, ledgers and logs of events are neither pickled nor copied; "
            "make them where they are used, and share a pace by a SQLiteLimit, RedisLimit or "
            "PostgresLimit"
        )
