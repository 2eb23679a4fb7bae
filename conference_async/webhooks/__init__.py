"""Callbacks of the service: signed requests in, typed events and live rooms out.

::

    receiver = Receiver(Keys("auth token"), public_url="https://example.com/hooks/twilio")
    roster = Roster()
    receiver.listen(roster.apply)
    calls = Calls("https://example.com/hooks/twilio")
    receiver.listen(calls.apply)

    app = FastAPI(routes=[Route("/hooks/twilio", WebhookApp(receiver))])  # or Starlette
    app.router.add_route("*", "/hooks/twilio", aiohttp_handler(receiver))  # aiohttp.web

This package stands alone: it makes no requests, and only `aiohttp_handler` loads aiohttp.
"""

from importlib import import_module

from conference_async.webhooks.aiohttp_web import aiohttp_handler
from conference_async.webhooks.asgi import WebhookApp
from conference_async.webhooks.call_events import (
    CallAnswered,
    CallEnded,
    CallEvent,
    CallInitiated,
    CallRecording,
    CallRinging,
    ConferenceRecording,
    MachineDetected,
    RecordingEvent,
)
from conference_async.webhooks.events import (
    AnnouncementEnded,
    AnnouncementEvent,
    AnnouncementFailed,
    ConferenceEnded,
    ConferenceEvent,
    ConferenceRecordEnded,
    ConferenceStarted,
    Event,
    ParticipantEvent,
    ParticipantHeld,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantModified,
    ParticipantMuted,
    ParticipantUnheld,
    ParticipantUnmuted,
    SpeechStarted,
    SpeechStopped,
    UnknownEvent,
)
from conference_async.webhooks.history import AttendanceStore
from conference_async.webhooks.parsing import parse_event, read_event
from conference_async.webhooks.receiver import Receiver
from conference_async.webhooks.rooms import (
    Attendee,
    Change,
    ChangeKind,
    ListedParticipant,
    RoomView,
)
from conference_async.webhooks.roster import Roster
from conference_async.webhooks.signature import Algorithm, Keys, SharedKey, sign, verify
from conference_async.webhooks.states import (
    AnsweredBy,
    CallStatus,
    EndReason,
    LeaveReason,
    RecordingStatus,
)
from conference_async.webhooks.subscriptions import Subscription

__all__ = [
    "Algorithm",
    "AnnouncementEnded",
    "AnnouncementEvent",
    "AnnouncementFailed",
    "AnsweredBy",
    "AttendanceStore",
    "Attendee",
    "CallAnswered",
    "CallEnded",
    "CallEvent",
    "CallInitiated",
    "CallRecording",
    "CallRinging",
    "CallStatus",
    "Change",
    "ChangeKind",
    "ConferenceEnded",
    "ConferenceEvent",
    "ConferenceRecordEnded",
    "ConferenceRecording",
    "ConferenceStarted",
    "EndReason",
    "Event",
    "Keys",
    "LeaveReason",
    "ListedParticipant",
    "MachineDetected",
    "ParticipantEvent",
    "ParticipantHeld",
    "ParticipantJoined",
    "ParticipantLeft",
    "ParticipantModified",
    "ParticipantMuted",
    "ParticipantUnheld",
    "ParticipantUnmuted",
    "Receiver",
    "RecordingEvent",
    "RecordingStatus",
    "RoomView",
    "Roster",
    "SharedKey",
    "SpeechStarted",
    "SpeechStopped",
    "Subscription",
    "UnknownEvent",
    "WebhookApp",
    "aiohttp_handler",
    "parse_event",
    "read_event",
    "sign",
    "verify",
]

_WAITING = frozenset({"CallView", "CallbackFields", "Calls", "Unknown", "Waits"})


def __getattr__(name: str) -> object:
    # Waits build on callbacks, so their home is above; they can still be imported from here.
    if name in _WAITING:
        return getattr(import_module("conference_async.waiting"), name)
    raise AttributeError(f"module 'conference_async.webhooks' has no attribute {name!r}")
