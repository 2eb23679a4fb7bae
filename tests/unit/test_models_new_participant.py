"""The parameters of a create, their bounds and their vocabularies."""

from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest

from conference_async.cautions import IgnoredParameter, PersonalData
from conference_async.errors import InvalidParameter
from conference_async.models import NewParticipant
from conference_async.wire import encode_form

PHONES: dict[str, Any] = {"from_": "+15017122661", "to": "+15558675310"}
SIP: dict[str, Any] = {"from_": "alice", "to": "sip:bob@example.com"}
URL = "https://example.com/events"
COACHED = "CA" + "b" * 32

LEGAL: list[dict[str, Any]] = [
    {"to": "client:" + "x" * 256 + "?a=b"},
    {**SIP, "from_": "client:" + "x" * 256},
    {**SIP, "to": "sip:bob@example.com?X-Note=" + "x" * 1016},
    {**SIP, "to": "SIP:bob@example.com"},
    {"status_callback": "https://the_user:secret@example.com/a_b?c_d"},
    {"timeout": 5},
    {"timeout": 600},
    {"max_participants": 2},
    {"max_participants": 250},
    {"time_limit": 1},
    {"record": False},
    {"beep": True},
    {"beep": "onExit"},
    {"conference_record": False},
    {"conference_record": "do-not-record"},
    {"wait_url": ""},
    {"wait_url": URL, "wait_method": "GET"},
    {"status_callback": "http://[::1]:8080/x#rc=2"},
    {"status_callback": URL, "status_callback_event": ["initiated", "completed"]},
    {"machine_detection": "enable", "machine_detection_timeout": 1},
    {"machine_detection": "Enable", "machine_detection_speech_threshold": 1000},
    {"machine_detection": "Enable", "machine_detection_speech_threshold": 6000},
    {"machine_detection": "Enable", "machine_detection_speech_end_threshold": 500},
    {"machine_detection": "Enable", "machine_detection_speech_end_threshold": 5000},
    {"machine_detection": "Enable", "machine_detection_silence_timeout": 2000},
    {"machine_detection": "Enable", "machine_detection_silence_timeout": 10000},
    {"machine_detection": "Enable", "amd_status_callback": URL},
    {"coaching": True, "call_sid_to_coach": COACHED},
    {"call_sid_to_coach": COACHED},
    {"byoc": "BY" + "0" * 32},
    {"caller_id": "15017122661"},
    {"from_": "4405512345678", "to": "4157663747"},
    {"to": "911"},
    {"extra": {"NewNames": ["a", "b"], "NewName": "desk"}},
    {"label": "a" * 128},
]

