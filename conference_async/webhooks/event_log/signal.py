"""A signal between processes of one machine that costs nothing while nothing changes."""

import asyncio
import hashlib
import os
import socket
import sys
import tempfile
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from conference_async.home import Home

_POLL: Final = 0.05
_HAS_SOCKETS: Final = hasattr(socket, "AF_UNIX")
_LONGEST: Final = 103
"""The longest path of a socket, in bytes, on the system that allows the least."""


class ChangeSignal:
    """Wakes every process that watches a file when one of them says that it changed.

    Each watcher has a Unix datagram socket in a folder beside the file, where whoever shares the
    file finds it, also from another container; or, as a socket's path cannot be long, in one of
    the system's folder for temporary files. Whoever changes the file sends an empty datagram to
    each. Where there are no such sockets watchers look again and again. To be made in a thread,
    since it looks at the disk.

    Args:
        path: The file; only its name counts, it is not touched.
    """

    def __init__(self, path: Path) -> None:
        self._folder = _folder_of(path.resolve())
        self._socket: socket.socket | None = None
        self._address: Path | None = None
        self._polling: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._home = Home()
        self._watchers: set[asyncio.Event] = set()

    @contextmanager
    def watch(self) -> Generator[asyncio.Event]:
        """Give an event that is set once the file has changed."""
        changed = asyncio.Event()
        self._listen()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    @contextmanager
    def turn(self) -> Generator[None]:
        """Wait, in a thread, until no other process of this machine changes the file.

        SQLite would look again and again, ever more rarely, while others slip in. Where there are
        no such locks, it does.
        """
        if sys.platform == "win32":
            yield
            return
        import fcntl

        with self._folder.with_name(f"{self._folder.name}.turn").open(
            "ab"
        ) as lock:  # to close it lets go
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def send(self) -> None:
        """Wake everybody who watches, from a thread; those that are gone are forgotten."""
        if not _HAS_SOCKETS:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            for each in self._others():
                try:
                    sender.sendto(b"", str(each))
                except BlockingIOError:
                    pass  # it has not read what was sent before, and will look anyway
                except OSError:
                    each.unlink(missing_ok=True)

    def _others(self) -> Sequence[Path]:
        try:
            return [*self._folder.iterdir()]
        except FileNotFoundError:  # see `lost`
            return ()

    def lost(self) -> bool:
        """Return, in a thread, whether somebody removed this process's socket, as cleaners do.

        To close it, and watch again, makes a new one.
        """
        if self._address is None or self._address.exists():
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return True

    def close(self) -> None:
        """Stop listening; watching again listens again."""
        if self._polling is not None:
            self._polling.cancel()
        listener, self._socket, self._address, self._polling = self._socket, None, None, None
        if listener is not None:
            # A child shares its parent's poll: to take the socket out of it deafens the parent.
            if self._loop is not None and not self._loop.is_closed() and not self._home.forked:
                self._loop.remove_reader(listener)
            listener.close()  # whoever sends next removes its name

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self._home.here and (self._socket is not None or self._polling is not None):
            return
        self.close()
        if self._home.settle("make one for each loop", what="log of events"):
            self._watchers = set()
        self._loop = loop
        try:
            self._bind(loop)
        except OSError:  # not every file system has sockets
            self._poll(loop)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if not _HAS_SOCKETS:
            raise OSError("there are no sockets with names")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self._folder / uuid.uuid4().hex
        try:
            listener.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            listener.bind(str(address))
        except BaseException:
            listener.close()
            raise
        loop.add_reader(listener, self._read)
        self._socket, self._address = listener, address

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while self._socket is not None:
                self._socket.recv(1)
        self._wake()

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        self._wake()
        self._polling = loop.call_later(_POLL, self._poll, loop)


def _folder_of(path: Path) -> Path:
    """Return a folder for the sockets of those who watch a file, and make it."""
    beside = path.with_name(f"{path.name}-wake")
    if len(os.fsencode(beside / uuid.uuid4().hex)) <= _LONGEST:
        with suppress(OSError):
            beside.mkdir(mode=0o700, exist_ok=True)
            return beside
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir(), f"conference_async-{user}-{name}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
