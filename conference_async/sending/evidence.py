"""Finding out what became of a create that got no readable answer: one rung after the other.

First its label, which only the living have; then, once what was placed must be visible, the
account's call log, which also keeps calls that are over. Every look is noted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from conference_async.errors import (
    ConferenceError,
    ConfigurationError,
    LabelInUse,
    RequestTimeout,
    UnexpectedReply,
)
from conference_async.looks import Held, Look, Place
from conference_async.models import LoggedCall, PlacedParticipant, is_conference_sid
from conference_async.plain_functions import check_plain, failure_of
from conference_async.privacy import mask
from conference_async.sending.call_log import LogTooLong, Reading, read_log
from conference_async.sending.lookup import (
    Ask,
    Found,
    Living,
    live_conference,
    live_participant,
    ours,
    ours_in_log,
    possible_calls,
    same_label,
)
from conference_async.sending.messages import Reply, Request
from conference_async.sending.observing import Told, observed
from conference_async.sending.register import LATEST, Others, Remembered, others_of
from conference_async.sending.sender import Sender
from conference_async.sending.sought import Sought
from conference_async.time_limits import time_limit, time_limit_at
from conference_async.wire import call_path, decode_call

_log = logging.getLogger("conference_async.sending")
_LATEST = LATEST.total_seconds()
_TICK = 0.001
"""Loops fire timers up to one tick of their clock early; so early is in time."""

_MOST_ASKED = 5
"""More calls than these to one number are not asked about one by one: it is unknown anyhow."""


def look_ups(sender: Sender) -> Ask:
    """Return what sends one look-up, once: whoever looks knows when to look again."""
    policy = attrs.evolve(sender.options.retry, attempts=1)
    options = attrs.evolve(sender.options, deadline=None, retry=policy)
    request_once = sender.with_options(options).request

    async def ask(request: Request) -> Reply:
        try:
            return await request_once(request)
        except LabelInUse as error:  # about no label of ours: a look-up uses none
            raise UnexpectedReply(f"{request.kind}: answered as if it were a create") from error

    return ask


class Search:
    """The search for one create.

    Attributes:
        looks: The last look at each place, the latest one last.

    Args:
        sender: What to ask with; its options say how often, and how long until all is visible.
        sought: The create.
        looked: Called with each look; what it raises is logged.

    Raises:
        ConfigurationError: `looked` is async.
    """

    def __init__(
        self, sender: Sender, sought: Sought, *, looked: Callable[[Look], object] | None = None
    ) -> None:
        if looked is not None:
            check_plain("looked", looked)
        self._ask = look_ups(sender)
        self._sender = sender
        self._policy = sender.options.retry
        self._sought = sought
        self._looked = looked
        self._room: str | None = None
        self._now = asyncio.get_running_loop().time
        self._seen: set[str] = set()  # calls that are not over, and in the conference
        self.looks: list[Look] = []

    @property
    def absent(self) -> bool:
        """Whether the last look showed that nothing was placed."""
        return bool(self.looks) and self.looks[-1].held == "absent"

    @property
    def settled_at(self) -> float:
        """The instant from which all that it placed is visible."""
        return self._sought.over + self._policy.settled

    async def until_settled(self, deadline_at: float | None) -> PlacedParticipant | None:
        """Return what the create placed, looking again with growing pauses; None if unknown.

        Args:
            deadline_at: The instant of the loop's clock at which to give up, or None.

        Raises:
            LabelInUse: The label finds somebody who was there before this create.
        """
        return await self._observed(partial(self._by_deadline, deadline_at))

    async def _observed(
        self, look: Callable[[], Awaitable[PlacedParticipant | None]]
    ) -> PlacedParticipant | None:
        return await observed(self._sender.options.telemetry, "find", look, self._told)

    def _told(self, found: PlacedParticipant | None) -> Told:
        if found is None:
            return Told("absent" if self.absent else "unknown")
        return Told("found", found.call_sid, found.conference_sid)

    async def _by_deadline(self, deadline_at: float | None) -> PlacedParticipant | None:
        try:
            async with time_limit_at(deadline_at):
                return await self._until_settled()
        except TimeoutError:
            if not any(look.where == "call-log" for look in self.looks):
                self.note("call-log", "early")
        except ConfigurationError:  # the client is closed meanwhile
            pass
        return None

    async def living(self) -> PlacedParticipant | None:
        """Return the live participant of the label, looking a few times with growing pauses.

        Raises:
            LabelInUse: It is somebody who was there before this create.
        """
        with suppress(ConfigurationError):  # the client is closed meanwhile
            return await self._living()
        return None

    async def _living(self) -> PlacedParticipant | None:
        for number in range(self._policy.lookups if self._sought.label is not None else 0):
            await asyncio.sleep(self._policy.bound(number))
            if found := await self._tried(self.by_label):
                return found
        return None

    async def _until_settled(self) -> PlacedParticipant | None:
        if found := await self._living():
            return found
        if not self._sought.searchable:
            self.note("call-log", "unsearchable")
            return None
        await asyncio.sleep(max(0.0, self.settled_at - self._now()))
        for number in range(self._policy.lookups):
            await asyncio.sleep(self._policy.bound(number))
            if found := await self._tried(self.by_label) or await self._tried(self.in_log):
                return found
            if self.looks[-1].held != "unreadable":
                break
        return None

    async def once(self) -> PlacedParticipant | None:
        """Return what the create placed, if that can be said now.

        Raises:
            LabelInUse: The label finds somebody who was there before this create.
            ConferenceError: The service cannot be asked, or does not answer within the deadline.
        """
        deadline = self._sender.options.deadline
        scope = time_limit(deadline)
        try:
            async with scope:
                return await self._observed(self._once)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise RequestTimeout(
                f"find: not looked everywhere within the deadline of {deadline:g} s; it is safe to "
                "repeat"
            ) from error

    async def _once(self) -> PlacedParticipant | None:
        return await self.by_label() or await self.in_log()

    async def _tried(
        self, look: Callable[[], Awaitable[PlacedParticipant | None]]
    ) -> PlacedParticipant | None:
        try:
            return await look()
        except (ConfigurationError, LabelInUse):
            raise
        except ConferenceError as error:
            _log.debug("looking for label %s failed: %s", mask(str(self._sought.label)), error)
            return None

    async def by_label(self) -> PlacedParticipant | None:
        """Return the live participant that carries the label, if it is ours.

        Raises:
            LabelInUse: It is somebody who was there before this create.
            ConferenceError: The service cannot be asked.
        """
        sought = self._sought
        if sought.label is None:
            return None
        try:
            found = await live_participant(
                self._ask, self._sender.account_sid, sought.conference, sought.label
            )
        except ConfigurationError:
            raise
        except ConferenceError as error:
            self.note("label", "unreadable", str(error))
            raise
        return self._ours(found)

    def among(self, living: Living) -> PlacedParticipant | None:
        """Return the participant that carries the label, if it is ours.

        Args:
            living: The live participants of the conference.

        Raises:
            LabelInUse: It is somebody who was there before this create.
        """
        self._room = living.conference_sid
        return self._ours(living.people.get(self._sought.label or ""))

    def _ours(self, found: Found | None) -> PlacedParticipant | None:
        sought = self._sought
        ago = None if sought.sent is None else timedelta(seconds=self._now() - sought.sent)
        if found is not None:
            placed = ours(
                found,
                label=sought.label or "",
                minted=sought.minted,
                sent_ago=ago,
                to=sought.to,
            )
            if placed is not None:
                return self._found(placed)
        self.note("label", "nothing")
        return None

    async def in_log(self) -> PlacedParticipant | None:
        """Return what the call log shows to be ours; what else it held is noted.

        Raises:
            ConferenceError: It cannot be read.
        """
        sought = self._sought
        if not sought.searchable or sought.to is None or sought.sent is None:
            self.note("call-log", "unsearchable")
            return None
        if self._now() < self.settled_at - _TICK:
            self.note("call-log", "early")
            return None
        only = sought.callers[0] if len(sought.callers) == 1 else None
        try:
            try:
                reading = await read_log(
                    self._ask,
                    self._sender.account_sid,
                    to=(sought.to,),
                    from_=only,
                    since=sought.sent - sought.skew,
                )
            except LogTooLong as error:
                raise UnexpectedReply(str(error)) from error
            remembered = await self._sender.remembered([sought.to])
            return await self.judged(reading, remembered)
        except ConfigurationError:
            raise
        except ConferenceError as error:
            self.note("call-log", "unreadable", str(error))
            raise

    async def judged(
        self, reading: Reading, remembered: Iterable[Remembered]
    ) -> PlacedParticipant | None:
        """Return what a reading of the log shows to be ours; what else it held is noted.

        Args:
            reading: A reading after `settled_at`, of these numbers at least.
            remembered: What ledgers and journals remember of this number, read after the log.

        Raises:
            ConferenceError: The service cannot be asked about a call that is not over.
        """
        sought = self._sought
        others = self._others(remembered)
        window = sought.window(reading.clock)
        possible = possible_calls(
            reading.calls.values(),
            to=sought.to or "",
            callers=sought.callers,
            window=window,
            claimed=others.call_sids,
        )
        for call in [call for call in possible if call.live][:_MOST_ASKED]:
            standing = await self._standing(call)
            if isinstance(standing, PlacedParticipant):
                return self._found(standing)
            place = possible.index(call)
            possible[place : place + 1] = [] if standing is None else [standing]
        found = ours_in_log(possible, window, shared=others.in_doubt)
        if not isinstance(found, LoggedCall):
            self.note("call-log", found)
        elif found.live and found.sid not in self._seen:
            self.note("call-log", "elsewhere")
        else:
            return self._found(await self._as_participant(found))
        return None

    def _others(self, remembered: Iterable[Remembered]) -> Others:
        sought = self._sought
        to, key, sent = sought.to or "", sought.key, sought.sent or 0.0
        until = sought.closes
        here = self._sender.register.here(to, key, sent, until, besides=sought.record)
        began = datetime.now(UTC) - timedelta(seconds=self._now() - sent)
        ended = began + timedelta(seconds=until - sent)
        kept = others_of(remembered, to=to, key=key, since=began, until=ended)
        return sought.known | here | kept

    async def _standing(self, call: LoggedCall) -> PlacedParticipant | LoggedCall | None:
        """Return the participant if a call that is not over is ours for certain; None if not.

        Otherwise the call is returned, as it is now.
        """
        sought = self._sought
        conference_sid = await self._conference_sid()
        found = conference_sid and await live_participant(
            self._ask, self._sender.account_sid, conference_sid, call.sid
        )
        if found:
            theirs = found.participant.label
            if theirs is not None and sought.label is not None:
                if not same_label(sought.label, theirs):
                    return None
                return attrs.evolve(found.participant, reconciled=True, evidence="call-log")
            if theirs is not None:
                return None
            self._seen.add(call.sid)
            return call
        request = Request(
            kind="call.fetch", method="GET", path=call_path(self._sender.account_sid, call.sid)
        )
        return attrs.evolve(call, status=(await self._ask(request)).read(decode_call).status)

    async def _conference_sid(self) -> str:
        name = self._sought.conference
        if is_conference_sid(name):
            return name
        if self._room is None:
            live = await live_conference(self._ask, self._sender.account_sid, name)
            self._room = (live and live.sid) or ""
        return self._room

    async def _as_participant(self, call: LoggedCall) -> PlacedParticipant:
        return PlacedParticipant(
            account_sid=self._sender.account_sid,
            call_sid=call.sid,
            conference_sid=await self._conference_sid(),
            label=self._sought.label,
            date_created=call.date_created,
            status=call.participant_status,
            reconciled=True,
            evidence="call-log",
        )

    def _found(self, placed: PlacedParticipant) -> PlacedParticipant:
        sought = self._sought
        record = sought.record or self._sender.register.sending(sought.to or "", sought.key)
        record.call_sid = placed.call_sid
        return placed

    def note(self, where: Place, held: Held, detail: str = "") -> None:
        """Take note of a look."""
        look = Look(where=where, at=datetime.now(UTC), held=held, detail=detail)
        self.looks = [*(each for each in self.looks if each.where != where), look]
        if self._looked is not None and (failure := failure_of(self._looked, look)):
            _log.error("looked raised; the search goes on", exc_info=failure)
