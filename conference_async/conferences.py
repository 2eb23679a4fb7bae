"""The conferences of an account: find them, announce to them, end them."""

import asyncio
import builtins
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import date
from operator import attrgetter
from typing import Any, Final, Literal, TypedDict, Unpack

import attrs

from conference_async.creation import Creation
from conference_async.errors import (
    ConferenceError,
    ConferenceNotActive,
    ConferenceNotFound,
    LabelInUse,
    NotFound,
    OutcomeUnknown,
    RequestTimeout,
)
from conference_async.lookup import live_conference
from conference_async.masking import mask
from conference_async.models import (
    Conference,
    ConferenceChange,
    HttpMethod,
    NewParticipant,
    Participant,
    check_conference,
    is_conference_sid,
)
from conference_async.pages import Listing, page_size_for
from conference_async.participant_handle import ParticipantHandle
from conference_async.participants import Participants
from conference_async.sender import Sender
from conference_async.shielding import finish
from conference_async.signatures import takes_fields
from conference_async.transport import Reply, Request
from conference_async.wire import (
    conference_path,
    conferences_path,
    conferences_query,
    decode_conference,
    decode_conference_page,
    encode_form,
)

_HANG_UP: Final = 10.0
_log = logging.getLogger("conference_async.conferences")


class ConferenceFilters(TypedDict, total=False):
    """Which conferences to list; all that are given must hold. Days are in UTC."""

    status: Literal["init", "in-progress", "completed"]
    """``in-progress`` if not given; always sent, because the service's own default is changing."""

    friendly_name: str | None
    """Those of this name."""
    date_created: date | None
    """Those created on that day."""
    date_created_after: date | None
    """That day or later."""
    date_created_before: date | None
    """That day or earlier."""
    date_updated: date | None
    """Those that last changed on that day."""
    date_updated_after: date | None
    """That day or later."""
    date_updated_before: date | None
    """That day or earlier."""


@attrs.frozen
class Conferences:
    """The account's conferences; call it with a SID or friendly name for one of them."""

    _sender: Sender

    def __call__(self, sid_or_name: str | None) -> "ConferenceHandle":
        """Return a handle of one conference, without I/O.

        Args:
            sid_or_name: A conference SID (``CF…``) or a friendly name of 1 to 128 characters,
                free of personal data.

        Raises:
            InvalidParameter: It is neither.
        """
        return ConferenceHandle(self._sender, sid_or_name)

    async def stream(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        **filters: Unpack[ConferenceFilters],
    ) -> AsyncGenerator[Conference, None]:
        """Yield the conferences of one status; use it with ``async for``, without ``await``.

        https://www.twilio.com/docs/voice/api/conference-resource#read-multiple-conference-resources

        Args:
            page_size: How many to fetch at once, 1 to 1000; the service's default is 50.
            limit: Stop after so many.
            **filters: See `ConferenceFilters`.
        """
        listing = self._listing(page_size_for(limit, page_size), filters)
        async with listing.walk(limit) as pages:
            async for page in pages:
                for conference in page:
                    yield conference

    async def list(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        **filters: Unpack[ConferenceFilters],
    ) -> builtins.list[Conference]:
        """Return what `stream` yields, as a list."""
        stream = self.stream(page_size=page_size, limit=limit, **filters)
        return [conference async for conference in stream]

    async def pages(
        self, *, page_size: int | None = None, **filters: Unpack[ConferenceFilters]
    ) -> AsyncGenerator[builtins.list[Conference], None]:
        """Yield what `stream` yields, a page at a time."""
        listing = self._listing(page_size_for(None, page_size), filters)
        async with listing.walk() as pages:
            async for page in pages:
                yield page

    def _listing(self, page_size: int | None, filters: ConferenceFilters) -> Listing[Conference]:
        query = conferences_query(page_size=page_size, **filters)
        return Listing(
            sender=self._sender,
            kind="conference.list",
            path=f"{conferences_path(self._sender.account_sid)}?{query}",
            decode=decode_conference_page,
            key=attrgetter("sid"),
            resource="conference",
        )

    def __repr__(self) -> str:
        return f"<Conferences of {self._sender.account_sid}>"


