"""The participants of one conference: bring them in, list them, change them, take them out."""

import builtins
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from operator import attrgetter
from typing import TypeAlias, TypedDict, Unpack

import attrs

from conference_async.creation import Creation
from conference_async.fan_out import FanOut, chosen, fan_out
from conference_async.masking import mask
from conference_async.models import HttpMethod, NewParticipant, Participant
from conference_async.pages import Listing, page_size_for
from conference_async.participant_handle import ParticipantHandle, Room
from conference_async.sender import Sender
from conference_async.signatures import takes_fields
from conference_async.wire import decode_participant_page, participants_path, participants_query

Those: TypeAlias = str | Iterable[str | None]
"""Call SIDs and labels, or one of them."""


class ParticipantFilters(TypedDict, total=False):
    """Which participants to list; all that are given must hold."""

    muted: bool | None
    """Only those who are muted (True), or who are not (False)."""
    hold: bool | None
    """Only those who are on hold, or who are not."""
    coaching: bool | None
    """Only those who coach somebody, or who do not."""


@attrs.frozen
class Participants:
    """The participants of a conference; call it with a Call SID or label for one of them."""

    _room: Room
    _sender: Sender

    def __call__(self, call_sid_or_label: str | None) -> "ParticipantHandle":
        """Return a handle of one participant, without I/O.

        Args:
            call_sid_or_label: A Call SID (``CA…``) or the label given at creation.

        Raises:
            InvalidParameter: It could address somebody else, or nobody: see `NewParticipant`.
        """
        return ParticipantHandle(self._room, self._sender, call_sid_or_label)

    @takes_fields(NewParticipant)
    async def create(self, new: NewParticipant) -> Participant:
        """Dial somebody into the conference: a `NewParticipant`, or its fields as keywords.

        Waits for the account's next slot, then sends. A phone is never dialled twice by this:
        what is in doubt is looked up by its label, and reported as `OutcomeUnknown` if that
        finds nothing. With ``retry_unknown=True`` on the client it is then sent again with the
        same label.

        A conference that was named by friendly name and is not live is opened by this.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#create-a-participant

        Returns:
            The participant, usually ``queued``: the phone has not rung yet. Its ``reconciled`` is
            True if an unanswered attempt was found to have been placed.

        Raises:
            InvalidParameter: A field the service would refuse; nothing was sent.
            NotSent: Nothing was sent: no connection, or no slot before the deadline.
            RequestRefused: The service said no; nobody was dialled.
            OutcomeUnknown: It may have been placed.
        """
        return await Creation(self._sender, self._room.name, new).run()

    async def stream(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        **filters: Unpack[ParticipantFilters],
    ) -> AsyncGenerator[Participant, None]:
        """Yield the live participants; use it with ``async for``, without ``await``.

        The next page is fetched while this one is used, and nobody comes twice.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#retrieve-a-list-of-participants

        Args:
            page_size: How many to fetch at once, 1 to 1000; the service's default is 50.
            limit: Stop after so many.
            **filters: ``muted``, ``hold``, ``coaching``; see `ParticipantFilters`.

        Raises:
            ConferenceError: Any error of the tree but those of a create.
        """
        listing = await self._listing(page_size_for(limit, page_size), filters)
        async with listing.walk(limit) as pages:
            async for page in pages:
                for participant in page:
                    yield participant

    async def list(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        **filters: Unpack[ParticipantFilters],
    ) -> builtins.list[Participant]:
        """Return what `stream` yields, as a list."""
        stream = self.stream(page_size=page_size, limit=limit, **filters)
        return [participant async for participant in stream]

    async def pages(
        self, *, page_size: int | None = None, **filters: Unpack[ParticipantFilters]
    ) -> AsyncGenerator[builtins.list[Participant], None]:
        """Yield what `stream` yields, a page at a time."""
        listing = await self._listing(page_size_for(None, page_size), filters)
        async with listing.walk() as pages:
            async for page in pages:
                yield page

    async def mute_all(self, *, except_: Those = ()) -> FanOut:
        """Let nobody hear anybody but those named.

        This and the other verbs for all go to everybody who is listed when they start, those
        whose phones still ring included, as many at once as the client allows. They raise only
        if nobody could be listed: what became of each participant is in the report.

        Args:
            except_: Call SIDs and labels of those to leave as they are.
        """
        return await self._each(ParticipantHandle.mute, except_)

    async def unmute_all(self, *, except_: Those = ()) -> FanOut:
        """Let everybody be heard again; see `mute_all`."""
        return await self._each(ParticipantHandle.unmute, except_)

    async def hold_all(
        self, url: str | None = None, *, method: HttpMethod | None = None, except_: Those = ()
    ) -> FanOut:
        """Put everybody on hold; see `ParticipantHandle.hold` and `mute_all`."""
        return await self._each(lambda handle: handle.hold(url, method=method), except_)

    async def unhold_all(self, *, except_: Those = ()) -> FanOut:
        """Let everybody rejoin the conference; see `mute_all`."""
        return await self._each(ParticipantHandle.unhold, except_)

    async def announce_all(
        self, url: str, *, method: HttpMethod | None = None, except_: Those = ()
    ) -> FanOut:
        """Play something to each participant alone; see `ParticipantHandle.announce`, `mute_all`.

        To play it to the whole conference at once, use `ConferenceHandle.announce`.
        """
        return await self._each(lambda handle: handle.announce(url, method=method), except_)

    async def remove_all(self, *, except_: Those = ()) -> FanOut:
        """Hang up on everybody; see `mute_all`."""
        return await self._each(ParticipantHandle.delete, except_)

    async def _each(
        self, verb: Callable[[ParticipantHandle], Awaitable[Participant | None]], except_: Those
    ) -> FanOut:
        return await fan_out(chosen(await self.list(), except_), self, verb)

    async def _listing(
        self, page_size: int | None, filters: ParticipantFilters
    ) -> Listing[Participant]:
        query = participants_query(page_size=page_size, **filters)
        path = participants_path(self._sender.account_sid, await self._room.resolve())
        return Listing(
            sender=self._sender,
            kind="list",
            path=f"{path}?{query}" if query else path,
            decode=decode_participant_page,
            key=attrgetter("call_sid"),
            resource="conference",
        )

    def __repr__(self) -> str:
        return mask(f"<Participants of {self._room.name!r}>")
