"""One connection to an SQLite file, from its making to its close; everything here blocks."""

import errno
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Self, TypeAlias

import attrs

from conference_async.errors import ConfigurationError
from conference_async.sqlite import holds
from conference_async.sqlite.holds import Hold, Taken

_SHARED_FIRST, _SHARED_SIZE = 0x4000_0002, 510
"""The bytes that SQLite locks together while a file is in use; whoever deletes its log locks them
alone."""

_OWNER_ONLY = 0o600
_PRIMARY = 0xFF
"""The part of an error's code that says its kind."""

_ASKED_AGAIN = 0.01
"""Seconds between two tries at a file that another process has to itself for a moment."""

_log = logging.getLogger("conference_async.sqlite")

Identity: TypeAlias = tuple[int, int]
"""A file's device and number, whatever its names."""

_kept: "dict[Identity, _Kept]" = {}


class Moved(sqlite3.OperationalError):
    """The file is no longer the one at its path: nobody would find what is written to it."""


@attrs.define
class _Kept:
    """A hold that keeps a file's log from being deleted, for all handles of this process."""

    hold: Hold
    users: int = 0


@attrs.frozen(eq=False)
class Handle:
    """An open connection to a file."""

    connection: sqlite3.Connection

    _places: Mapping[Path, Identity] = attrs.field(factory=dict[Path, Identity])
    """Which files are the database and its log, and where they have to be found."""

    _kept_as: Identity | None = None
    _process: int = attrs.field(factory=os.getpid)

    @classmethod
    def on(
        cls,
        path: Path | None,
        prepare: Callable[[sqlite3.Connection], None],
        *,
        busy: float,
        read_only: bool,
        private: bool,
    ) -> Self:
        """Return a connection to the file, as `SQLiteFile` says.

        Raises:
            sqlite3.Error: It cannot be opened, or has a second name.
            OSError: It cannot be made.
        """
        if path is None:  # SQLite's own temporary file: it spills to the disk as it grows
            return cls(_connect("", busy, prepare))
        path = path.resolve()  # SQLite keeps its log beside the file that a link leads to
        address = f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}"
        if not read_only:
            _make(path, private=private)
            # The first connection may have to lock the file alone, which the hold would not allow.
            # It also finds out whether the file is ours: nothing of anybody else's is changed.
            _connect(address, busy, prepare).close()
            if private:
                for ending in ("", "-wal", "-shm"):
                    make_private(path.with_name(path.name + ending))
        with holds.guard:
            identity = _only_name(path)
            _keep(path, identity, busy)
        try:
            connection = _connect(address, busy, prepare)
        except BaseException:
            _release(identity, None)
            raise
        places = {path: identity}
        log = path.with_name(f"{path.name}-wal")
        if (its_identity := _identity(log)) is not None:
            places[log] = its_identity
        return cls(connection, places, identity)

    def check(self, *, closed: bool = False) -> None:
        """Refuse to go on with a file that is no longer the one at its path.

        Args:
            closed: Whether it was closed meanwhile, so that its log may be gone.

        Raises:
            Moved: It is not.
        """
        for path, identity in islice(self._places.items(), 1 if closed else None):
            if _identity(path) != identity:
                raise Moved(
                    f"{path.name} was moved, deleted or replaced while it was in use; put back "
                    "what was there, and look what it holds before going on"
                )

    def close(self) -> None:
        """Close it; the last one of this process lets SQLite tidy up."""
        if self._process != os.getpid():
            return  # a fork leaves its parent's alone
        if self._kept_as is None:
            self.connection.close()
        else:
            _release(self._kept_as, self.connection)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return a path that stays the same wherever the process goes.

    Raises:
        ConfigurationError: It can be no file's.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str) or "\0" in text or text in {"", ":memory:"}:
        raise ConfigurationError(f"a file is kept at a path such as 'campaign.db', not at {path!r}")
    return Path(text).absolute()


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy a database as it stands to a new file, for its owner only.

    Raises:
        FileExistsError: There is a file already.
        OSError: It cannot be made.
        sqlite3.Error: It cannot be written.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))
    try:
        target = sqlite3.connect(path)
        try:
            connection.backup(target)
        finally:
            target.close()
    except BaseException:
        path.unlink()
        raise


def _connect(
    address: str, busy: float, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    gives_up = time.monotonic() + busy
    while True:
        try:
            return _connected(address, busy, prepare)
        except sqlite3.OperationalError as error:
            # Whoever turns the log on waits for nobody: of processes that start together one
            # does, and the others have to ask again.
            code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
            if code != sqlite3.SQLITE_BUSY or time.monotonic() > gives_up:
                raise
        time.sleep(_ASKED_AGAIN)


def _connected(
    address: str, busy: float, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address, uri=True, timeout=busy, isolation_level=None, check_same_thread=False
    )
    try:
        prepare(connection)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path, *, private: bool) -> None:
    """Make a file that is not there; close none that is, as that would drop its locks."""
    with holds.guard:
        try:
            mode = _OWNER_ONLY if private else 0o666
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
        except FileExistsError:
            _refuse_unusable(path)


def _refuse_unusable(path: Path) -> None:
    """Say what is wrong with it, of which SQLite would say only that it cannot be opened."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not path.is_file():  # what is written to a device is not there afterwards
        raise OSError(errno.ENODEV, "it is a device or a pipe, not a file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def make_private(path: Path) -> None:
    """Let only its owner read and write a file, if it is there."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & ~_OWNER_ONLY:
            path.chmod(_OWNER_ONLY)
    except FileNotFoundError:
        pass
    except PermissionError:
        _log.warning("%s belongs to another user, and others may read it", path.name)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _only_name(path: Path) -> Identity:
    found = path.stat()
    if found.st_nlink > 1:
        raise sqlite3.OperationalError(
            f"{path.name} has a second name (a hard link), and SQLite would keep a log for each: "
            "remove one of them"
        )
    return found.st_dev, found.st_ino


def _keep(path: Path, identity: Identity, busy: float) -> None:
    if identity not in _kept:
        _kept[identity] = _Kept(_held(path, busy))
    _kept[identity].users += 1


def _held(path: Path, busy: float) -> Hold:
    gives_up = time.monotonic() + busy
    while True:
        try:
            return Hold(path, _SHARED_FIRST, _SHARED_SIZE, alone=False)
        except Taken as error:
            if time.monotonic() > gives_up:
                raise sqlite3.OperationalError("another process has it to itself") from error
        time.sleep(_ASKED_AGAIN)


def _release(identity: Identity, connection: sqlite3.Connection | None) -> None:
    with holds.guard:
        kept = _kept.get(identity)
        last = kept is not None and kept.users == 1
        if kept is not None and last:
            kept.hold.release()
        if connection is not None:
            connection.close()
        if kept is not None:
            kept.users -= 1
            if last:
                kept.hold.close()
                del _kept[identity]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.clear)
