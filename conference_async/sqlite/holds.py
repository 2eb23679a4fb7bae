"""Locks on files that last until they are let go of, whatever else this process does to the file.

POSIX locks, which SQLite uses, belong to a process and a file: whatever closes any handle of the
file drops them all, be it a copy, a back-up or `Path.read_bytes`. SQLite then goes on without
them, and another process may delete the log that it writes to. Linux has locks that belong to a
handle instead. One of those, on the bytes that SQLite locks itself, stands in where its own are
lost: other processes cannot tell them apart.
"""

import errno
import os
import struct
import sys
import threading
from pathlib import Path

import attrs

_TAKEN = {errno.EAGAIN, errno.EACCES}

guard: threading.RLock = threading.RLock()
"""Held while files are opened and closed: to close one handle of a file matters to all others."""

_handles: set[int] = set()


class Taken(OSError):
    """Another handle holds the bytes, here or in another process."""


@attrs.define(eq=False)
class Hold:
    """Some bytes of a file that are held; made, released and closed under `guard`.

    Where the system has no such locks it holds nothing, and does no harm.

    Args:
        path: The file; it is made, for its owner only, if it does not exist.
        offset: The first byte.
        length: How many.
        alone: Whether nobody else may hold them.

    Raises:
        Taken: Somebody else holds them.
        OSError: The file cannot be opened.
    """

    path: Path
    offset: int
    length: int
    alone: bool = attrs.field(kw_only=True)
    _handle: int | None = attrs.field(init=False, default=None, repr=False)
    _process: int = attrs.field(init=False, factory=os.getpid, repr=False)

    def __attrs_post_init__(self) -> None:
        if sys.platform != "linux":
            return
        flags = os.O_RDWR | os.O_CREAT if self.alone else os.O_RDONLY
        self._handle = os.open(self.path, flags | os.O_CLOEXEC, 0o600)
        _handles.add(self._handle)
        try:
            self._lock(release=False)
        except BaseException:
            self.close()
            raise

    def release(self) -> None:
        """Let go of the bytes, and keep the handle: to close it would drop SQLite's own locks."""
        self._lock(release=True)

    def close(self) -> None:
        """Let go of the file, and with it of all locks that this process has on it."""
        handle, self._handle = self._handle, None
        if handle is not None and self._process == os.getpid():  # else a fork has closed it
            _handles.discard(handle)
            os.close(handle)

    def _lock(self, *, release: bool) -> None:
        if sys.platform != "linux" or self._handle is None:
            return
        import fcntl

        kind = fcntl.F_UNLCK if release else fcntl.F_WRLCK if self.alone else fcntl.F_RDLCK
        wanted = struct.pack("hhqqi4x", kind, os.SEEK_SET, self.offset, self.length, 0)
        try:
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, wanted)
        except OSError as error:
            if error.errno in _TAKEN:
                raise Taken(error.errno, "held by another") from error
            # A file system without such locks: SQLite's own have to do.


def held(path: Path, offset: int, length: int) -> bool:
    """Return whether another handle holds some bytes of a file; False where that cannot be known.

    It blocks, and is called under `guard`.

    Raises:
        OSError: The file cannot be opened.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, offset, length, 0)
        (kind, *_) = struct.unpack("hhqqi4x", fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked))
    finally:
        os.close(handle)
    return bool(kind != fcntl.F_UNLCK)


def _after_fork() -> None:
    """Close a child's copies: they would hold on to what its parent lets go of."""
    global guard  # noqa: PLW0603 -- a thread that the child does not have may hold it
    guard = threading.RLock()
    for handle in _handles:
        os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