class ConferenceHandle:
    """One conference, addressed by SID or friendly name; nothing is sent until a method is awaited.

    A friendly name works for ``participants.create`` as it is, and opens the conference if none
    of that name is live. Everywhere else the service needs the SID, so the handle looks up the
    live conference of that name once and keeps to it.
    """

    def __init__(self, sender: Sender, sid_or_name: str | None) -> None:
        self._sender = sender
        self.name = check_conference(sid_or_name)
        self._sid = self.name if is_conference_sid(self.name) else None

    @property
    def participants(self) -> Participants:
        """The participants: ``participants("alice")`` for one of them."""
        # Made anew, since two that hold each other would be left to the garbage collector.
        return Participants(self, self._sender)

    @takes_fields(NewParticipant)
    @asynccontextmanager
    async def participant(self, new: NewParticipant) -> AsyncGenerator[ParticipantHandle, None]:
        """Dial somebody in, and hang up when the block ends, however it ends.

        Takes what `Participants.create` takes, and raises what it raises. Hanging up is not
        cut short by a cancellation, and takes ten seconds at most. One who has left is no error,
        and no error of hanging up hides one of the block.

        Example::

            async with room.participant(from_=ours, to=theirs, label="alice") as alice:
                await alice.announce("https://example.com/hello.mp3")

        Cancelled while the create is in flight, it looks for the label and hangs up on whom it
        finds.

        Raises:
            RequestTimeout: Hanging up took too long: the participant may still be on the line.
        """
        creation = Creation(self._sender, self.name, new)
        try:
            placed = await creation.run()
        except asyncio.CancelledError as cancelled:
            unknown = cancelled.__cause__
            if isinstance(unknown, OutcomeUnknown) and unknown.label is not None:
                await finish(self._take_back(creation))
            raise
        try:
            yield self._handle_of(placed)
        except BaseException:
            await finish(_logged(self._hang_up(placed)))
            raise
        await finish(self._hang_up(placed))

    def _handle_of(self, placed: Participant) -> ParticipantHandle:
        # By SID: the name may lead to another conference by then.
        room = ConferenceHandle(self._sender, placed.conference_sid or self.name)
        return room.participants(placed.call_sid or placed.label)

    async def _hang_up(self, placed: Participant) -> None:
        scope = asyncio.timeout(_HANG_UP)
        try:
            async with scope:
                await self._handle_of(placed).delete()
        except (NotFound, ConferenceNotActive):
            pass
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise RequestTimeout(
                f"{placed.call_sid or placed.label} may still be on the line: hanging up took "
                f"more than {_HANG_UP:g} s; it is safe to repeat"
            ) from error

    async def _take_back(self, creation: Creation) -> None:
        with suppress(TimeoutError, LabelInUse):
            async with asyncio.timeout(_HANG_UP):
                placed = await creation.reconcile(None)
                if placed is not None:
                    await _logged(self._hang_up(placed))

    async def resolve(self) -> str:
        """Return the conference's SID, looked up once if the handle was built from a name.

        Raises:
            ConferenceNotFound: No conference of that name is live.
        """
        if self._sid is None:
            found = await live_conference(self._sender.request, self._sender.account_sid, self.name)
            if found is None or found.sid is None:
                raise ConferenceNotFound(
                    f"no conference named {self.name!r} is live; create a participant with the "
                    "name to open it, or use the SID of the one you mean",
                    status=404,
                )
            self._sid = found.sid
        return self._sid

    async def fetch(self) -> Conference:
        """Return the conference as it is now.

        https://www.twilio.com/docs/voice/api/conference-resource#fetch-a-conference-resource
        """
        return (await self._send("conference.fetch", "GET")).read(decode_conference)

    @takes_fields(ConferenceChange)
    async def update(self, change: ConferenceChange) -> Conference:
        """Change the conference: a `ConferenceChange`, or its fields as keywords.

        https://www.twilio.com/docs/voice/api/conference-resource#update-a-conference-resource
        """
        form = encode_form(change)
        return (await self._send("conference.update", "POST", form)).read(decode_conference)

    async def announce(self, url: str, *, method: HttpMethod | None = None) -> Conference:
        """Play something to everybody in the conference.

        Args:
            url: An MP3 or WAV file, or TwiML; keep it well under 30 minutes.
            method: How the service fetches it; POST by default.
        """
        return await self.update(announce_url=url, announce_method=method)

    async def end(self) -> Conference:
        """End the conference, and hang up on everybody in it."""
        return await self.update(status="completed")

    async def _send(self, kind: str, method: str, form: bytes | None = None) -> Reply:
        path = conference_path(self._sender.account_sid, await self.resolve())
        request = Request(kind=kind, method=method, path=path, form=form)
        return await self._sender.request(request, resource="conference")

    def __repr__(self) -> str:
        return mask(f"<ConferenceHandle {self.name!r}>")


async def _logged(hang_up: Coroutine[Any, Any, None]) -> None:
    try:
        await hang_up
    except ConferenceError as error:
        _log.warning("hanging up failed: %s", error)
