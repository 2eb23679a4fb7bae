"""One intent, one ring: a create whose key is claimed before its request leaves."""

import asyncio
import logging
import math
import os
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any

import attrs

from conference_async.backoff import Backoff
from conference_async.errors import (
    ConfigurationError,
    DeadlineExceeded,
    InvalidParameter,
    LabelInUse,
    NotSent,
    OutcomeUnknown,
)
from conference_async.models import NewParticipant, PlacedParticipant, check_intent, is_minted
from conference_async.privacy import mask
from conference_async.sending.claims import Claim, conclude
from conference_async.sending.creation import Creation, told_of
from conference_async.sending.entries import State
from conference_async.sending.evidence import Search
from conference_async.sending.hold import Hold, Taken
from conference_async.sending.intents import Intent, JournalStore
from conference_async.sending.observing import observed
from conference_async.sending.sender import Sender
from conference_async.sending.sought import Sought, callers_of
from conference_async.time_limits import time_limit_at

_FAREWELL = 2.0
"""Seconds that writing down an outcome may hold up whoever waits for it; then it goes on alone."""

_SKEW = 2.0
"""Seconds by which the times of a journal may be wrong: its one clock has set them all."""

_PAUSES = Backoff(0.05, 1.0)
"""Between two looks at a key that somebody else is dialling for."""

_log = logging.getLogger("conference_async.sending")
_in_line: set[tuple[int, int, str, str]] = set()
"""Keys whose create is waiting in this process: whoever comes with one needs no place in line."""

_farewells: set[asyncio.Task[bool]] = set()


