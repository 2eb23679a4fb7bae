"""The conferences of an account: find them, announce to them, end them."""

import builtins
from collections.abc import AsyncGenerator, Collection
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Unpack

import conference_async
from conference_async.keywords import NewIntent, takes_fields, takes_once
from conference_async.models import (
    Conference,
    ConferenceChange,
    ConferenceFilters,
    ConferenceStatus,
    HttpMethod,
    NewParticipant,
    Page,
    Participant,
)
from conference_async.participant_handle import handle_of
from conference_async.participants import Participants
from conference_async.privacy import mask
from conference_async.room import Room
from conference_async.sending.messages import Reply, Request
from conference_async.sending.pages import Listing, check_filters, first_page, page_size_for, whole
from conference_async.sending.sender import Sender
from conference_async.wire import (
    GONE,
    conference_path,
    conferences_path,
    conferences_query,
    decode_conference,
    decode_conference_page,
    encode_form,
)


class Conferences:
    """The account's conferences; call it with a SID or friendly name for one of them."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def __call__(self, sid_or_name: str) -> "ConferenceHandle":
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
        start: str | None = None,
        **filters: Unpack[ConferenceFilters],
    ) -> AsyncGenerator[Conference, None]:
        """Yield the conferences of one status; use it with ``async for``, without ``await``.

        https://www.twilio.com/docs/voice/api/conference-resource#read-multiple-conference-resources

        Args:
            page_size: How many to fetch at once, 1 to 1000; the service's default is 50.
            limit: Stop after so many.
            start: Begin at the page that such a link leads to (`Page.next_page_uri`); the link
                holds filters and page size, so they cannot be given beside it.
            **filters: See `ConferenceFilters`.
        """
        async with self._listing(limit, page_size, start, filters).walk(limit) as walk:
            async for some in walk:
                for conference in some:
                    yield conference

    async def list(
        self,
        *,
        page_size: int | None = None,
        limit: int | None = None,
        start: str | None = None,
        **filters: Unpack[ConferenceFilters],
    ) -> builtins.list[Conference]:
        """Return what `stream` yields, as a list."""
        walk = self._listing(limit, page_size, start, filters).walk(limit)
        return await whole(walk, self._sender.options.deadline)

    async def pages(
        self,
        *,
        page_size: int | None = None,
        start: str | None = None,
        **filters: Unpack[ConferenceFilters],
    ) -> AsyncGenerator[Page[Conference], None]:
        """Yield what `stream` yields, a page at a time, with the links to the other pages."""
        async with self._listing(None, page_size, start, filters).walk() as walk:
            while (page := await walk.page()) is not None:
                yield page

    def _listing(
        self,
        limit: int | None,
        page_size: int | None,
        start: str | None,
        filters: ConferenceFilters,
    ) -> Listing[Conference]:
        size = page_size_for(limit, page_size)
        check_filters("conferences", filters, ConferenceFilters)
        query = conferences_query(page_size=size, **filters)
        path = conferences_path(self._sender.account_sid)
        first = first_page(path, query, start, page_size, filters)
        return Listing(
            sender=self._sender,
            kind="conference.list",
            open=lambda page: page(first),
            decode=decode_conference_page,
            resource="conference",
        )

    def __repr__(self) -> str:
        return f"<Conferences of {self._sender.account_sid}>"


class ConferenceHandle:
    """One conference, addressed by SID or friendly name; nothing is sent until a method is awaited.

    A friendly name works for ``participants.create`` as it is, and opens the conference if none
    of that name is live. Everywhere else the service needs the SID, so the handle looks it up, and
    remembers it for as long as that conference lives: a handle may be kept, shared by tasks, and
    used for one meeting after the other. While none of that name is live, everything but
    ``participants.create`` raises `ConferenceNotFound`.
    """

    def __init__(self, sender: Sender, sid_or_name: str) -> None:
        self._room = Room(sender, sid_or_name)

    @property
    def name(self) -> str:
        """Its SID or friendly name, as given."""
        return self._room.name

    @property
    def participants(self) -> Participants:
        """The participants: ``participants("alice")`` for one of them."""
        return Participants(self._room)

    @takes_once(NewIntent)
    def participant(
        self, new: NewParticipant, once: str | None
    ) -> "AbstractAsyncContextManager[conference_async.Visitor]":
        """Dial somebody in, and hang up when the block ends, however it ends.

        Takes what `Participants.create` takes, and raises what it raises. With a key that was
        used before the block has, and hangs up on, the participant of then. Hanging up is not
        cut short by a cancellation, and takes ten seconds at most. A participant who has left is
        no error, and no error of hanging up hides one of the block. One who is to `Visitor.stay`
        is not hung up on.

        Example::

            async with room.participant(from_=ours, to=theirs, label="alice") as alice:
                await alice.announce("https://example.com/hello.mp3")

        Cancelled while the create is in flight, it looks for the label, and hangs up on the
        participant it finds.

        Raises:
            RequestTimeout: Hanging up took too long: the participant may still be on the line.
        """
        from conference_async.visit import Visitor, visit

        room = self._room

        def visitor(placed: Participant) -> Visitor:
            room.opened(placed.conference_sid)
            return handle_of(placed, room, Visitor)

        return visit(lambda: room.creation(new, once), visitor)

    async def resolve(self) -> str:
        """Return the conference's SID; a name is looked up each time.

        Raises:
            ConferenceNotFound: No conference of that name is live.
        """
        return await self._room.resolve()

    async def fetch(self) -> Conference:
        """Return the conference as it is now; by SID, also one that is over.

        https://www.twilio.com/docs/voice/api/conference-resource#fetch-a-conference-resource
        """
        return await self._room.ask(
            self._fetch, doubtful=lambda seen: seen.status == ConferenceStatus.COMPLETED
        )

    @takes_fields(ConferenceChange)
    async def update(self, change: ConferenceChange) -> Conference:
        """Change the conference: a `ConferenceChange`, or its fields as keywords.

        https://www.twilio.com/docs/voice/api/conference-resource#update-a-conference-resource
        """

        async def update(sid: str) -> Conference:
            """Change the conference of this SID."""
            form = encode_form(change)
            gone = GONE if change.status else ()  # which can only be completed
            reply = await self._send("conference.update", "POST", sid, form, gone=gone)
            if reply.status >= HTTPStatus.BAD_REQUEST:
                return await self._fetch(sid)  # an attempt whose answer was lost has ended it
            return reply.read(decode_conference)

        return await self._room.ask(update)

    async def announce(self, url: str, *, method: HttpMethod | None = None) -> Conference:
        """Play something to everybody in the conference.

        Args:
            url: An MP3 or WAV file, or TwiML of Play, Say, Pause and Redirect. Long audio starts
                late (25 minutes after about 15 seconds), and from 30 minutes on it may fail: split
                it, and play the parts one after the other.
            method: How the service fetches it; POST by default.
        """
        return await self.update(announce_url=url, announce_method=method)

    async def end(self) -> Conference:
        """End the conference, and hang up on everybody in it."""
        return await self.update(status="completed")

    async def _fetch(self, sid: str) -> Conference:
        return (await self._send("conference.fetch", "GET", sid)).read(decode_conference)

    async def _send(
        self,
        kind: str,
        method: str,
        sid: str,
        form: bytes | None = None,
        *,
        gone: Collection[int] = (),
    ) -> Reply:
        sender = self._room.sender
        path = conference_path(sender.account_sid, sid)
        request = Request(kind=kind, method=method, path=path, form=form)
        return await sender.request(request, resource="conference", gone=gone)

    def __repr__(self) -> str:
        return mask(f"<ConferenceHandle {self.name!r}>")
