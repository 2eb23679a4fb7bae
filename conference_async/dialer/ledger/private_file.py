"""Files with people's numbers: whole or not there at all, and readable by their owner only."""

import errno
import os
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO


class PrivateFile:
    """A text file that replaces the one at its path when it is kept.

    What stood there before may have been readable by others; its successor is not, and whoever
    has the old one open reads nothing new. A link is followed. Everything here blocks on the disk;
    each step may run in a thread of its own, and a discarded file stays discarded whatever a
    thread that was not waited for still does.

    Args:
        path: Where it is to stand.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self._over = False

    def write(self, lines: Iterable[str]) -> None:
        """Add lines, which bring their line breaks along.

        Raises:
            OSError: The file cannot be made or written to.
        """
        with self._lock:
            if not self._over:
                self._file = self._file or self._made()
                self._file.writelines(lines)

    def _made(self) -> TextIO:
        try:
            self._path = Path(os.path.realpath(self._path))
        except ValueError as error:  # the path holds a NUL
            raise OSError(errno.EINVAL, str(error)) from error
        descriptor, self._name = tempfile.mkstemp(prefix=".unfinished-", dir=self._path.parent)
        return os.fdopen(descriptor, "w", encoding="utf-8", newline="")

    def keep(self) -> None:
        """Put what was written in its place.

        Raises:
            OSError: It cannot be written or put there.
        """
        with self._lock:
            if self._file is not None:
                self._file.close()
                Path(self._name).replace(self._path)
                self._file = None

    def discard(self) -> None:
        """Remove what was written and not kept."""
        with self._lock:
            self._over = True
            if self._file is not None:
                self._file.close()
                Path(self._name).unlink(missing_ok=True)
                self._file = None


def write_privately(path: Path, lines: Iterable[str]) -> None:
    """Write a whole file that only its owner can read, in the place of any that is there.

    Args:
        path: Where it is to stand.
        lines: What it holds.

    Raises:
        OSError: It cannot be written.
    """
    file = PrivateFile(path)
    try:
        file.write(lines)
        file.keep()
    finally:
        file.discard()
