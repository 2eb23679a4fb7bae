"""One participant of a conference: look, change, take out."""

from typing import Protocol

import attrs

from conference_async.masking import mask
from conference_async.models import HttpMethod, Participant, ParticipantChange, check_participant
from conference_async.sender import Sender
from conference_async.signatures import takes_fields
from conference_async.transport import Reply, Request
from conference_async.wire import decode_participant, encode_form, participant_path


class Room(Protocol):
    """The conference that participants belong to."""

    @property
    def name(self) -> str:
        """Its SID or friendly name, as given."""
        ...

    async def resolve(self) -> str:
        """Return its SID."""
        ...


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
        return (await self._send("fetch", "GET")).read(decode_participant)

    @takes_fields(ParticipantChange)
    async def update(self, change: ParticipantChange) -> Participant:
        """Change the participant: a `ParticipantChange`, or its fields as keywords.

        Never pass a stranger's input on as keywords: coaching lets people listen in.
        https://www.twilio.com/docs/voice/api/conference-participant-resource#update-a-participant
        """
        reply = await self._send("update", "POST", encode_form(change))
        return reply.read(decode_participant)

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

    async def _send(self, kind: str, method: str, form: bytes | None = None) -> Reply:
        path = participant_path(self._sender.account_sid, await self._room.resolve(), self.key)
        request = Request(kind=kind, method=method, path=path, form=form)
        return await self._sender.request(request, gone_is_done=kind == "delete")

    def __repr__(self) -> str:
        return mask(f"<ParticipantHandle {self.key!r} of {self._room.name!r}>")