ILLEGAL: list[tuple[str, int | None, dict[str, Any]]] = [
    ("timeout", 21208, {"timeout": 4}),
    ("timeout", 21208, {"timeout": 601}),
    ("timeout", 21208, {"timeout": "60"}),
    ("timeout", 21208, {"timeout": True}),
    ("max_participants", None, {"max_participants": 1}),
    ("max_participants", None, {"max_participants": 251}),
    ("time_limit", None, {"time_limit": 0}),
    ("machine_detection_timeout", None, {"machine_detection_timeout": 0}),
    ("machine_detection_speech_threshold", None, {"machine_detection_speech_threshold": 999}),
    ("machine_detection_speech_threshold", None, {"machine_detection_speech_threshold": 6001}),
    ("machine_detection_speech_end_threshold", None,
     {"machine_detection_speech_end_threshold": 499}),
    ("machine_detection_speech_end_threshold", None,
     {"machine_detection_speech_end_threshold": 5001}),
    ("machine_detection_silence_timeout", None, {"machine_detection_silence_timeout": 1999}),
    ("machine_detection_silence_timeout", None, {"machine_detection_silence_timeout": 10001}),
    ("machine_detection", 21234, {"machine_detection": "on"}),
    ("machine_detection", 21234, {"machine_detection": True}),
    ("muted", None, {"muted": "false"}),
    ("record", None, {"record": 1}),
    ("beep", None, {"beep": "onenter"}),
    ("beep", None, {"beep": 1}),
    ("conference_record", None, {"conference_record": "yes"}),
    ("conference_trim", 13239, {"conference_trim": "trim"}),
    ("trim", 13239, {"trim": ""}),
    ("region", None, {"region": "us3"}),
    ("jitter_buffer_size", None, {"jitter_buffer_size": "Large"}),
    ("recording_track", None, {"recording_track": "all"}),
    ("recording_channels", None, {"recording_channels": ["mono"]}),
    ("status_callback_method", 21209, {"status_callback_method": "PUT"}),
    ("wait_method", 21209, {"wait_method": "get"}),
    ("status_callback_event", 21626, {"status_callback_event": "busy"}),
    ("status_callback_event", 21626, {"status_callback_event": ["ringing", 7]}),
    ("status_callback_event", 21626, {"status_callback_event": [["ringing"]]}),
    ("status_callback_event", 21626, {"status_callback_event": 7}),
    ("status_callback_event", 21626, {"status_callback_event": []}),
    ("conference_status_callback_event", None, {"conference_status_callback_event": "joined"}),
    ("status_callback", 21205, {"status_callback": ""}),
    ("status_callback", 21205, {"status_callback": "example.com/events"}),
    ("status_callback", 21205, {"status_callback": "ftp://example.com"}),
    ("status_callback", 21205, {"status_callback": "https:///events"}),
    ("status_callback", 21205, {"status_callback": "https://example.com:x/"}),
    ("status_callback", 21205, {"status_callback": "https://exam ple.com/"}),
    ("status_callback", 21205, {"status_callback": "https://example.com/\n"}),
    ("status_callback", 21205, {"status_callback": 7}),
    ("wait_url", None, {"wait_url": "music.mp3"}),
    ("client_notification_url", None, {"client_notification_url": ""}),
    ("label", 16024, {"label": "a/b"}),
    ("label", 16024, {"label": ""}),
    ("call_sid_to_coach", 13240, {"coaching": True}),
    ("call_sid_to_coach", 13240, {"call_sid_to_coach": "alice"}),
    ("byoc", 21300, {"byoc": "CA" + "0" * 32}),
    ("byoc", 21300, {"byoc": 7}),
    ("call_reason", None, {"call_reason": ""}),
    ("call_reason", None, {"call_reason": "a\nb"}),
    ("call_reason", None, {"call_reason": b"a"}),
    ("sip_auth_username", 21221, {"sip_auth_username": "x" * 256}),
    ("sip_auth_username", 21222, {"sip_auth_username": "a\x7f"}),
    ("sip_auth_password", 21223, {"sip_auth_username": "a", "sip_auth_password": "x" * 256}),
    ("sip_auth_password", 21224, {"sip_auth_username": "a", "sip_auth_password": "x\n"}),
    ("sip_auth_password", 21225, {"sip_auth_username": "a"}),
    ("caller_display_name", None, {**SIP, "caller_display_name": "A"}),
    ("caller_display_name", None, {**SIP, "caller_display_name": "A" * 256}),
    ("to", 21201, {"to": ""}),
    ("to", 21201, {"to": None}),
    ("to", 21211, {"to": "bob"}),
    ("to", 21211, {"to": "12345"}),
    ("to", 21211, {"to": " 15558675310"}),
    ("to", 21211, {"to": "+1234567890123456"}),
    ("to", 21211, {"to": "(555) 867-5310"}),
    ("to", 21211, {"to": "+15558675310?a=b"}),
    ("to", 21211, {"to": "1234"}),
    ("to", 21211, {"to": "123456"}),
    ("to", 21211, {"to": "sip:"}),
    ("to", 21211, {"to": "sip:example.com"}),
    ("to", 21211, {"to": "CLIENT:bob"}),
    ("to", 21211, {"to": "client:" + "x" * 257}),
    ("to", 21227, {"to": "sip:bob@example.com?X-Note=" + "x" * 1017, "from_": "alice"}),
    ("from_", 21212, {**SIP, "from_": "client:" + "x" * 257}),
    ("caller_id", 21212, {**SIP, "caller_id": "client:" + "x" * 257}),
    ("status_callback", 21205, {"status_callback": "https://my_host.example.com/"}),
    ("amd_status_callback", 21205, {"amd_status_callback": "https://a_b/"}),
    ("to", 21211, {"to": "client:"}),
    ("to", 21211, {"to": "client:a b"}),
    ("to", 21211, {"to": "+15558675310\n"}),
    ("to", 21218, {"to": "app:nonsense"}),
    ("from_", 21213, {"from_": ""}),
    ("from_", 21213, {"from_": None}),
    ("from_", 21212, {"from_": "alice"}),
    ("from_", 21212, {"from_": "client:alice"}),
    ("from_", 21212, {**SIP, "from_": "sip:alice@example.com"}),
    ("from_", 21212, {**SIP, "from_": "al ice"}),
    ("from_", 21212, {**SIP, "from_": "al\x00ice"}),
    ("caller_id", 21212, {"caller_id": "alice"}),
    ("caller_id", 21213, {"caller_id": ""}),
    ("extra", None, {"extra": {"Timeout": "60"}}),
    ("extra", None, {"extra": {"from": "+15017122661"}}),
    ("extra", None, {"extra": {"call_sid_to_coach": "x"}}),
    ("extra", None, {"extra": {"": "x"}}),
    ("extra", None, {"extra": {"New": 7}}),
    ("extra", None, {"extra": {"New": ["a", 7]}}),
    ("extra", None, {"extra": {"New": "\ud800"}}),
    ("extra", None, {"extra": 7}),
]  # fmt: skip


