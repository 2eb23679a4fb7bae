"""The participants of one conference: bring them in, list them, change them, take them out."""

import builtins
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeAlias, Unpack

import conference_async
from conference_async.keywords import NewIntent, takes_once
from conference_async.models import (
    HttpMethod,
    NewParticipant,
    Page,
    Participant,
    ParticipantChange,
    ParticipantFilters,
    PlacedParticipant,
)
from conference_async.participant_handle import ParticipantHandle, handle_of
from conference_async.privacy import mask
from conference_async.room import Room
from conference_async.sending.pages import Listing, check_filters, first_page, page_size_for, whole
from conference_async.wire import decode_participant_page, participants_path, participants_query

Those: TypeAlias = str | Iterable[str]
"""Call SIDs and labels, or one of them."""


class Participants:
    """The participants of a conference; call it with a Call SID or label for one of them."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def __call__(self, call_sid_or_label: str) -> ParticipantHandle:
        """Return a handle of one participant, without I/O.

        Args:
            call_sid_or_label: A Call SID (``CA…``) or the label given at creation.

        Raises:
            InvalidParameter: It could address somebody else, or nobody: see `NewParticipant`.
        """
        return ParticipantHandle(self._room, call_sid_or_label)

    @takes_once(NewIntent)
    async def create(self, new: NewParticipant, once: str | None) -> PlacedParticipant:
        """Dial somebody into the conference: a `NewParticipant`, or its fields as keywords.

        Waits for the account's next slot, then sends: calls that are created count against its
        calls per second, inbound calls and those of ``<Dial>`` do not. A phone is never dialled
        twice by this: what is in doubt is looked for by its label and in the account's call log,
        and reported as `OutcomeUnknown` if that tells nothing for certain. The client's
        `retry_unknown` says whether it is then sent again with the same label.

        With ``once="order-42"`` and a journal on the client, the intent of that name rings once:
        whoever comes with the same key, in any process that shares the journal, waits while
        another is dialling for it, and gets the same participant, then and for days later. If a
        process dies while it dials, the next to come finds out what became of the call. Repeat
        such a create with the same request: what it was refused or not sent for frees the key.

        A conference that was named by friendly name and is not live is opened by this.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#create-a-participant

        Returns:
            The participant, usually ``queued``: the phone has not rung yet. Its ``reconciled`` is
            True if an unanswered attempt was found to have been placed, its ``repeated`` if an
            earlier create with the same key has placed it.

        Raises:
            InvalidParameter: A field the service would refuse, or a key that was used for
                another request; nothing was sent.
            ConfigurationError: ``once=`` without a journal; nothing was sent.
            LedgerError: The journal cannot be used; nothing was sent.
            NotSent: Nothing was sent: no connection, or no slot before the deadline.
            RequestRefused: The service said no; nobody was dialled.
            OutcomeUnknown: It may have been placed. The same key can be asked again.
        """
        placed = await self._room.creation(new, once).run()
        self._room.opened(placed.conference_sid)
        return placed

    async def stream(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        start: str | None = None,
        **filters: Unpack[ParticipantFilters],
    ) -> AsyncGenerator[Participant, None]:
        """Yield the live participants; use it with ``async for``, without ``await``.

        Those still ringing are among them, those who have left are not: Voice Insights keeps
        their history. The next page is fetched while this one is used, and nobody comes twice.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#retrieve-a-list-of-participants

        Args:
            page_size: How many to fetch at once, 1 to 1000; the service's default is 50.
            limit: Stop after so many.
            start: Begin at the page that such a link leads to (`Page.next_page_uri`); the link
                holds filters and page size, so they cannot be given beside it.
            **filters: ``muted``, ``hold``, ``coaching``; see `ParticipantFilters`.

        Raises:
            ConferenceError: Any error of the tree but those of a create.
        """
        async with self._listing(limit, page_size, start, filters).walk(limit) as walk:
            async for some in walk:
                for participant in some:
                    yield participant

    async def list(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        start: str | None = None,
        **filters: Unpack[ParticipantFilters],
    ) -> builtins.list[Participant]:
        """Return what `stream` yields, as a list."""
        walk = self._listing(limit, page_size, start, filters).walk(limit)
        return await whole(walk, self._room.sender.options.deadline)

    async def pages(
        self,
        *,
        page_size: int | None = None,
        start: str | None = None,
        **filters: Unpack[ParticipantFilters],
    ) -> AsyncGenerator[Page[Participant], None]:
        """Yield what `stream` yields, a page at a time, with the links to the other pages."""
        async with self._listing(None, page_size, start, filters).walk() as walk:
            while (page := await walk.page()) is not None:
                yield page

    async def mute_all(self, *, except_: Those = ()) -> "conference_async.FanOut":
        """Let nobody hear anybody but those named.

        This and the other verbs for all go to everybody who is listed when they start, those
        whose phones still ring included, as many at once as the client allows. They raise only
        if nobody could be listed: what became of each participant is in the report.

        Args:
            except_: Call SIDs and labels of those to leave as they are. The report names those
                that nobody in the conference carries.
        """
        return await self._change(ParticipantChange(muted=True), except_)

    async def unmute_all(self, *, except_: Those = ()) -> "conference_async.FanOut":
        """Let everybody be heard again; see `mute_all`."""
        return await self._change(ParticipantChange(muted=False), except_)

    async def hold_all(
        self, url: str | None = None, *, method: HttpMethod | None = None, except_: Those = ()
    ) -> "conference_async.FanOut":
        """Put everybody on hold; see `ParticipantHandle.hold` and `mute_all`."""
        return await self._change(
            ParticipantChange(hold=True, hold_url=url, hold_method=method), except_
        )

    async def unhold_all(self, *, except_: Those = ()) -> "conference_async.FanOut":
        """Let everybody rejoin the conference; see `mute_all`."""
        return await self._change(ParticipantChange(hold=False), except_)

    async def announce_all(
        self, url: str, *, method: HttpMethod | None = None, except_: Those = ()
    ) -> "conference_async.FanOut":
        """Play something to each participant alone; see `ParticipantHandle.announce`, `mute_all`.

        To play it to the whole conference at once, use `ConferenceHandle.announce`.
        """
        return await self._change(
            ParticipantChange(announce_url=url, announce_method=method), except_
        )

    async def remove_all(self, *, except_: Those = ()) -> "conference_async.FanOut":
        """Hang up on everybody; see `mute_all`."""
        return await self._each(ParticipantHandle.delete, except_)

    async def _change(self, change: ParticipantChange, except_: Those) -> "conference_async.FanOut":
        return await self._each(lambda handle: handle.update(change), except_)

    async def _each(
        self, verb: Callable[[ParticipantHandle], Awaitable[Participant | None]], except_: Those
    ) -> "conference_async.FanOut":
        from conference_async.everybody import Spared, fan_out

        spared = Spared.of(except_)  # before anything is sent
        everybody = await self.list()

        def reach(one: Participant) -> Awaitable[Participant | None]:
            return verb(handle_of(one, self._room, ParticipantHandle))

        return await fan_out(everybody, reach, spared)

    def _listing(
        self,
        limit: int | None,
        page_size: int | None,
        start: str | None,
        filters: ParticipantFilters,
    ) -> Listing[Participant]:
        room = self._room
        size = page_size_for(limit, page_size)
        check_filters("participants", filters, ParticipantFilters)
        query = participants_query(page_size=size, **filters)

        def first(sid: str) -> str:
            path = participants_path(room.sender.account_sid, sid)
            return first_page(path, query, start, page_size, filters)

        return Listing(
            sender=room.sender,
            kind="list",
            # In a conference that is over, the service lists nobody.
            open=lambda page: room.ask(
                lambda sid: page(first(sid)), doubtful=lambda got: not got[1].payloads
            ),
            decode=decode_participant_page,
            resource="conference",
        )

    def __repr__(self) -> str:
        return mask(f"<Participants of {self._room.name!r}>")
