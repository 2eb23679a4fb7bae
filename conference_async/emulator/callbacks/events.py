"""The events of calls and conferences, as the service words them for the application."""

from collections.abc import Mapping

from conference_async.emulator.callbacks.delivery import Callbacks
from conference_async.emulator.clock import Clock, written
from conference_async.emulator.forms import Form
from conference_async.emulator.replies import API_VERSION
from conference_async.emulator.settings import Settings
from conference_async.emulator.state import Account, Call, Recording, Room

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
    "participant-speech-start": "speaker",
    "participant-speech-stop": "speaker",
    "announcement-end": "announcement",
}
"""Delivered event: the word that subscribes to it."""

_ANNOUNCEMENT_SECONDS = 1.0
_QUORUM = 2
_SIP_CODES: Mapping[str, str] = {
    "completed": "200",
    "busy": "486",
    "failed": "404",
    "no-answer": "487",
    "canceled": "487",
}
"""How a call ended, in SIP's numbers."""


class Events:
    """Words the events of calls and conferences and hands those asked for to `Callbacks`."""

    def __init__(self, callbacks: Callbacks, settings: Settings, *, clock: Clock) -> None:
        self._callbacks = callbacks
        self._settings = settings
        self._clock = clock

    def call_progress(self, call: Call, event: str) -> None:
        """Send that a call was initiated, rings, was answered or is over (``completed``)."""
        options = call.options
        if "StatusCallback" not in options or event not in options.words(
            "StatusCallbackEvent", "completed"
        ):
            return
        params = {
            **_endpoints(call),
            "CallStatus": call.call_status,
            "ApiVersion": API_VERSION,
            "Direction": call.direction,
            "Timestamp": self._timestamp(),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(call.sequence),
        }
        if call.answered_by and self._settings.progress_has_answered_by:
            params["AnsweredBy"] = call.answered_by
        if call.duration is not None:
            params["CallDuration"] = str(call.duration)
            params["Duration"] = str(-(-call.duration // 60))
            usual = _SIP_CODES[call.call_status]
            params["SipResponseCode"] = str(call.sip_response_code or usual)
            if call.recording is not None:
                params["RecordingSid"] = call.recording.sid
                params["RecordingUrl"] = _recording_url(call.room.account, call.recording)
                params["RecordingDuration"] = str(call.duration)
        call.sequence += 1
        self._send(options, "StatusCallback", params, call.room.account)

    def answered(self, call: Call) -> None:
        """Send that a call was answered and has joined its conference."""
        room = call.room
        self.call_progress(call, "answered")
        self._send_event(room, "participant-join", call)
        if not room.started and room.status == "in-progress" and room.inside >= _QUORUM:
            room.started = True
            self._send_event(room, "conference-start")
        if call.recording is not None:
            self._call_recording(call, call.recording, "in-progress")

    def detected(self, call: Call, duration: float) -> None:
        """Send what machine detection heard, so many seconds after the answer."""
        about = {
            "CallSid": call.sid,
            "AccountSid": call.room.account.sid,
            "AnsweredBy": call.answered_by or "unknown",
        }
        if self._settings.amd_duration:
            about["MachineDetectionDuration"] = str(round(duration * 1000))
        self._send(call.options, "AmdStatusCallback", about, call.room.account)

    def left(self, call: Call, reason: str) -> None:
        """Send that a call is over and has left its conference."""
        self.call_progress(call, "completed")
        status = {"ParticipantCallStatus": call.call_status, "ReasonParticipantLeft": reason}
        self._send_event(call.room, "participant-leave", call, status)
        if call.recording is not None:
            self._call_recording(call, call.recording, "completed")

    def changed(self, call: Call, event: str, *, after: float = 0.0) -> None:
        """Send that a participant was muted, held, modified or speaks, or the opposite."""
        self._send_event(call.room, f"participant-{event}", call, after=after)

    def announcement(self, room: Room, url: str, call: Call | None = None) -> None:
        """Send, a second later, that an announcement to one or all has ended."""
        about = {"AnnounceUrl": url}
        self._send_event(room, "announcement-end", call, about, after=_ANNOUNCEMENT_SECONDS)

    def conference_ended(self, room: Room, by: Call | None) -> None:
        """Send that a conference is over, and that its recording is ready if there is one."""
        reason = room.reason_ended or ""
        about = {"ReasonConferenceEnded": reason, "Reason": reason.replace("-", " ").capitalize()}
        if by is not None:
            about["CallSidEndingConference"] = by.sid
            if by.label is not None:
                about["ParticipantLabelEndingConference"] = by.label
        self._send_event(room, "conference-end", None, about)
        if room.recording is not None:
            self._conference_recording(room, room.recording, "completed")

    def conference_recording_began(self, room: Room, recording: Recording) -> None:
        """Send that a conference is being recorded."""
        self._conference_recording(room, recording, "in-progress")

    def _send_event(
        self,
        room: Room,
        event: str,
        call: Call | None = None,
        about: Mapping[str, str] | None = None,
        *,
        after: float = 0.0,
    ) -> None:
        options = room.setting("ConferenceStatusCallback")
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

    def _call_recording(self, call: Call, recording: Recording, status: str) -> None:
        if status not in call.options.words("RecordingStatusCallbackEvent", "completed"):
            return
        dual = call.options.text("RecordingChannels") == "dual"
        params = {
            **_recorded(call.room.account, recording, status, call.duration or 0),
            "CallSid": call.sid,
            "RecordingChannels": "2" if dual else "1",
            "RecordingSource": "OutboundAPI",
            "RecordingTrack": call.options.text("RecordingTrack") or "both",
        }
        self._send(call.options, "RecordingStatusCallback", params, call.room.account)

    def _conference_recording(self, room: Room, recording: Recording, status: str) -> None:
        name = "ConferenceRecordingStatusCallback"
        options = room.setting(name)
        if status not in options.words(f"{name}Event", "completed"):
            return
        seconds = round((self._clock.now() - recording.started).total_seconds())
        params = {
            **_recorded(room.account, recording, status, seconds),
            "ConferenceSid": room.sid,
            "RecordingChannels": "1",
            "RecordingSource": "Conference",
        }
        self._send(options, name, params, room.account)

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
            by_parent = account.parent and self._settings.subaccount_callbacks == "parent"
            signs = account.parent if by_parent and account.parent else account
            self._callbacks.send(url, method, params, token=signs.auth_token, after=after)

    def _timestamp(self) -> str:
        return written(self._clock.now())


def _recording_url(account: Account, recording: Recording) -> str:
    path = f"/{API_VERSION}/Accounts/{account.sid}/Recordings/{recording.sid}"
    return f"https://api.twilio.com{path}"


def _recorded(account: Account, recording: Recording, status: str, seconds: int) -> dict[str, str]:
    return {
        "AccountSid": account.sid,
        "RecordingSid": recording.sid,
        "RecordingUrl": _recording_url(account, recording),
        "RecordingStatus": status,
        "RecordingDuration": str(seconds),
        "RecordingStartTime": written(recording.started),
    }


def _endpoints(call: Call) -> dict[str, str]:
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
        "Muted": call.silent,
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
