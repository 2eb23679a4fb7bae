"""The account's lines: how many of its calls may be live at once, and which are, as far as known.

The service refuses a create beyond the account's cap on live calls (10004, 16021), whatever the
pace. So each create takes a line with its slot, and the line is free when the call ends.

A line goes by the name that its create gave it until the call is known, and by the Call SID from
then on. All instants are microseconds of one clock: the store's, or the loop's in one process.
"""

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, Self, runtime_checkable

import attrs

from conference_async.pace.contract import SECOND
from conference_async.pace.slots import Queuing, Reservation
from conference_async.privacy import described

LOOK_EVERY = SECOND // 2
"""How often, at most, the processes of an account look at its live calls together."""

UNSEEN = 5 * SECOND
"""How long a call may be missing from the account's list, which lags behind, before it is over or
was never placed."""

RECOVERY = 60 * SECOND
"""How long it takes until one line more is tried than a refusal taught."""

SEEN = -1
"""The instant noted of a call that the account's list has shown: missing from it, it is over."""

_CALL = "CA"


@attrs.frozen(kw_only=True)
class LineWish:
    """What a create asks of the lines."""

    name: str
    """The name that the line goes by until its call is known; asking twice takes one line."""

    max_live: int
    """How many lines the account has, as this process was told."""

    spare: int = 0
    """How many must stay free for others, as long as one can be used."""

    can_look: bool = False
    """Whether this process can look at the account's live calls."""

    queuing: Queuing | None = None
    """As for `QueueStore.reserve_queued`, if the create is a bulk one. The line is taken all the
    same where the slot is not near yet."""

    def __repr__(self) -> str:
        return described(self)


@attrs.frozen(kw_only=True)
class LineCount:
    """How the lines stand."""

    live: int
    """How many are taken, this one included if it was."""

    lines: int
    """How many there are: `max_live`, or fewer where refusals taught so."""

    taken: bool
    """Whether the line that was asked for is ours now."""

    look: bool = False
    """Whether this process shall look at the account's live calls: nobody did of late."""

    def __repr__(self) -> str:
        return described(self)


@attrs.frozen(kw_only=True)
class LineNews:
    """What a process has learned of lines since it last said so."""

    placed: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The Call SIDs of lines, by the lines' names."""

    seen: AbstractSet[str] = frozenset()
    """Calls that the account's list shows as live, ours or not."""

    over: AbstractSet[str] = frozenset()
    """Lines that are free, by the name that they go by; those nobody knows are ignored."""

    full: bool = False
    """Whether the service refused a create since there were too many: the calls known now are all
    that it allows."""

    looked: bool = False
    """Whether a look at the account's live calls has ended: from the first one on there are lines
    for those who can look."""

    def and_then(self, later: "LineNews") -> "LineNews":
        """Return what both say."""
        return LineNews(
            placed={**self.placed, **later.placed},
            seen=self.seen | later.seen,
            over=self.over | later.over,
            full=self.full or later.full,
            looked=self.looked or later.looked,
        )

    def __repr__(self) -> str:
        return described(self)


@runtime_checkable
class LineStore(Protocol):
    """What a store has beside a `SlotStore` so that a limit over it can have ``max_live=``.

    A store that can lock a value has only to keep a `LineBook` beside its `Pace`, for instance as
    JSON, and call its methods under the lock.
    """

    async def reserve_with_line(
        self, *, cps: float, floor: float, wish: LineWish
    ) -> tuple[LineCount, Reservation | None]:
        """Take a line, and the next slot as `SlotStore.reserve` does if there was a line.

        It is one atomic step, in one round trip.
        """
        ...

    async def lines(self) -> Mapping[str, float]:
        """Return for how many seconds each line has been taken; infinity if its call was seen."""
        ...

    async def note(self, news: LineNews) -> int:
        """Take note of news (placed first, then seen, then over, then full and looked).

        Returns:
            How many lines are taken then.
        """
        ...