@pytest.mark.parametrize("fields", LEGAL, ids=str)
def test_every_bound_is_inside(fields: dict[str, Any]) -> None:
    """A value at its bound passes, without a warning, and stays as it was given."""
    new = NewParticipant(**(PHONES | fields))

    for name in fields.keys() - {"machine_detection", "status_callback_event", "extra"}:
        assert getattr(new, name) == fields[name]


@pytest.mark.parametrize("value", [10**5000, -(10**5000), 10**15], ids=["+", "-", "16"])
def test_a_number_that_nothing_can_write_down_is_refused(value: int) -> None:
    """Python itself refuses to turn so many digits into text; the error is ours all the same."""
    for field in ("timeout", "time_limit"):
        with pytest.raises(InvalidParameter, match=f"{field}: .*not one of more than 15 digits"):
            NewParticipant(**(PHONES | {field: value}))


@pytest.mark.parametrize(("parameter", "code", "fields"), ILLEGAL, ids=str)
@pytest.mark.filterwarnings("ignore::conference_async.cautions.IgnoredParameter")
def test_what_the_service_would_refuse_is_never_sent(
    parameter: str, code: int | None, fields: dict[str, Any]
) -> None:
    """A value out of bounds names its parameter and the service's own code."""
    with pytest.raises(InvalidParameter) as refused:
        NewParticipant(**(PHONES | fields))

    assert refused.value.parameter == parameter
    assert refused.value.code == code
    assert "8675310" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"muted": "false"}, r"muted: must be the bool True or False, not the text 'false'"),
        ({"timeout": 700}, r"timeout: must be an int from 5 to 600, not 700 .*21208"),
        ({"beep": "loud"}, r"beep: must be true, false, onEnter or onExit, not 'loud'"),
        ({"from_": "alice"}, r"must be a phone number \(\+ and digits, nothing between them\)"),
        ({"extra": {"CallSidToCoach": "x"}}, r"as the keyword call_sid_to_coach instead"),
    ],
)
def test_refusal_says_what_would_be_right(fields: dict[str, Any], words: str) -> None:
    """The message names the bounds or the words, so that the reader need not look them up."""
    with pytest.raises(InvalidParameter, match=words):
        NewParticipant(**(PHONES | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status_callback_method": "GET"}, "status_callback_method is ignored without"),
        ({"status_callback_event": "ringing"}, "status_callback_event is ignored without"),
        ({"wait_url": "", "wait_method": "GET"}, "wait_method is ignored without wait_url"),
        ({"amd_status_callback": URL}, "amd_status_callback is ignored without machine_detection"),
        ({"machine_detection_timeout": 5}, "ignored without machine_detection"),
        ({"sip_auth_password": "x"}, "ignored without sip_auth_username"),
        ({**SIP, "byoc": "BY" + "0" * 32}, "byoc is ignored for a sip target"),
        ({"caller_display_name": "Desk"}, "caller_display_name is ignored for a phone target"),
    ],
)
def test_what_the_service_would_ignore_is_a_warning(fields: dict[str, Any], words: str) -> None:
    """A parameter without effect is a warning at the caller's own line."""
    with pytest.warns(IgnoredParameter, match=words) as warned:
        NewParticipant(**(PHONES | fields))

    assert warned[0].filename == __file__


def test_label_with_personal_data_is_a_warning() -> None:
    """A phone number as label is warned of, for labels appear in URLs and logs."""
    with pytest.warns(PersonalData):
        NewParticipant(**PHONES, label="+15558675310")


