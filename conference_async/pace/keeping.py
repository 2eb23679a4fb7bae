"""What one process knows of the account's lines, and how it learns it.

A line is free when its call ended: a callback says so, or, while somebody waits for a line, a look
at the account's live calls. That look also finds what no callback tells: what became of a create
that got no answer, the lines of a process that died, and calls of other software.
"""

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

import attrs

from conference_async.errors import ConfigurationError
from conference_async.pace.contract import LookAtCalls, check_lines
from conference_async.pace.line import Priority
from conference_async.pace.lines import LineCount, LineNews, LineWish, judge
from conference_async.privacy import words_of
from conference_async.time_limits import time_limit

LOOK_WITHIN = 5.0
"""Seconds that a look at the account's calls may take."""

_FULL = frozenset({10004, 16021})
"""The account has as many live calls as it may have: as the service says of calls, and of
participants."""

_TRIES = 3
"""Looks that may fail in a row before a refusal is taken to mean what is known without them."""

_PAUSE = 0.5

_REMEMBERED = 4096
"""Calls that ended are remembered, since their end may be heard before the create's answer."""

_MOST_CLIENTS = 8
_log = logging.getLogger("conference_async.pace")


class Lines:
    """Learns of lines for one limit of this process.

    Args:
        max_live: How many lines the account has.
        reserved: How many of them bulk creates leave to interactive ones.
        ages: Returns the lines that are taken, as `LineStore.lines` does.
        tell: Called with what was learned.

    Raises:
        ConfigurationError: No account can have such lines.
    """

    def __init__(
        self,
        max_live: int,
        reserved: int,
        *,
        ages: Callable[[], Awaitable[Mapping[str, float]]],
        tell: Callable[[LineNews], object],
    ) -> None:
        check_lines(max_live, reserved)
        self.max_live = max_live
        self.reserved = reserved
        self.count: LineCount | None = None
        """How the lines stood when that was last said."""
        self.finished: int = 0
        """How many looks at the account's calls have ended."""
        self._ages = ages
        self._tell = tell
        self._looks: OrderedDict[LookAtCalls, None] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()
        self._looking: asyncio.Task[None] | None = None
        self._full = False
        self._missed = 0
        self.learning: bool = False
        """Whether the service refused a create, and it is not known yet how many it allows."""

    def moved(self) -> None:
        """Leave behind what belongs to another event loop."""
        self._looking = None
        self._full = self.learning = False
        self._looks.clear()

    def wish(self, priority: Priority, name: str) -> LineWish:
        """Return what a create asks for."""
        return LineWish(
            name=name,
            max_live=self.max_live,
            spare=0 if priority is Priority.INTERACTIVE else self.reserved,
            can_look=bool(self._looks),
        )

    def for_all(self, count: LineCount) -> bool:
        """Return whether the line that was just taken is one that bulk creates may have."""
        return count.live <= max(1, count.lines - self.reserved)

    def look_with(self, look: LookAtCalls) -> None:
        """Take what the account's live calls can be found with; the latest is tried first."""
        self._looks[look] = None
        self._looks.move_to_end(look)
        if len(self._looks) > _MOST_CLIENTS:
            self._looks.popitem(last=False)

    def apply(self, event: object) -> None:
        """Note that a call ended, if that is what an event says."""
        sid, kind = getattr(event, "call_sid", None), getattr(event, "kind", None)
        # Who left one conference may have gone on elsewhere, on the same call.
        left = kind == "participant-leave" and getattr(event, "call_status", "") != "in-progress"
        if isinstance(sid, str) and sid and (left or kind == "completed"):
            self._over[sid] = None
            if len(self._over) > _REMEMBERED:
                self._over.popitem(last=False)
            self._tell(LineNews(over={sid}))

    def answered(self, name: str, *, call_sid: str | None, code: int | None) -> None:
        """Note what became of the create that took a line."""
        if call_sid is not None:
            over = call_sid in self._over  # it ended before its create was answered
            self._tell(LineNews(over={name}) if over else LineNews(placed={name: call_sid}))
        elif code in _FULL:
            _log.warning(
                "the service refused a call (error %s): the account has as many live calls as it "
                "may have; the limit of %d is lowered until more are allowed",
                code,
                self.max_live,
            )
            self._tell(LineNews(over={name}))
            self._full = self.learning = True
            self.look()
        else:
            self._tell(LineNews(over={name}))

    def heard(self, live: int) -> None:
        """Note how many lines are taken, as the store said."""
        if self.count is not None:
            self.count = attrs.evolve(self.count, live=live)

    @staticmethod
    def new_name() -> str:
        """Return a name for a line that nobody else uses."""
        return os.urandom(8).hex()

    def free(self, *names: str) -> None:
        """Give up lines that no create will use."""
        self._tell(LineNews(over=set(names)))

    @property
    def looking(self) -> bool:
        """Whether a look at the account's calls is under way."""
        return self._looking is not None

    def look(self) -> None:
        """Look at the account's live calls, if that can be done and is not being done."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        full, self._full = self._full, False
        news = LineNews(full=full)
        try:
            ages = await self._ages()
            while self._looks:
                look = next(reversed(self._looks))
                try:
                    async with time_limit(LOOK_WITHIN):
                        live = await look()
                except ConfigurationError:  # its client is closed; another may wait for a line
                    self._looks.pop(look, None)
                else:
                    news = judge(ages, live - self._over.keys(), full=full)
                    self._missed = 0
                    break
        except Exception as error:  # noqa: BLE001 -- whatever a client or a store raises: the next look tells
            self._missed += 1
            news = LineNews(full=full, looked=True)  # nobody waits for what cannot be done
            if full and self._missed < _TRIES:
                # What is known by itself may be too little: it would teach too few lines.
                self._full, news = True, LineNews()
                await asyncio.sleep(_PAUSE)
            _log.debug("the account's live calls cannot be looked at (%s)", words_of(error))
        finally:
            self._looking = None
            self.finished += 1
            self.learning = self._full
            self._tell(news)
        if self._full:  # refused meanwhile
            self.look()

    async def aclose(self) -> None:
        """End what runs in the background."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
