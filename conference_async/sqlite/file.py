"""One SQLite file, and the thread that works on it."""

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from conference_async.rooted import Rooted, of_the_parent
from conference_async.sqlite.handle import Handle, absolute

T = TypeVar("T")


class SQLiteFile(Rooted):
    """One SQLite file, and the one thread of ours that works on it: the loop is never blocked.

    The loop's own threads are the user's, and may all be busy. A whole piece of work crosses to
    the thread and back once, and not, as with aiosqlite, once for each statement.

    Every piece of work fails if the file is not the one at its path. The object may be used under
    one event loop after the other. It is closed for a fork, which waits for the work under way:
    SQLite would inherit what it knows of its parent's locks and log. The parent opens it again with
    its next work; in the child it is closed, until it is opened there.

    Args:
        path: The file, made if it does not exist; None for one that nobody else sees and that is
            gone when it is closed.
        prepare: Called with each new connection, in the thread, also twice: makes what is not
            there yet.
        busy: Seconds to wait while another process holds the file.
        read_only: Whether to open an existing file for reading only.
        private: Whether only its owner may read it, also where it was there before.

    Raises:
        ConfigurationError: The path can be no file's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        prepare: Callable[[sqlite3.Connection], None],
        busy: float,
        read_only: bool = False,
        private: bool = True,
    ) -> None:
        self.path: Path | None = None if path is None else absolute(path)
        self._make = partial(
            Handle.on, self.path, prepare, busy=busy, read_only=read_only, private=private
        )
        self._handle: Handle | None = None
        self._aside: Handle | None = None
        self._closing: weakref.finalize[..., Any] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._at_work = threading.RLock()
        _files.add(self)

    @property
    def is_open(self) -> bool:
        """Whether this process has it open."""
        self._notice_fork()
        return self._handle is not None or self._aside is not None

    async def open(self) -> None:
        """Open it, if it is not open.

        Raises:
            sqlite3.Error: It cannot be opened.
            OSError: It cannot be made.
        """
        await self.in_thread(self._open)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do one piece of work in the thread, after all that was asked for before.

        It is done also if the caller is cancelled while it waits.

        Raises:
            Moved: The file is no longer at its path; what was written may be lost.
            sqlite3.Error: The file is not open, or the work fails.
        """
        return await self.in_thread(lambda: self.do(work))

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Call a function in the thread, and return what it returns.

        It is called also if the caller is cancelled; what it raises is nobody's then.
        """
        answer = self.submit(call)
        answer.add_done_callback(_seen)
        return await asyncio.shield(answer)

    def submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Let a function be called in the thread, after all that was asked for before."""
        self._notice_fork()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="conference_async.sqlite")
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do one piece of work at once, for whoever is in the thread already.

        Raises:
            Moved: The file is no longer at its path; what was written may be lost.
            sqlite3.Error: The file is not open, or the work fails.
        """
        with self._at_work:
            if self._aside is not None:
                self._open()
            handle = self._handle
            if handle is None:
                raise sqlite3.ProgrammingError("it is closed")
            handle.check()
            answer = work(handle.connection)
            handle.check()
            return answer

    async def aclose(self) -> None:
        """Close it when what was asked for is done; `open` opens it again."""
        self._notice_fork()
        if self._thread is not None:
            thread = self._thread
            await self.in_thread(self._close)
            if self._thread is thread and self._handle is None:
                self._thread = None
                thread.shutdown(wait=False)

    def _open(self) -> None:
        with self._at_work:
            if self._aside is not None:
                self._aside.check(closed=True)
            if self._handle is None:
                self._handle = self._make()
                self._closing = weakref.finalize(self, self._handle.close)
            self._aside = None

    def _close(self) -> None:
        with self._at_work:
            closing, self._handle, self._closing = self._closing, None, None
            self._aside = None
            if closing is not None:
                closing()

    def stop(self) -> None:
        """Wait for the work under way, let none begin, and close it for a moment."""
        self._at_work.acquire()
        handle = self._handle
        if handle is not None and self.path is not None and self._process == os.getpid():
            with suppress(sqlite3.Error):
                self._close()
            self._aside = handle

    def go_on(self) -> None:
        """Let work begin again."""
        self._at_work.release()

    def go_on_in_child(self) -> None:
        """Let work begin in a process of which only this thread is there."""
        self._at_work = threading.RLock()

    def _notice_fork(self) -> None:
        if self._process != os.getpid():
            if self._closing is not None:
                self._closing.detach()
                of_the_parent.append(self._handle)
            self._handle = self._aside = self._closing = self._thread = None
            self._process = os.getpid()


_files: "weakref.WeakSet[SQLiteFile]" = weakref.WeakSet()
_stopped: list[SQLiteFile] = []


def _stop() -> None:
    for file in [*_files]:
        file.stop()
        _stopped.append(file)


def _go_on() -> None:
    while _stopped:
        _stopped.pop().go_on()


def _go_on_in_child() -> None:
    while _stopped:
        _stopped.pop().go_on_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stop, after_in_parent=_go_on, after_in_child=_go_on_in_child)


def _seen(answer: asyncio.Future[Any]) -> None:
    """Let nothing be logged of a failure that nobody waited for."""
    if not answer.cancelled():
        answer.exception()
