"""How dialling goes on: a live line on a terminal, plain lines now and then elsewhere."""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from conference_async.cli.problems import say

EVERY = 5.0
"""Seconds between two plain lines."""

_WIDTH = 20
"""Characters of the bar, so that its line fits on a terminal of 80."""

_PAUSE = 3.0
"""Seconds without an outcome that are no sign of a lower rate."""

_RECENT = 31
"""How many outcomes the rate is taken from."""


class _Note(ProgressColumn):
    """Words that are made whenever the line is drawn, so that they do not grow old."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:  # noqa: ARG002 -- the base class's signature
        """Return the words of this moment."""
        return Text(self._words())


class DialProgress:
    """Counts outcomes and shows rate, ETA and queue time on stderr while it is entered.

    Args:
        total: How many targets there are; if none, only what comes all the same is shown.
        cps: The calls per second that they are dialled at.
        quiet: Whether to show nothing.
    """

    def __init__(self, total: int, *, cps: float, quiet: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._total, self._cps, self._quiet = total, cps, quiet
        self._queue_time = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._said, self._said_of = time.monotonic(), 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._total and not self._quiet and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("dialling"),
                BarColumn(bar_width=_WIDTH),
                MofNCompleteColumn(),
                _Note(self._note),
                console=Console(stderr=True, highlight=False, emoji=False),
            )
            self._task = self._bar.add_task("dialling", total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif not self._quiet and self.counts.total() > self._said_of:
            say(self._line())

    def count(self, state: str, *, queue_time: int = 0, problem: str | None = None) -> None:
        """Take note of one outcome.

        Args:
            state: How it ended.
            queue_time: Milliseconds that the service queues calls for.
            problem: A line about what went wrong, masked.
        """
        self.counts[state] += 1
        self._queue_time = queue_time
        self._recent.append(time.monotonic())
        if problem is not None and not self._quiet:
            self._tell(problem)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.counts.total())
        elif not self._quiet and time.monotonic() - self._said >= EVERY:
            self._said, self._said_of = time.monotonic(), self.counts.total()
            say(self._line())

    def _note(self) -> str:
        rate, left = self._rate(), max(0, self._total - self.counts.total())
        pace = [f"{rate:.1f}/s"] if rate else []
        eta = [f"ETA {timedelta(seconds=round(left / (rate or self._cps)))}"] if left else []
        counts = [f"{number} {state}" for state, number in self.counts.items()]
        queue = [f"queue {self._queue_time} ms"] if self._queue_time else []
        return ", ".join([*pace, *eta, *counts, *queue])

    def _line(self) -> str:
        return f"{self.counts.total()} of {self._total}: {self._note()}"

    def _rate(self) -> float:
        if len(self._recent) < 2:  # noqa: PLR2004 -- a rate lies between two instants
            return 0.0
        # While nothing happens, the time since the last outcome counts, too.
        until = max(self._recent[-1], time.monotonic() - _PAUSE)
        return (len(self._recent) - 1) / max(until - self._recent[0], 1e-3)

    def _tell(self, problem: str) -> None:
        if self._bar is None:
            say(problem)
        else:
            self._bar.console.print(f"conference-async: {problem}", markup=False)
