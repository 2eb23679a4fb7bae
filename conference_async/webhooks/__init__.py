"""What happens on the phone: signed callbacks in, typed events and live rooms out.

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

from conference_async.webhooks.aiohttp_web import aiohttp_handler
from conference_async.webhooks.asgi import WebhookApp
from conference_async.webhooks.attendance import AttendanceStore
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
from conference_async.webhooks.call_view import CallView, Unknown
from conference_async.webhooks.calls import Calls
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
from conference_async.webhooks.fanout import Subscription
from conference_async.webhooks.parsing import parse_event
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
from conference_async.webhooks.vocabulary import (
    AnsweredBy,
    CallStatus,
    EndReason,
    LeaveReason,
    RecordingStatus,
)
from conference_async.webhooks.waits import CallbackFields, Waits

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
    "CallView",
    "CallbackFields",
    "Calls",
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
    "Unknown",
    "UnknownEvent",
    "Waits",
    "WebhookApp",
    "aiohttp_handler",
    "parse_event",
    "sign",
    "verify",
]
