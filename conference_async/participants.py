"""The participants of one conference: bring them in, list them, change them, take them out."""

import builtins
from collections.abc import AsyncGenerator
from contextlib import aclosing
from operator import attrgetter
from typing import Protocol, TypedDict, Unpack

import attrs

from conference_async.creation import Creation
from conference_async.models import (
    HttpMethod,
    NewParticipant,
    Participant,
    ParticipantChange,
    check_participant,
)
from conference_async.pages import Listing, page_size_for
from conference_async.sender import Sender
from conference_async.signatures import takes_fields
from conference_async.transport import Request
from conference_async.wire import (
    decode_participant,
    decode_participant_page,
    encode_form,
    participant_path,
    participants_path,
    participants_query,
)


class Room(Protocol):
    """The conference that participants belong to."""

    @property
    def name(self) -> str:
        """Its SID or friendly name, as given."""
        ...

    async def resolve(self) -> str:
        """Return its SID."""
        ...


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
        async with aclosing(listing.stream(limit)) as participants:
            async for participant in participants:
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
        async with aclosing(listing.pages()) as pages:
            async for page in pages:
                yield page

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
        return f"<Participants of {self._room.name!r}>"


@attrs.frozen
class ParticipantHandle:
    """One participant, addressed by Call SID or label; nothing is sent until a method is awaited.

    Every method raises `ParticipantNotFound` once the participant has left, and
    `ConferenceNotFound` if the conference was named and none of that name is live.
    """

    _room: Room
    _sender: Sender
    key: str = attrs.field(converter=check_participant)
    """The Call SID or label."""

    async def fetch(self) -> Participant:
        """Return the participant as it is now.

        https://www.twilio.com/docs/voice/api/conference-participant-resource#retrieve-a-participant
        """
        return decode_participant(await self._send("fetch", "GET"))

    @takes_fields(ParticipantChange)
    async def update(self, change: ParticipantChange) -> Participant:
        """Change the participant: a `ParticipantChange`, or its fields as keywords.

        Never pass a stranger's input on as keywords: coaching lets people listen in.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#update-a-participant
        """
        return decode_participant(await self._send("update", "POST", encode_form(change)))

    async def delete(self) -> None:
        """Hang up on the participant, and so remove them from the conference.

        https://www.twilio.com/docs/voice/api/conference-participant-resource#delete-a-participant
        """
        # With a form, if an empty one: a DELETE repeated by aiohttp itself would find nobody, and
        # its 404 would pass for the answer to the first.
        await self._send("delete", "DELETE", b"")

    async def mute(self) -> Participant:
        """Let nobody hear the participant."""
        return await self.update(muted=True)

    async def unmute(self) -> Participant:
        """Let the others hear the participant again."""
        return await self.update(muted=False)

    async def hold(
        self, url: str | None = None, *, method: HttpMethod | None = None
    ) -> Participant:
        """Put the participant on hold: they hear music and nobody hears them.

        Args:
            url: What they hear: an MP3 or WAV file, or TwiML of Play, Say, Pause and Redirect.
            method: How the service fetches it; GET by default.
        """
        return await self.update(hold=True, hold_url=url, hold_method=method)

    async def unhold(self) -> Participant:
        """Let the participant rejoin the conference."""
        return await self.update(hold=False)

    async def announce(self, url: str, *, method: HttpMethod | None = None) -> Participant:
        """Play something to the participant alone.

        Args:
            url: An MP3 or WAV file, or TwiML; keep it well under 30 minutes.
            method: How the service fetches it; POST by default.
        """
        return await self.update(announce_url=url, announce_method=method)

    async def coach(self, call_sid: str | None) -> Participant:
        """Let the participant hear everybody and be heard by one of them only.

        Args:
            call_sid: The Call SID of the one who is coached.
        """
        return await self.update(coaching=True, call_sid_to_coach=call_sid)

    async def stop_coaching(self) -> Participant:
        """Let everybody hear the participant again."""
        return await self.update(coaching=False)

    async def _send(self, kind: str, method: str, form: bytes | None = None) -> bytes:
        path = participant_path(self._sender.account_sid, await self._room.resolve(), self.key)
        request = Request(kind=kind, method=method, path=path, form=form)
        return (await self._sender.request(request, gone_is_done=kind == "delete")).body

    def __repr__(self) -> str:
        return f"<ParticipantHandle {self.key!r} of {self._room.name!r}>"