class Once:
    """A create with a key: whoever comes with the same one gets the same participant.

    Args:
        sender: What to send through.
        conference: A conference SID or a friendly name.
        new: Whom to dial.
        key: The caller's name for the intent.

    Raises:
        InvalidParameter: The key can be none.
        ConfigurationError: The client has no journal.
    """

    def __init__(self, sender: Sender, conference: str, new: NewParticipant, key: str) -> None:
        journal = sender.options.journal
        account_sid = sender.account_sid
        key = check_intent(key)
        if journal is None:
            raise ConfigurationError(
                "once= needs a journal that remembers the key, so nothing was sent: "
                "ConferenceClient(journal=Journal('calls.db'))"
            )
        self._journal: JournalStore = journal
        self._sender = sender
        self._conference = conference
        self._new = new
        self._fresh = Intent.of(account_sid, key, conference, new)
        self._place = (os.getpid(), id(journal), account_sid, key)
        deadline = sender.options.deadline
        now = asyncio.get_running_loop().time()
        self._deadline_at = None if deadline is None else now + deadline
        self._seen: Intent | None = None
        self._doubtful: tuple[Creation, Intent] | None = None

    async def run(self) -> PlacedParticipant:
        """Return the participant of the intent, dialled by this or by an earlier create.

        Raises:
            NotSent: Nothing was sent for the key.
            RequestRefused: The service said no; the key is free again.
            OutcomeUnknown: It may have been placed; the key is kept.
            InvalidParameter: The key was used for another request.
            LedgerError: The journal cannot be used; nothing was sent.
        """
        return await observed(self._sender.options.telemetry, "once", self._run, told_of)

    async def _run(self) -> PlacedParticipant:
        for looks in count(1):
            known = await self._look()
            if known is not None and known.participant is not None:
                return attrs.evolve(known.participant, repeated=True)
            if known is None and self._place not in _in_line:
                placed = await self._dial(self._fresh)
            elif known is not None and not known.held:
                placed = await self._resolve(known, may_dial=True)
            else:
                await self._pause(_PAUSES.delay(looks))
                continue
            if placed is not None:
                return placed
        raise AssertionError  # pragma: no cover -- it counts without end

    async def living(self) -> PlacedParticipant | None:
        """Return the participant that this create placed before it was stopped, if it is found.

        Raises:
            LabelInUse: Its label finds somebody who was there before.
        """
        if self._doubtful is None:
            return None
        creation, claim = self._doubtful
        placed = await creation.living()
        if placed is not None:
            await self._write(self._placed(claim, placed, "found after it was stopped"))
        return placed

    async def _look(self) -> Intent | None:
        """Return what the journal knows of the key.

        Raises:
            InvalidParameter: It is known for another request.
        """
        try:
            async with time_limit_at(self._deadline_at):
                known = await self._journal.known(self._fresh)
        except TimeoutError as error:
            raise self._late("the journal did not answer within the deadline") from error
        if known is not None and known.fingerprint != self._fresh.fingerprint:
            raise InvalidParameter(
                "once",
                f"{self._fresh.key!r} was used for another conference or other parameters, so "
                "nothing was sent; give each intent a key of its own, and repeat it with the "
                "same request",
            )
        self._seen = known
        return known

    async def _pause(self, seconds: float) -> None:
        """Wait before the next look, but not beyond the deadline."""
        left = math.inf
        if self._deadline_at is not None:
            left = max(0.0, self._deadline_at - asyncio.get_running_loop().time())
        await asyncio.sleep(min(seconds, left))
        if seconds < left:
            return
        raise self._late("another create with this key is still waiting for its slot")

    def _late(self, why: str) -> OutcomeUnknown | DeadlineExceeded:
        """Return what to say at the deadline, by what was known of the key when last looked."""
        if self._seen is not None:
            return self._unknown(self._seen, "another create with this key is in flight")
        return DeadlineExceeded(f"once: {why}, so nothing was sent; ask again with the same key")

    async def _dial(self, stored: Intent) -> PlacedParticipant | None:
        """Claim the key, and dial; return None if somebody else has it.

        Args:
            stored: The key as the journal has it: free, or of unknown outcome.
        """
        planned = stored.again("dialled again") if stored.state is State.UNKNOWN else stored
        options = self._sender.options
        hold = Hold(Claim(self._journal, stored, planned, _now), options.before_send)
        creation = Creation(
            self._sender.with_options(attrs.evolve(options, before_send=hold)),
            self._conference,
            self._new if planned.label is None else attrs.evolve(self._new, label=planned.label),
            deadline_at=self._deadline_at,
        )
        _in_line.add(self._place)
        try:
            placed = await creation.run()
        except asyncio.CancelledError as cancelled:
            if hold.claim.entry is not None:
                self._doubtful = creation, hold.claim.entry
                unknown = OutcomeUnknown.behind(cancelled)
                after = self._after(stored, hold.claim.entry, unknown)
                with suppress(asyncio.CancelledError):  # the first one is raised, with its cause
                    await self._write(hold.conclude(after))
            raise
        except Exception as error:  # noqa: BLE001 -- written down first, then raised where it is ours
            return await self._failed(stored, hold, error)
        finally:
            _in_line.discard(self._place)
            hold.release()
        claim = hold.claim.entry
        if claim is not None:
            self._doubtful = creation, claim
            try:
                await self._write(self._placed(claim, placed))
            except asyncio.CancelledError as cancelled:
                raise cancelled from self._unknown(claim, "it was stopped once it was placed")
        return placed

    async def _failed(
        self, stored: Intent, hold: Hold, error: Exception
    ) -> PlacedParticipant | None:
        """Write down what an error says about the key, and raise it where it is ours."""
        claim = hold.claim.entry
        if claim is None:  # it never was ours
            if isinstance(error, Taken):
                return None
            raise error
        after = self._after(stored, claim, error)
        stands = await self._write(hold.conclude(after))
        if isinstance(error, Taken):
            known = await self._look()
            if known is not None:
                return None
            raise NotSent(
                "once: the process was stopped for so long that its turn was over, so nothing was "
                "sent; ask again with the same key"
            ) from error
        if after.state is not State.UNKNOWN:
            raise error
        if stands is False:  # somebody took us for dead, and is at it
            return None
        if isinstance(error, LabelInUse):  # what is not ours here is the earlier attempt's
            return await self._resolve(after, may_dial=False)
        if isinstance(error, OutcomeUnknown):
            raise error
        raise self._unknown(after, f"dialling again failed: {error}") from error

    def _after(self, stored: Intent, claim: Intent, error: BaseException | None) -> Intent:
        after = claim.failed(error, _now())
        if stored.state is State.UNKNOWN and after.state is not State.UNKNOWN:
            # True of the last attempt only: the earlier one is as unknown as before.
            return claim.unknown(str(error or "dialling again was cancelled"), _now())
        return after

    async def _resolve(self, known: Intent, *, may_dial: bool) -> PlacedParticipant | None:
        """Find out what became of a key that nobody is at; None if that has changed meanwhile.

        Args:
            known: The key as the journal has it.
            may_dial: Whether to dial again where the caller's options say so.

        Raises:
            OutcomeUnknown: It was not found.
        """
        why = "whoever claimed the key is gone, and it is not certain what became of the call"
        search = Search(self._sender, self._sought(known))
        try:
            found = await search.until_settled(self._deadline_at)
        except LabelInUse:
            # The clocks of two runs have a part in this verdict: it frees no key.
            found, why = None, "its label belongs to somebody who was in the conference before"
        if found is not None:
            await self._write(self._placed(known, found, "found later"))
            return attrs.evolve(found, repeated=True)
        unknown = known
        if known.state is not State.UNKNOWN:
            unknown = known.unknown(why, _now())
            if not await conclude(self._journal, known, unknown):
                return None
        again = self._sender.options.retry_unknown
        if may_dial and (search.absent if again == "when-absent" else again):
            return await self._dial(unknown)
        raise self._unknown(unknown, why, search)

    def _sought(self, known: Intent) -> Sought:
        """Return what is to be looked for, by all that is known of it."""
        return Sought(
            conference=self._conference,
            label=known.label,
            minted=known.label is not None and is_minted(known.label),
            to=self._new.to,
            # The log is asked about a time, and not where the clock has been set back since.
            callers=callers_of(self._new) if known.sent_at is not None else (),
            sent=_instant(known.sent_at or _now()),
            ended=_instant(known.ended_at),
            skew=_SKEW,
        )

    async def _placed(
        self, claim: Intent, placed: PlacedParticipant, reason: str | None = None
    ) -> bool:
        after = attrs.evolve(claim.placed(placed, _now(), reason), participant=placed)
        return await conclude(self._journal, claim, after)

    async def _write(self, work: Coroutine[Any, Any, bool]) -> bool | None:
        """Write down what became of the key; return whether it stands, None if nobody can say.

        What happened has happened: a journal that cannot be written to changes nothing about it,
        and leaves the key to whoever asks next.
        """
        task = asyncio.create_task(work)
        _farewells.add(task)
        task.add_done_callback(_said_farewell)
        await asyncio.wait([task], timeout=_FAREWELL)
        return task.result() if task.done() and task.exception() is None else None

    def _unknown(self, known: Intent, what: str, search: Search | None = None) -> OutcomeUnknown:
        error = OutcomeUnknown(
            f"create once {known.key!r} in {self._conference!r} with label {known.label!r}: "
            f"{what}; the same key may be asked again, and dials again only as retry_unknown= says",
            conference=self._conference,
            label=known.label,
            account_sid=self._sender.account_sid,
            attempts=known.attempts,
            sent_at=known.sent_at,
            evidence=() if search is None else search.looks,
        )
        error.sought = self._sought(known)
        return error


def _said_farewell(task: asyncio.Task[bool]) -> None:
    _farewells.discard(task)
    if not task.cancelled() and (error := task.exception()):
        _log.warning("the journal does not know how a create ended: %s", mask(str(error)))


def _now() -> datetime:
    return datetime.now(UTC)


def _instant(at: datetime | None) -> float | None:
    """Return the instant of the loop's clock at a time of day."""
    if at is None:
        return None
    return asyncio.get_running_loop().time() - (_now() - at).total_seconds()