@pytest.mark.parametrize(
    "fields",
    [
        SIP,
        {"from_": "+15017122661", "to": "sips:bob@example.com:5061;transport=tls?x-a=b"},
        {"from_": "client:alice", "to": "client:bob"},
        {"from_": "alice", "to": "client:alice?mycustomparam1=foo&mycustomparam2=bar"},
        {"from_": "+15017122661", "to": "app:AP" + "a" * 32 + "?a=b"},
        {**SIP, "caller_display_name": "Ab", "caller_id": "desk"},
        {**SIP, "sip_auth_username": "a", "sip_auth_password": "x" * 255},
    ],
)
def test_other_targets_than_phones_are_called(fields: dict[str, Any]) -> None:
    """SIP addresses, clients and applications take their own callers and custom parameters."""
    new = NewParticipant(**fields)

    assert new.to == fields["to"]


@pytest.mark.parametrize(
    "events",
    ["ringing completed", ["ringing", "completed", "ringing"], iter(("ringing", "completed"))],
    ids=["text", "list", "iterator"],
)
def test_events_come_in_any_form_and_stay_once(events: Any) -> None:
    """Words separated by spaces and iterables of words are the same request."""
    new = NewParticipant(**PHONES, status_callback=URL, status_callback_event=events)

    assert new.status_callback_event == ("ringing", "completed")


@pytest.mark.parametrize("mode", ["enable", "ENABLE", "Enable"])
def test_machine_detection_is_spelled_as_the_text_of_the_page(mode: str) -> None:
    """The page's samples write ``enable``, its text ``Enable``: both are understood."""
    assert NewParticipant(**PHONES, machine_detection=mode).machine_detection == "Enable"


def test_repr_shows_what_was_given_and_no_secret() -> None:
    """Numbers, passwords, tokens and values of unknown parameters cannot be read in it."""
    new = NewParticipant(
        from_="8675309",
        to="client:bob?token=secret",
        label="customer",
        muted=False,
        caller_id="911",
        sip_auth_username="alice",
        sip_auth_password="secret",
        call_token="secret",
        client_notification_url="https://user:secret@example.com/push",
        extra={"NewNames": "secret"},
    )

    assert repr(new) == (
        "NewParticipant(from_='***5309', to='client:***?***', label='customer', muted=False, "
        "sip_auth_username=***, sip_auth_password=***, caller_id='***', call_token=***, "
        "client_notification_url='https://***@example.com/push', extra={'NewNames': ***})"
    )


def test_later_changes_of_the_callers_mapping_do_not_reach_the_request() -> None:
    """The request keeps a copy, lists included."""
    items = ["a"]
    extra: dict[str, Any] = {"NewNames": items}
    new = NewParticipant(**PHONES, extra=extra)

    extra["Other"] = "x"
    items.append("b")

    assert new.extra == {"NewNames": ("a",)}


NEWER: dict[str, Any] = {
    "passports": ("eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "eyJh.e30.c2ln"),
    "emergency_caller_position": "37.7879 -122.3974",
    "emergency_caller_location": "Floor 3",
    "emergency_name": "Jo Doe",
    "emergency_address": "101 Spear Street",
    "emergency_zip_code": "94105",
    "emergency_city": "San Francisco",
    "emergency_state": "CA",
    "emergency_country": "US",
}


def test_what_is_newer_than_the_page_is_sent_and_never_shown() -> None:
    """Each goes out under its own name; who calls for help from where is in no repr."""
    new = NewParticipant(**PHONES, recording_configuration_id="cfg 1", **NEWER)
    pairs = dict(parse_qsl(encode_form(new).decode()))

    assert pairs["RecordingConfigurationId"] == "cfg 1"
    assert pairs["Passports"] == "eyJhbGciOiJFUzI1NiJ9.e30.c2ln,eyJh.e30.c2ln"
    assert pairs["EmergencyZipCode"] == "94105"
    shown = repr(new)
    assert "recording_configuration_id='cfg 1'" in shown
    for value in ("Spear", "94105", "37.78", "Jo Doe", "c2ln"):
        assert value not in shown


@pytest.mark.parametrize(
    "beside",
    [
        {"record": False},
        {"recording_channels": "dual"},
        {"recording_track": "both"},
        {"trim": "do-not-trim"},
        {"recording_status_callback": "https://example.com/recorded"},
    ],
)
def test_a_recording_configuration_stands_alone(beside: dict[str, Any]) -> None:
    """It takes the place of the call's recording parameters, not of the conference's."""
    with pytest.raises(InvalidParameter, match=f"^{next(iter(beside))}: must not be given with"):
        NewParticipant(**PHONES, recording_configuration_id="cfg1", **beside)
    NewParticipant(**PHONES, recording_configuration_id="cfg1", conference_record=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passports", ["a"] * 6),
        ("passports", ["a b"]),
        ("passports", 5),
        ("passports", []),
        ("emergency_caller_position", "37.7879, -122.3974"),
        ("emergency_caller_position", "91 0"),
        ("emergency_caller_position", 37.7),
        ("emergency_address", "x" * 61),
        ("emergency_city", "x" * 21),
        ("emergency_country", "us"),
    ],
)
def test_what_is_newer_has_bounds_too(field: str, value: Any) -> None:
    """What the service would cut off or cannot read is refused by the field's name."""
    with pytest.raises(InvalidParameter, match=f"^{field}: must"):
        NewParticipant(**PHONES, **{field: value})


