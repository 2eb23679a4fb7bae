"""Finding out what became of many creates in few requests.

One list of participants serves all creates into a conference, and one part of the call log all
those from one caller at about the same time.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from conference_async.errors import ConferenceError, ConfigurationError, LabelInUse
from conference_async.looks import Look, Place
from conference_async.models import PlacedParticipant
from conference_async.sending.call_log import LogTooLong, read_log
from conference_async.sending.evidence import Search, look_ups
from conference_async.sending.lookup import everybody_living
from conference_async.sending.observing import observed
from conference_async.sending.register import Others
from conference_async.sending.sender import Sender
from conference_async.sending.sought import Sought

_APART = 600.0
"""Creates that were sent further apart than this are not looked for in one part of the log."""

_REQUESTS = 3
"""What one create costs by itself; of pages for many no more are read."""

_log = logging.getLogger("conference_async.sending")


class Finding(NamedTuple):
    """What was found out about one create."""

    participant: PlacedParticipant | None
    """The participant that it placed, if that was found."""

    looks: tuple[Look, ...]
    """The last look at each place, the latest one last."""

    clash: LabelInUse | None = None
    """Set if its label belongs to somebody who was there before, so that it placed nothing."""

    @property
    def absent(self) -> bool:
        """Whether the call log showed that nothing was placed."""
        return self.participant is None and bool(self.looks) and self.looks[-1].held == "absent"

    @property
    def unread(self) -> bool:
        """Whether the service could not be asked, so that asking again may tell."""
        return self.participant is None and any(look.held == "unreadable" for look in self.looks)

    def __str__(self) -> str:
        return "; ".join(f"looked for {look}" for look in self.looks)


async def find_many(sender: Sender, creates: Sequence[Sought]) -> list[Finding]:
    """Return what became of some creates, in their order, once it can be known.

    What is live is found by its label at once; for the rest it waits until the call log must show
    what was placed. A service that cannot be asked is asked again a few times.

    Raises:
        ConfigurationError: The client is closed.
    """
    if not creates:
        return []
    many = _Many(sender, creates)
    await observed(sender.options.telemetry, "find.many", many.run)
    return many.findings()


class _Many:
    def __init__(self, sender: Sender, creates: Sequence[Sought]) -> None:
        self._sender = sender
        self._ask = look_ups(sender)
        self._policy = sender.options.retry
        self._creates = {Search(sender, each): each for each in _knowing_each_other(creates)}
        self._found: dict[Search, PlacedParticipant] = {}
        self._clashes: dict[Search, LabelInUse] = {}

    def findings(self) -> list[Finding]:
        return [
            Finding(
                participant=self._found.get(search),
                looks=tuple(search.looks),
                clash=self._clashes.get(search),
            )
            for search in self._creates
        ]

    @property
    def _left(self) -> list[Search]:
        """The creates about which nothing is known for certain."""
        known = (self._found, self._clashes)
        return [
            each for each in self._creates if not each.absent and not any(each in k for k in known)
        ]

    async def run(self) -> None:
        now = asyncio.get_running_loop().time
        if any(each.settled_at > now() for each in self._creates):
            await self._among_the_living()
            waits = [each.settled_at - now() for each in self._left]
            await asyncio.sleep(max(0.0, *waits, 0.0))
        for number in range(self._policy.lookups):
            await asyncio.sleep(self._policy.bound(number))
            await self._among_the_living()
            await self._in_the_log()
            if not any(look.held == "unreadable" for each in self._left for look in each.looks):
                return

    async def _among_the_living(self) -> None:
        rooms: dict[str, list[Search]] = defaultdict(list)
        for search in self._left:
            if self._creates[search].label is not None:
                rooms[self._creates[search].conference].append(search)
        for conference, searches in rooms.items():
            await self._tried(lambda: self._in_room(conference, searches), searches, "label")  # noqa: B023 -- awaited here

    async def _in_room(self, conference: str, searches: Sequence[Search]) -> None:
        living = await everybody_living(self._ask, self._sender.account_sid, conference)
        for search in searches:
            try:
                if placed := search.among(living):
                    self._found[search] = placed
            except LabelInUse as error:
                self._clashes[search] = error

    async def _in_the_log(self) -> None:
        for caller, searches in self._together():
            if len(searches) == 1 or not await self._of_caller(caller, searches):
                for search in searches:
                    await self._tried(lambda: self._alone(search), (), "call-log")  # noqa: B023 -- awaited here

    def _together(self) -> Iterator[tuple[str | None, list[Search]]]:
        """Yield the creates that one part of the log serves, and their caller."""
        callers: dict[str | None, list[Search]] = defaultdict(list)
        for search in self._left:
            create = self._creates[search]
            alone = not create.searchable or len(create.callers) != 1
            if alone:
                yield None, [search]
            else:
                callers[create.callers[0]].append(search)
        for caller, searches in callers.items():
            group: list[Search] = []
            last = 0.0
            for search in sorted(searches, key=lambda each: self._creates[each].sent or 0.0):
                sent = self._creates[search].sent or 0.0
                if group and sent - last > _APART:
                    yield caller, group
                    group = []
                group.append(search)
                last = sent
            yield caller, group

    async def _alone(self, search: Search) -> None:
        if placed := await search.in_log():
            self._found[search] = placed

    async def _of_caller(self, caller: str | None, searches: Sequence[Search]) -> bool:
        """Read one part of the log for many creates; return whether that was worth it."""
        creates = [self._creates[each] for each in searches]
        numbers = frozenset(create.to or "" for create in creates)

        async def read() -> None:
            reading = await read_log(
                self._ask,
                self._sender.account_sid,
                to=numbers,
                from_=caller,
                since=min((create.sent or 0.0) - create.skew for create in creates),
                until=max(create.closes for create in creates),
                most_pages=_REQUESTS * len(searches),
            )
            remembered = await self._sender.remembered(numbers)
            for search in searches:
                if placed := await search.judged(reading, remembered):
                    self._found[search] = placed

        try:
            await self._tried(read, searches, "call-log")
        except LogTooLong:
            return False
        return True

    async def _tried(
        self, look: Callable[[], Awaitable[None]], searches: Sequence[Search], where: Place
    ) -> None:
        """Look somewhere; a failure is noted for those that it was for."""
        try:
            await look()
        except ConfigurationError:
            raise
        except ConferenceError as error:
            _log.debug("looking for %d creates failed: %s", len(searches), error)
            for search in searches:
                if search not in self._found:
                    search.note(where, "unreadable", str(error))


def _knowing_each_other(creates: Sequence[Sought]) -> Iterator[Sought]:
    """Yield the creates; those to one number at one time know that each other's are in doubt."""
    numbers: dict[str | None, list[Sought]] = defaultdict(list)
    for create in creates:
        numbers[create.to].append(create)
    for create in creates:
        in_doubt = any(
            other is not create and other.opens <= create.closes and create.opens <= other.closes
            for other in numbers[create.to]
        )
        yield create._replace(known=create.known | Others(in_doubt=in_doubt))
