"""One participant of a conference: look, change, take out."""

from collections.abc import Awaitable
from typing import TypeVar

from conference_async.errors import InvalidParameter, UnexpectedReply
from conference_async.keywords import takes_fields
from conference_async.models import (
    HttpMethod,
    LoggedCall,
    Participant,
    ParticipantChange,
    PlacedParticipant,
    check_participant,
    is_call_sid,
)
from conference_async.privacy import mask
from conference_async.room import Room
from conference_async.sending.lookup import same_label
from conference_async.sending.messages import Reply, Request
from conference_async.wire import (
    call_path,
    decode_call,
    decode_participant,
    encode_form,
    participant_path,
)

_NOT_THERE_ANY_MORE = (204, 404)


class ParticipantHandle:
    """One participant, addressed by Call SID or label; nothing is sent until a method is awaited.

    Every method raises `ParticipantNotFound` once the participant has left, and
    `ConferenceNotFound` if the conference was named and none of that name is live.
    """

    def __init__(self, room: Room, key: str) -> None:
        self._room = room
        self._key = check_participant(key)

    @property
    def key(self) -> str:
        """The Call SID or label."""
        return self._key

    async def fetch(self) -> PlacedParticipant:
        """Return the participant as it is now.

        https://www.twilio.com/docs/voice/api/conference-participant-resource#retrieve-a-participant
        """
        return (await self._send("fetch", "GET")).read(self._this_one)

    async def call(self) -> LoggedCall:
        """Return the participant's call as the account has it, by Call SID also once it is over.

        It says what a participant does not: how the call ended, and who picked up.
        https://www.twilio.com/docs/voice/api/call-resource#fetch-a-call-resource
        """
        sid = self._key if is_call_sid(self._key) else (await self.fetch()).call_sid
        sender = self._room.sender
        path = call_path(sender.account_sid, sid)
        reply = await sender.request(Request(kind="call.fetch", method="GET", path=path))
        return reply.read(decode_call)

    @takes_fields(ParticipantChange)
    async def update(self, change: ParticipantChange) -> PlacedParticipant:
        """Change the participant: a `ParticipantChange`, or its fields as keywords.

        Never pass a stranger's input on as keywords: coaching lets people listen in.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#update-a-participant
        """
        reply = await self._send("update", "POST", encode_form(change))
        return reply.read(self._this_one)

    async def delete(self) -> None:
        """Hang up on the participant, and so remove them from the conference.

        Raises:
            UnexpectedReply: Something else than the API answered, so they may still be there.

        https://www.twilio.com/docs/voice/api/conference-participant-resource#delete-a-participant
        """
        # With a form, if an empty one: a DELETE repeated by aiohttp itself would find nobody, and
        # its 404 would pass for the answer to the first.
        reply = await self._send("delete", "DELETE", b"")
        if reply.status not in _NOT_THERE_ANY_MORE:
            error = UnexpectedReply(
                f"delete: the server answered {reply.status}, which the API never does; check the "
                "base URL, and any proxy in between"
            )
            reply.sign(error)
            raise error

    async def mute(self) -> PlacedParticipant:
        """Let nobody hear the participant."""
        return await self.update(muted=True)

    async def unmute(self) -> PlacedParticipant:
        """Let the others hear the participant again."""
        return await self.update(muted=False)

    async def hold(
        self, url: str | None = None, *, method: HttpMethod | None = None
    ) -> PlacedParticipant:
        """Put the participant on hold: they hear music and nobody hears them.

        Args:
            url: What they hear: an MP3 or WAV file, or TwiML of Play, Say, Pause and Redirect.
            method: How the service fetches it; GET by default.
        """
        return await self.update(hold=True, hold_url=url, hold_method=method)

    async def unhold(self) -> PlacedParticipant:
        """Let the participant rejoin the conference."""
        return await self.update(hold=False)

    async def announce(self, url: str, *, method: HttpMethod | None = None) -> PlacedParticipant:
        """Play something to the participant alone.

        Args:
            url: An MP3 or WAV file, or TwiML of Play, Say, Pause and Redirect. Long audio starts
                late (25 minutes after about 15 seconds), and from 30 minutes on it may fail: split
                it, and play the parts one after the other.
            method: How the service fetches it; POST by default.
        """
        return await self.update(announce_url=url, announce_method=method)

    async def coach(self, call_sid_or_label: str) -> PlacedParticipant:
        """Let the participant hear everybody, and be heard by one of them only.

        Args:
            call_sid_or_label: The participant who is coached. A label is looked up first, since
                the service takes the Call SID.
        """
        coached = check_participant(call_sid_or_label)
        if not is_call_sid(coached):
            coached = (await ParticipantHandle(self._room, coached).fetch()).call_sid
        return await self.update(coaching=True, call_sid_to_coach=coached)

    async def stop_coaching(self) -> PlacedParticipant:
        """Let everybody hear the participant again."""
        return await self.update(coaching=False)

    def _this_one(self, body: bytes) -> PlacedParticipant:
        """Return the participant that a reply is about, which must be the one addressed.

        Raises:
            UnexpectedReply: It is another one, as where a proxy or a connection has lost count.
        """
        seen = decode_participant(body)
        if seen.call_sid == self._key:
            return seen
        if is_call_sid(self._key):
            same = seen.call_sid.casefold() == self._key.casefold()
        else:
            same = same_label(self._key, seen.label)
        if not same:
            raise UnexpectedReply(
                f"the reply is about another participant than {self._key!r}; check any proxy in "
                "between, and repeat it"
            )
        return seen

    def _send(self, kind: str, method: str, form: bytes | None = None) -> Awaitable[Reply]:
        sender = self._room.sender

        def send(conference_sid: str) -> Awaitable[Reply]:
            path = participant_path(sender.account_sid, conference_sid, self._key)
            request = Request(kind, method, path, form)
            return sender.request(request, gone=(404,) if kind == "delete" else ())

        return self._room.ask(send)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self._room, self._key) == (other._room, other._key)

    def __hash__(self) -> int:
        return hash((self._room, self._key))

    def __repr__(self) -> str:
        return mask(f"<ParticipantHandle {self._key!r} of {self._room.name!r}>")


HandleT = TypeVar("HandleT", bound=ParticipantHandle)


def handle_of(participant: Participant, room: Room, kind: type[HandleT]) -> HandleT:
    """Return the handle of a participant who was seen, by SIDs where they are known.

    By now the conference's name and the participant's label may belong to others.

    Args:
        participant: The participant.
        room: The conference that the reply came from.
        kind: The kind of handle.

    Raises:
        InvalidParameter: It has neither a Call SID nor a label.
    """
    seen_in = participant.conference_sid
    key = participant.call_sid or participant.label
    if key is None:
        raise InvalidParameter("participant", "has neither a Call SID nor a label to go by")
    return kind(Room(room.sender, seen_in) if seen_in else room, key)
