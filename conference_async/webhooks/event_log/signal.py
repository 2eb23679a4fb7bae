"""A signal between processes of one machine that costs nothing while nothing changes."""

import asyncio
import hashlib
import os
import socket
import sys
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from conference_async.home import Home

_POLL: Final = 0.05
_HAS_SOCKETS: Final = hasattr(socket, "AF_UNIX")


class ChangeSignal:
    """Wakes every process that watches a file when one of them says that it changed.

    Each watcher has a Unix datagram socket in a folder that belongs to the file; whoever changes
    the file sends an empty datagram to each. Where there are no such sockets watchers look again
    and again. To be made in a thread, since it looks at the disk.

    Args:
        path: The file; only its name counts, it is not touched.
    """

    def __init__(self, path: Path) -> None:
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        user = os.getuid() if hasattr(os, "getuid") else 0
        # A folder of its own, since a socket's path may have a hundred characters only.
        self._folder = Path(tempfile.gettempdir(), f"conference_async-{user}-{name}")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._socket: socket.socket | None = None
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

        with self._folder.with_suffix(".turn").open("ab") as lock:  # to close it lets go
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def send(self) -> None:
        """Wake everybody who watches, from a thread; those that are gone are forgotten."""
        if not _HAS_SOCKETS:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            for each in self._folder.iterdir():
                try:
                    sender.sendto(b"", str(each))
                except BlockingIOError:
                    pass  # it has not read what was sent before, and will look anyway
                except OSError:
                    each.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop listening; watching again listens again."""
        listener, self._socket = self._socket, None
        if listener is not None:
            # A child shares its parent's poll: to take the socket out of it deafens the parent.
            if self._loop is not None and not self._loop.is_closed() and not self._home.forked:
                self._loop.remove_reader(listener)
            listener.close()  # whoever sends next removes its name

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self._home.here and (self._socket is not None or not _HAS_SOCKETS):
            return
        self.close()
        self._home.settle("make one for each loop", what="log of events")
        self._loop, self._watchers = loop, set()
        if _HAS_SOCKETS:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            self._socket.bind(str(self._folder / uuid.uuid4().hex))
            loop.add_reader(self._socket, self._read)
        else:
            self._poll()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while self._socket is not None:
                self._socket.recv(1)
        self._wake()

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()

    def _poll(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._wake()
            self._loop.call_later(_POLL, self._poll)
