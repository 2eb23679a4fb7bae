"""The request that brings a phone, a SIP endpoint, a client or an application into a conference."""

from typing import TYPE_CHECKING, get_args

from conference_async.cautions import IgnoredParameter, notify
from conference_async.errors import InvalidParameter
from conference_async.models import newer, rules
from conference_async.models.endpoints import EndpointKind, check_caller, check_target
from conference_async.models.extras import Extras, copied, only_unknown
from conference_async.models.given import check_given, given, needing
from conference_async.models.rules import check_coaching
from conference_async.models.vocabulary import (
    Beep,
    CallEventName,
    ConferenceEventName,
    ConferenceRecord,
    ConferenceRecordingEventName,
    EmergencyCountry,
    HttpMethod,
    JitterBufferSize,
    MachineDetection,
    RecordingChannels,
    RecordingEventName,
    RecordingTrack,
    Region,
    Trim,
)
from conference_async.privacy import described, endpoint, names_only

if TYPE_CHECKING:
    from attrs import field as request_field
    from attrs import frozen as frozen_request
else:
    from conference_async.models.given import frozen_request, request_field

_METHOD = rules.word(HttpMethod, code=21209)
_TRIM = rules.word(Trim, code=13239)
_MODES = {mode.lower(): mode for mode in get_args(MachineDetection)}
_NEEDS = {
    "status_callback_method": "status_callback",
    "status_callback_event": "status_callback",
    "wait_method": "wait_url",
    "conference_status_callback_method": "conference_status_callback",
    "conference_status_callback_event": "conference_status_callback",
    "recording_status_callback_method": "recording_status_callback",
    "recording_status_callback_event": "recording_status_callback",
    "conference_recording_status_callback_method": "conference_recording_status_callback",
    "conference_recording_status_callback_event": "conference_recording_status_callback",
    "sip_auth_password": "sip_auth_username",
    "machine_detection_timeout": "machine_detection",
    "machine_detection_speech_threshold": "machine_detection",
    "machine_detection_speech_end_threshold": "machine_detection",
    "machine_detection_silence_timeout": "machine_detection",
    "amd_status_callback": "machine_detection",
    "amd_status_callback_method": "amd_status_callback",
}
_TOGETHER = {
    "byoc",
    "call_sid_to_coach",
    "caller_display_name",
    "caller_id",
    "coaching",
    "recording_configuration_id",
    "sip_auth_username",
}
"""The fields that are judged by what else is given; most requests have none of them."""


def machine_detection_mode(value: str | None) -> str | None:
    """Return the mode as the page's text spells it; its samples write ``enable``."""
    return _MODES.get(value.lower(), value) if isinstance(value, str) else value


