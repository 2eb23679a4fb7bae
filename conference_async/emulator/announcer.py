"""What the service tells the application: the events of calls and conferences."""

from collections.abc import Mapping
from email.utils import format_datetime

from conference_async.emulator.callbacks import Callbacks
from conference_async.emulator.clock import Clock
from conference_async.emulator.forms import Form
from conference_async.emulator.parties import Account, Call, Room
from conference_async.emulator.replies import API_VERSION
from conference_async.emulator.sids import SidMint

_SUBSCRIBED: Mapping[str, str] = {
    "conference-start": "start",
    "conference-end": "end",
    "participant-join": "join",
    "participant-leave": "leave",
    "participant-mute": "mute",
    "participant-unmute": "mute",
    "participant-hold": "hold",
    "participant-unhold": "hold",
    "participant-modify": "modify",
    "announcement-end": "announcement",
}
"""Delivered event: the word that subscribes to it."""

_ANNOUNCEMENT_SECONDS = 1.0
_QUORUM = 2


class Announcer:
    """Words the events of calls and conferences and hands those asked for to `Callbacks`."""

    def __init__(self, callbacks: Callbacks, *, clock: Clock, mint: SidMint) -> None:
        self._callbacks = callbacks
        self._clock = clock
        self._mint = mint

    def call_progress(self, call: Call, event: str) -> None:
        """Tell that a call was initiated, rings, was answered or is over (``completed``)."""
        options = call.options
        if "StatusCallback" not in options or event not in options.words(
            "StatusCallbackEvent", "completed"
        ):
            return
        params = {
            **_parties(call),
            "CallStatus": call.call_status,
            "ApiVersion": API_VERSION,
            "Direction": "outbound-api",
            "Timestamp": self._timestamp(),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(call.sequence),
        }
        if call.answered_by:
            params["AnsweredBy"] = call.answered_by
        if call.duration is not None:
            params["CallDuration"] = str(call.duration)
            params["Duration"] = str(-(-call.duration // 60))
            params["SipResponseCode"] = "200" if call.call_status == "completed" else "487"
        call.sequence += 1
        self._send(options, "StatusCallback", params, call.room.account)

    def answered(self, call: Call, detected_after: float) -> None:
        """Tell that a call was answered and has joined its conference."""
        room = call.room
        self.call_progress(call, "answered")
        self._tell(room, "participant-join", call)
        if not room.started and _may_start(room):
            room.started = True
            self._tell(room, "conference-start")
        if call.answered_by:
            self._send(
                call.options,
                "AmdStatusCallback",
                {
                    "CallSid": call.sid,
                    "AccountSid": room.account.sid,
                    "AnsweredBy": call.answered_by,
                    "MachineDetectionDuration": str(round(detected_after * 1000)),
                },
                room.account,
                after=detected_after,
            )
        if call.options.flag("Record"):
            self._recording(call, "in-progress")

    def left(self, call: Call, reason: str) -> None:
        """Tell that a call is over and has left its conference."""
        self.call_progress(call, "completed")
        status = {"ParticipantCallStatus": call.call_status, "ReasonParticipantLeft": reason}
        self._tell(call.room, "participant-leave", call, status)
        if call.answered_at is not None and call.options.flag("Record"):
            self._recording(call, "completed")

    def changed(self, call: Call, event: str) -> None:
        """Tell that a participant was muted, held, modified, or the opposite."""
        self._tell(call.room, f"participant-{event}", call)

    def announcement(self, room: Room, url: str, call: Call | None = None) -> None:
        """Tell, a second later, that an announcement to one or all has ended."""
        about = {"AnnounceUrl": url}
        self._tell(room, "announcement-end", call, about, after=_ANNOUNCEMENT_SECONDS)

    def conference_ended(self, room: Room, by: Call | None) -> None:
        """Tell that a conference is over, and that its recording is ready if there is one."""
        reason = room.reason_ended or ""
        about = {"ReasonConferenceEnded": reason, "Reason": reason.replace("-", " ").capitalize()}
        if by is not None:
            about["CallSidEndingConference"] = by.sid
            if by.label is not None:
                about["ParticipantLabelEndingConference"] = by.label
        self._tell(room, "conference-end", None, about)
        if room.options.text("ConferenceRecord") in ("true", "record-from-start"):
            self._conference_recording(room)

    def _tell(
        self,
        room: Room,
        event: str,
        call: Call | None = None,
        about: Mapping[str, str] | None = None,
        *,
        after: float = 0.0,
    ) -> None:
        options = room.options
        if "ConferenceStatusCallback" not in options or _SUBSCRIBED[event] not in options.words(
            "ConferenceStatusCallbackEvent", "start end"
        ):
            return
        room.sequence += 1
        params = {
            "ConferenceSid": room.sid,
            "FriendlyName": room.friendly_name,
            "AccountSid": room.account.sid,
            "SequenceNumber": str(room.sequence),
            "Timestamp": self._timestamp(),
            "StatusCallbackEvent": event,
            **(_participant(call) if call else {}),
            **(about or {}),
        }
        self._send(options, "ConferenceStatusCallback", params, room.account, after=after)

    def _recording(self, call: Call, status: str) -> None:
        if status not in call.options.words("RecordingStatusCallbackEvent", "completed"):
            return
        dual = call.options.text("RecordingChannels") == "dual"
        params = {
            **self._recorded(call.room.account, status, call.duration),
            "CallSid": call.sid,
            "RecordingChannels": "2" if dual else "1",
            "RecordingSource": "OutboundAPI",
            "RecordingTrack": call.options.text("RecordingTrack") or "both",
        }
        self._send(call.options, "RecordingStatusCallback", params, call.room.account)

    def _conference_recording(self, room: Room) -> None:
        name = "ConferenceRecordingStatusCallback"
        if "completed" not in room.options.words(f"{name}Event", "completed"):
            return
        seconds = round((room.updated - room.created).total_seconds())
        params = {
            **self._recorded(room.account, "completed", seconds),
            "ConferenceSid": room.sid,
            "RecordingChannels": "1",
            "RecordingSource": "Conference",
        }
        self._send(room.options, name, params, room.account)

    def _recorded(self, account: Account, status: str, seconds: int | None) -> dict[str, str]:
        sid = self._mint.issue("RE")
        path = f"/{API_VERSION}/Accounts/{account.sid}/Recordings/{sid}"
        return {
            "AccountSid": account.sid,
            "RecordingSid": sid,
            "RecordingUrl": f"https://api.twilio.com{path}",
            "RecordingStatus": status,
            "RecordingDuration": str(seconds or 0),
            "RecordingStartTime": self._timestamp(),
        }

    def _send(
        self,
        options: Form,
        name: str,
        params: Mapping[str, str],
        account: Account,
        *,
        after: float = 0.0,
    ) -> None:
        if url := options.text(name):
            method = (options.text(f"{name}Method") or "POST").upper()
            self._callbacks.send(url, method, params, token=account.auth_token, after=after)

    def _timestamp(self) -> str:
        return format_datetime(self._clock.now())


def _may_start(room: Room) -> bool:
    within = [call for call in room.participants if call.answered_at is not None]
    return len(within) >= _QUORUM and any(call.start_conference_on_enter for call in within)


def _parties(call: Call) -> dict[str, str]:
    return {
        "CallSid": call.sid,
        "AccountSid": call.room.account.sid,
        "From": call.from_,
        "To": call.to,
        "Caller": call.from_,
        "Called": call.to,
    }


def _participant(call: Call) -> dict[str, str]:
    flags = {
        "Muted": call.muted,
        "Hold": call.hold,
        "Coaching": call.coaching,
        "EndConferenceOnExit": call.end_conference_on_exit,
        "StartConferenceOnEnter": call.start_conference_on_enter,
    }
    label = {} if call.label is None else {"ParticipantLabel": call.label}
    return {
        "CallSid": call.sid,
        **{name: "true" if value else "false" for name, value in flags.items()},
        **label,
    }