@attrs.define
class LineBook:
    """The lines of one account, and the arithmetic of handing them out."""

    held: dict[str, int] = attrs.field(factory=dict[str, int])
    """When each line was taken; -1 once the account's list has shown its call."""

    learned: int | None = None
    """How many lines there were when the service last refused one; None if it never did."""

    learned_at: int = 0
    """When that was."""

    looked_at: int | None = None
    """When somebody last began to look at the account's calls; None if nobody did. Negative until
    the first look has ended."""

    def lines(self, max_live: int, now: int) -> int:
        """Return how many lines there are, of those that were asked for."""
        if self.learned is None:
            return max_live
        return min(max_live, self.learned + max(0, now - self.learned_at) // RECOVERY)

    def room(self, wish: LineWish, now: int) -> int:
        """Return how many lines are free for such a wish; below 0 if too many are taken."""
        return max(1, self.lines(wish.max_live, now) - wish.spare) - len(self.held)

    def take(self, wish: LineWish, now: int) -> LineCount:
        """Take a line if there is one.

        Before the first one somebody looks, and all wait for that, so that calls from before are
        counted: those of a program that was killed, or of other software.
        """
        first = wish.can_look and (self.looked_at is None or self.looked_at < 0)
        taken = wish.name in self.held
        if not taken and not first and self.room(wish, now) > 0:
            self.held[wish.name] = now
            taken = True
        look = not taken and wish.can_look and self.may_look(now)
        if look:
            self.looked_at = -now if first else now
        return LineCount(
            live=len(self.held), lines=self.lines(wish.max_live, now), taken=taken, look=look
        )

    def may_look(self, now: int) -> bool:
        """Return whether nobody has looked at the account's calls of late."""
        return self.looked_at is None or not 0 <= now - abs(self.looked_at) < LOOK_EVERY

    def may_look_in(self, now: int) -> float:
        """Return the seconds until somebody may look again."""
        return 0.0 if self.looked_at is None else (self.looked_at + LOOK_EVERY - now) / SECOND

    def note(self, news: LineNews, now: int) -> int:
        """Take note of news; return how many lines are taken then."""
        for name, sid in news.placed.items():
            self.held.pop(name, None)
            self.held[sid] = now
        self.held.update(dict.fromkeys(news.seen, SEEN))
        for name in news.over:
            self.held.pop(name, None)
        if news.full:
            self.learned = max(1, sum(name.startswith(_CALL) for name in self.held))
            self.learned_at = now
        if news.looked and self.looked_at is not None:  # None: forgotten meanwhile
            self.looked_at = abs(self.looked_at)
        return len(self.held)

    def ages(self, now: int) -> dict[str, float]:
        """Return for how many seconds each line has been taken, as `LineStore.lines` does."""
        return {name: age(since, now) for name, since in self.held.items()}

    def to_json(self) -> str:
        """Return it as text that `from_json` reads."""
        return json.dumps(attrs.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        """Return the book that was written as text; an empty one if there is none."""
        kept: dict[str, Any] = json.loads(text) if text else {}
        return cls(**kept)

    def __repr__(self) -> str:
        return described(self)


def age(since: int, now: int) -> float:
    """Return for how many seconds a line has been taken; infinity if its call was seen.

    A clock that was set back says nothing of how long: longer than any wait.
    """
    return math.inf if since == SEEN or since > now else (now - since) / SECOND


def judge(ages: Mapping[str, float], live: AbstractSet[str], *, full: bool = False) -> LineNews:
    """Return what a look at the account's live calls says of its lines.

    Args:
        ages: The lines before the look began, as `LineStore.lines` returns them.
        live: The calls that the account's list shows as live.
        full: Whether it was made since the service refused a create.
    """
    over = {name for name, each in ages.items() if name not in live and each * SECOND > UNSEEN}
    return LineNews(seen=live, over=over, full=full, looked=True)