@frozen_request(kw_only=True, field_transformer=needing(_NEEDS))
class NewParticipant:
    """A call into a conference (conference-participant-resource#create-a-participant).

    Only `from_` and `to` must be given. None means "not sent": the service's default holds. Event
    lists take one word, words separated by spaces, or any iterable of words. What the service
    would ignore is an `IgnoredParameter` warning; a label with personal data is `PersonalData`.

    Calls that are created count against the account's calls per second; inbound calls and those
    of ``<Dial>`` do not.

    Raises:
        InvalidParameter: A value is out of its bounds, or parameters contradict each other.
    """

    from_: str = request_field(repr=endpoint)
    """A phone number of the account, ``client:name`` or a SIP username; a phone to call phones."""
    to: str = request_field(repr=endpoint)
    """A phone number; or ``sip:name@host``, ``client:name``, ``app:AP…``, with ``?a=b`` or not."""
    status_callback: str | None = request_field(default=None, validator=rules.callback)
    """The URL that hears how the call goes."""
    status_callback_method: HttpMethod | None = request_field(default=None, validator=_METHOD)
    """How to call `status_callback`; POST if not given."""
    status_callback_event: tuple[str, ...] | None = request_field(
        default=None, converter=rules.split_words, validator=rules.words(CallEventName, code=21626)
    )
    """Which of initiated, ringing, answered and completed to report; ``completed`` if not given."""
    label: str | None = request_field(default=None, validator=rules.label)
    """1 to 128 characters that address the participant; unique among those in the conference."""
    timeout: int | None = request_field(
        default=None, validator=rules.whole_number(5, 600, code=21208)
    )
    """Seconds to ring, 5 to 600, and 5 more that the service adds; 60 if not given."""
    record: bool | None = request_field(default=None, validator=rules.flag)
    """Whether to record the participant and their conferences, the time between them included;
    False if not given."""
    muted: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the participant joins muted; False if not given."""
    beep: Beep | bool | None = request_field(default=None, validator=rules.word(Beep, or_flag=True))
    """Whether, or when, a beep announces it to the others; True if not given."""
    start_conference_on_enter: bool | None = request_field(default=None, validator=rules.flag)
    """Whether joining starts the conference; True if not given. If False and it has not started,
    the participant is muted and hears music until somebody starts it."""
    end_conference_on_exit: bool | None = request_field(default=None, validator=rules.flag)
    """Whether leaving ends the conference for everyone; False if not given."""
    wait_url: str | None = request_field(default=None, validator=rules.url(empty=True))
    """The URL that plays until the conference starts: audio or TwiML; an empty string is silence.
    The service's standard hold music if not given."""
    wait_method: HttpMethod | None = request_field(default=None, validator=_METHOD)
    """How to call `wait_url`: GET lets the service cache audio; POST if not given."""
    early_media: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the conference hears the ringing and network messages; True if not given."""
    max_participants: int | None = request_field(default=None, validator=rules.whole_number(2, 250))
    """How many participants the conference may hold, 2 to 250; 250 if not given."""
    conference_record: ConferenceRecord | bool | None = request_field(
        default=None, validator=rules.word(ConferenceRecord, or_flag=True)
    )
    """Whether to record the conference; False if not given."""
    conference_trim: Trim | None = request_field(default=None, validator=_TRIM)
    """Whether silence is cut off the conference's recording; ``trim-silence`` if not given."""
    conference_status_callback: str | None = request_field(default=None, validator=rules.callback)
    """The URL that conference events are sent to; only that of the first to join counts."""
    conference_status_callback_method: HttpMethod | None = request_field(
        default=None, validator=_METHOD
    )
    """How to call `conference_status_callback`; POST if not given."""
    conference_status_callback_event: tuple[str, ...] | None = request_field(
        default=None, converter=rules.split_words, validator=rules.words(ConferenceEventName)
    )
    """Which of start, end, join, leave, mute, hold, modify, speaker and announcement to report;
    ``start`` and ``end`` if not given."""
    recording_channels: RecordingChannels | None = request_field(
        default=None, validator=rules.word(RecordingChannels)
    )
    """The channels of the participant's recording; ``mono`` if not given."""
    recording_status_callback: str | None = request_field(default=None, validator=rules.callback)
    """The URL that hears of the participant's recording."""
    recording_status_callback_method: HttpMethod | None = request_field(
        default=None, validator=_METHOD
    )
    """How to call `recording_status_callback`; POST if not given."""
    sip_auth_username: str | None = request_field(
        default=None, validator=rules.text(1, 255, code=21221, unprintable=21222), repr=False
    )
    """The SIP username, up to 255 characters; needs `sip_auth_password`; never shown."""
    sip_auth_password: str | None = request_field(
        default=None, validator=rules.text(1, 255, code=21223, unprintable=21224), repr=False
    )
    """The SIP password, up to 255 characters; never shown."""
    region: Region | None = request_field(default=None, validator=rules.word(Region))
    """The region in which the conference's audio is mixed."""
    conference_recording_status_callback: str | None = request_field(
        default=None, validator=rules.callback
    )
    """The URL that hears of the conference's recording."""
    conference_recording_status_callback_method: HttpMethod | None = request_field(
        default=None, validator=_METHOD
    )
    """How to call `conference_recording_status_callback`; POST if not given."""
    recording_status_callback_event: tuple[str, ...] | None = request_field(
        default=None, converter=rules.split_words, validator=rules.words(RecordingEventName)
    )
    """Which of started, in-progress, paused, resumed, stopped, completed, failed and absent to
    report."""
    conference_recording_status_callback_event: tuple[str, ...] | None = request_field(
        default=None,
        converter=rules.split_words,
        validator=rules.words(ConferenceRecordingEventName),
    )
    """Which of in-progress, completed, failed and absent to report."""
    coaching: bool | None = request_field(default=None, validator=rules.flag)
    """Whether the participant coaches another one; True needs `call_sid_to_coach`. If not given,
    False unless there is a call to coach."""
    call_sid_to_coach: str | None = request_field(
        default=None, validator=rules.sid("CA", code=13240)
    )
    """The call (``CA…``) of the participant to coach, who alone hears the coach. It implies
    `coaching`."""
    jitter_buffer_size: JitterBufferSize | None = request_field(
        default=None, validator=rules.word(JitterBufferSize)
    )
    """How much audio is buffered before it is mixed; ``large`` if not given."""
    byoc: str | None = request_field(default=None, validator=rules.sid("BY", code=21300))
    """The trunk (``BY…``) of your own carrier to call phones through."""
    caller_id: str | None = request_field(default=None, repr=endpoint)
    """The caller to show instead of `from_`, under the same rules."""
    call_reason: str | None = request_field(default=None, validator=rules.text())
    """Why you call, as shown on the called phone (branded calls)."""
    recording_track: RecordingTrack | None = request_field(
        default=None, validator=rules.word(RecordingTrack)
    )
    """Which audio of the call is recorded; ``both`` if not given."""
    time_limit: int | None = request_field(default=None, validator=rules.whole_number(1))
    """Seconds that the call may last, 1 or more; the account may set a lower bound."""
    machine_detection: str | None = request_field(
        default=None,
        converter=machine_detection_mode,
        validator=rules.word(MachineDetection, code=21234),
    )
    """A `MachineDetection` mode, in any case: ``Enable`` or ``DetectMessageEnd``."""
    machine_detection_timeout: int | None = request_field(
        default=None, validator=rules.whole_number(1)
    )
    """Seconds to listen for a machine, 1 or more; 30 if not given."""
    machine_detection_speech_threshold: int | None = request_field(
        default=None, validator=rules.whole_number(1000, 6000)
    )
    """Milliseconds, 1000 to 6000: longer speech means a machine; 2400 if not given."""
    machine_detection_speech_end_threshold: int | None = request_field(
        default=None, validator=rules.whole_number(500, 5000)
    )
    """Milliseconds of silence, 500 to 5000, that end the speech; 1200 if not given."""
    machine_detection_silence_timeout: int | None = request_field(
        default=None, validator=rules.whole_number(2000, 10000)
    )
    """Milliseconds of silence at first, 2000 to 10000, that end it all; 5000 if not given."""
    amd_status_callback: str | None = request_field(default=None, validator=rules.callback)
    """The URL that hears whether a person, a machine or a fax answered."""
    amd_status_callback_method: HttpMethod | None = request_field(default=None, validator=_METHOD)
    """How to call `amd_status_callback`; POST if not given."""
    trim: Trim | None = request_field(default=None, validator=_TRIM)
    """Whether silence is cut off the participant's recording; ``trim-silence`` if not given."""
    call_token: str | None = request_field(default=None, validator=rules.text(), repr=False)
    """The token of an incoming call, to forward it under its own caller ID; never shown."""
    client_notification_url: str | None = request_field(default=None, validator=rules.url())
    """The URL that delivers the push notification of the call."""
    caller_display_name: str | None = request_field(default=None, validator=rules.text(2, 255))
    """The display name shown to SIP targets, 2 to 255 characters."""
    recording_configuration_id: str | None = request_field(default=None, validator=rules.text())
    """Newer than the page: the recording configuration to record by (us1 only). It takes the place
    of `record`, the `recording_...` fields and `trim`, which are refused beside it."""
    passports: str | None = request_field(
        default=None, converter=newer.joined, validator=newer.passports, repr=False
    )
    """Newer than the page: one to five STIR/SHAKEN PASSporTs in base64, as one text with commas
    between or any iterable of them; never shown."""
    emergency_caller_position: str | None = request_field(
        default=None, validator=newer.position, repr=False
    )
    """Newer than the page, as all of ``emergency_...``, for calls to emergency numbers: where the
    caller is, as latitude and longitude in degrees with a space between; at most 150 characters.
    None of them is ever shown, and what the service would cut off is refused."""
    emergency_caller_location: str | None = request_field(
        default=None, validator=rules.text(1, 20), repr=False
    )
    """Where in the building the caller is, up to 20 characters."""
    emergency_name: str | None = request_field(
        default=None, validator=rules.text(1, 20), repr=False
    )
    """The caller's name, up to 20 characters."""
    emergency_address: str | None = request_field(
        default=None, validator=rules.text(1, 60), repr=False
    )
    """Street and number, up to 60 characters."""
    emergency_zip_code: str | None = request_field(
        default=None, validator=rules.text(1, 20), repr=False
    )
    """The ZIP or postal code, up to 20 characters."""
    emergency_city: str | None = request_field(
        default=None, validator=rules.text(1, 20), repr=False
    )
    """The city, up to 20 characters."""
    emergency_state: str | None = request_field(
        default=None, validator=rules.text(1, 20), repr=False
    )
    """The state or province, up to 20 characters."""
    emergency_country: EmergencyCountry | None = request_field(
        default=None, validator=rules.word(EmergencyCountry), repr=False
    )
    """The country: ``US`` or ``CA``."""
    extra: Extras = request_field(
        factory=dict, converter=copied, validator=only_unknown, hash=False, repr=names_only
    )
    """Parameters newer than this library, by the service's names: ``{"NewName": "value"}``."""

    def __attrs_post_init__(self) -> None:
        check_given(self)
        target = check_target(self.to)
        check_caller("from_", self.from_, target)
        if not _TOGETHER.isdisjoint(self.__dict__):
            self._check_together(target)

    def _check_together(self, target: EndpointKind) -> None:
        if self.recording_configuration_id is not None:
            newer.check_recording(given(self)[0])
        if self.caller_id is not None:
            check_caller("caller_id", self.caller_id, target)
        check_coaching(coaching=self.coaching, coached=self.call_sid_to_coach)
        if self.sip_auth_username is not None and self.sip_auth_password is None:
            problem = "must be given with sip_auth_username"
            raise InvalidParameter("sip_auth_password", problem, code=21225)
        if self.byoc is not None and target != "phone":
            notify(IgnoredParameter, f"byoc is ignored for a {target} target; it routes phones")
        if self.caller_display_name is not None and target != "sip":
            notify(IgnoredParameter, f"caller_display_name is ignored for a {target} target")

    def __repr__(self) -> str:
        return described(self)