def test_a_request_holds_what_it_was_given_and_nothing_else() -> None:
    """What was not given, or given as None, is None, and takes no room in those that wait."""
    new = NewParticipant(**PHONES, label="alice", muted=None, status_callback_event=None)

    assert vars(new) == {**PHONES, "label": "alice", "extra": {}}
    assert (new.muted, new.status_callback_event) == (None, None)
    assert new == NewParticipant(label="alice", **PHONES)
    assert hash(new) == hash(NewParticipant(label="alice", **PHONES))
    assert new != NewParticipant(label="bob", **PHONES)


def test_a_request_is_frozen() -> None:
    """It may be checked once and sent later: neither what was given nor the rest changes."""
    new: Any = NewParticipant(**PHONES, label="alice")

    for name in ("label", "muted", "anything"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(new, name, "bob")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del new.label


@pytest.mark.parametrize(
    "fields", [{**PHONES, "lable": "a"}, {**PHONES, "lable": None}, {"to": "+"}]
)
def test_a_keyword_that_is_unknown_or_missing_is_said(fields: dict[str, Any]) -> None:
    """As any function says it, whether the keyword has a value or not."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'lable'|argument: 'from_'"):
        NewParticipant(**fields)


class Missing:
    """The missing value of a data frame, or an array: it compares, and says neither yes nor no."""

    __hash__ = None  # type: ignore[assignment]  # as that of an array

    def __eq__(self, other: object) -> "Missing":  # type: ignore[override]  # as theirs
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.filterwarnings("ignore::conference_async.cautions.IgnoredParameter")
@pytest.mark.parametrize("field", [each.name for each in attrs.fields(NewParticipant)])
@pytest.mark.parametrize("value", [Missing(), [[Missing()]], float("nan"), b"GET"])
def test_what_no_parameter_takes_is_refused_by_its_name(field: str, value: object) -> None:
    """Whatever stands in a data frame, nothing but the error of this library comes of it."""
    needed = {"sip_auth_username": "x", "sip_auth_password": "x"}
    with pytest.raises(InvalidParameter) as caught:
        NewParticipant(**{**PHONES, **needed, field: value})

    assert caught.value.parameter == field


@pytest.mark.parametrize(
    "to", ["client:a\ud800", "client:a\x01", "client:a?b=\ud800", f"app:AP{'0' * 32}?\ud800"]
)
def test_an_address_that_cannot_be_sent_is_refused(to: str) -> None:
    """Before it is encoded."""
    with pytest.raises(InvalidParameter, match=r"^to: must not contain control characters"):
        NewParticipant(from_="client:bob", to=to)


def test_a_long_value_is_not_repeated() -> None:
    """An error is read by a person."""
    with pytest.raises(InvalidParameter) as caught:
        NewParticipant(**PHONES, wait_url=URL, wait_method="x" * 1_000_000)  # type: ignore[arg-type]  # a mistake

    assert "must be GET or POST, not one of 1000000 characters" in str(caught.value)


def test_repr_shows_no_user_of_a_caller_either() -> None:
    """A caller's name is a person's as much as the address that is called."""
    new = NewParticipant(from_="alice", to="sip:bob@example.com", caller_id="carol")

    assert repr(new) == ("NewParticipant(from_='***', to='sip:***@example.com', caller_id='***')")
