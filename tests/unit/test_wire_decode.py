"""Replies as values."""

import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.errors import UnexpectedReply
from conference_async.models import (
    Conference,
    ConferenceStatus,
    Participant,
    ParticipantStatus,
    PlacedParticipant,
)
from conference_async.wire import (
    decode_call_page,
    decode_conference,
    decode_conference_page,
    decode_participant,
    decode_participant_page,
)
from conference_async.wire.converter import make_converter

PARTICIPANT: dict[str, Any] = {
    "account_sid": "AC" + "a" * 32,
    "call_sid": "CA" + "a" * 32,
    "label": "customer",
    "call_sid_to_coach": "CA" + "b" * 32,
    "coaching": True,
    "conference_sid": "CF" + "a" * 32,
    "date_created": "Fri, 18 Feb 2011 21:07:19 +0000",
    "date_updated": "Fri, 18 Feb 2011 21:07:20 +0000",
    "end_conference_on_exit": False,
    "muted": False,
    "hold": True,
    "start_conference_on_enter": True,
    "status": "ringing",
    "queue_time": "1000",
    "uri": "/2010-04-01/Accounts/AC/Conferences/CF/Participants/CA.json",
}
CONFERENCE: dict[str, Any] = {
    "sid": "CF" + "a" * 32,
    "account_sid": "AC" + "a" * 32,
    "api_version": "2010-04-01",
    "friendly_name": "standup",
    "region": "unknown",
    "status": "in-progress",
    "date_created": "Mon, 22 Aug 2011 20:58:45 +0000",
    "date_updated": "Mon, 22 Aug 2011 20:58:46 +0000",
    "uri": "/2010-04-01/Accounts/AC/Conferences/CF.json",
    "subresource_uris": {
        "participants": "/2010-04-01/Accounts/AC/Conferences/CF/Participants.json"
    },
    "reason_conference_ended": None,
    "call_sid_ending_conference": None,
}
NEEDED = {"call_sid", "conference_sid"}
EXPECTED = PlacedParticipant(
    **(
        PARTICIPANT
        | {
            "date_created": datetime(2011, 2, 18, 21, 7, 19, tzinfo=UTC),
            "date_updated": datetime(2011, 2, 18, 21, 7, 20, tzinfo=UTC),
            "status": ParticipantStatus.RINGING,
            "queue_time": 1000,
        }
    )
)


def body(payload: object) -> bytes:
    """Return a reply's body."""
    return json.dumps(payload).encode()


def test_participant_is_read() -> None:
    """Dates are aware, the status is a member, milliseconds are a number; the second time too."""
    for _ in range(3):
        participant = decode_participant(body(PARTICIPANT))

        assert participant == EXPECTED
        assert isinstance(participant.status, ParticipantStatus)
        assert pickle.loads(pickle.dumps(participant)) == EXPECTED
        assert repr(participant) == repr(EXPECTED)
        assert participant.reconciled is False


def test_conference_is_read() -> None:
    """A conference keeps its subresources, and its unknown region."""
    conference = decode_conference(body(CONFERENCE))

    assert conference.status is ConferenceStatus.IN_PROGRESS
    assert conference.date_created == datetime(2011, 8, 22, 20, 58, 45, tzinfo=UTC)
    assert conference.subresource_uris == CONFERENCE["subresource_uris"]
    assert conference.extra == {}
    assert decode_conference(body({"sid": "CF", "subresource_uris": None})) == Conference(sid="CF")
    with pytest.raises(UnexpectedReply, match="it has no 'sid'"):
        decode_conference(body({"status": "init"}))


@given(st.sets(st.sampled_from(sorted(PARTICIPANT.keys() - NEEDED))), st.booleans())
def test_any_property_but_the_sids_may_be_null_or_missing(
    absent: set[str],
    nulls: bool,
) -> None:
    """An absent property is None, a status ``unknown``; the rest is unharmed, also next time."""
    payload = {name: value for name, value in PARTICIPANT.items() if name not in absent}
    if nulls:
        payload |= dict.fromkeys(absent)

    for _ in range(2):
        participant = decode_participant(body(payload))

        assert participant.extra == {}
        for name in PARTICIPANT:
            missing = "unknown" if name == "status" else None
            expected = missing if name in absent else getattr(EXPECTED, name)
            assert getattr(participant, name) == expected


def test_what_is_newer_than_us_is_kept() -> None:
    """Unknown properties, an unknown status and our own field names lose nothing."""
    newer = {"mood": ["good"], "extra": 1, "reconciled": True}
    participant = decode_participant(body(PARTICIPANT | newer | {"status": "whispering"}))

    assert participant.extra == newer
    assert participant.reconciled is False
    assert participant.status == "whispering"
    assert decode_participant(body(PARTICIPANT | {"status": "whispering"})).status == "whispering"
    assert decode_conference(body(CONFERENCE | {"mood": 1})).extra == {"mood": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", ["a"]),
        ("label", 7),
        ("muted", "false"),
        ("muted", 0),
        ("coaching", {}),
        ("account_sid", 5),
        ("call_sid_to_coach", False),
        ("uri", []),
        ("date_updated", 7),
        ("queue_time", 1.5),
        ("queue_time", True),
        ("queue_time", -2),
        ("queue_time", 10**20),
        ("date_created", [1]),
        ("date_updated", {"a": 1}),
        ("date_created", "yesterday"),
        ("date_created", ""),
        ("date_created", "Fri, 99 Feb 2011 21:07:19 +0000"),
        ("date_created", "Fri, 18 Feb 2011abc 21:07 +0000"),
        ("date_created", "Fri, 31 Dec 9999 23:00:00 -0900"),
        ("queue_time", "soon"),
        ("queue_time", "1" * 5000),
        ("queue_time", "-1"),
        ("queue_time", ""),
    ],
)
def test_unreadable_value_is_none_and_kept(name: str, value: object) -> None:
    """A property in another form than the page promises does not cost the participant."""
    for _ in range(2):
        participant = decode_participant(body(PARTICIPANT | {name: value}))

        assert getattr(participant, name) is None
        assert participant.extra == {name: value}
        assert decode_participant(body(PARTICIPANT)) == EXPECTED


@pytest.mark.parametrize("status", [7, None, [], {}])
def test_a_status_in_another_form_is_unknown(status: object) -> None:
    """It decides nothing, is kept as it came, and harms nobody of the same shape later."""
    for _ in range(2):
        participant = decode_participant(body(PARTICIPANT | {"status": status}))
        assert participant.status == "unknown"
        assert participant.extra == ({} if status is None else {"status": status})
        assert decode_conference(body(CONFERENCE | {"status": status})).status == "unknown"
    assert decode_participant(body(PARTICIPANT | {"status": "unknown"})).extra == {}


def test_a_number_may_be_a_number() -> None:
    """The page promises text; users report numbers."""
    for _ in range(2):
        assert decode_participant(body(PARTICIPANT | {"queue_time": 1000})) == EXPECTED


def test_the_conference_is_known_by_the_path_too() -> None:
    """The resource's own path stands in for a missing property; without it, it is empty."""
    missing = PARTICIPANT | {"conference_sid": None}
    path = f"/2010-04-01/Accounts/AC/Conferences/CF{'b' * 32}/Participants/CA.json"

    assert decode_participant(body(missing | {"uri": path})).conference_sid == "CF" + "b" * 32
    assert decode_participant(body(missing | {"uri": None})).conference_sid == ""


def test_one_odd_participant_does_not_end_a_list() -> None:
    """Everybody is read, whatever form their properties have."""
    odd = [{"call_sid": 7}, {"label": "b"}, PARTICIPANT | {"status": 7}, PARTICIPANT]
    items = list(decode_participant_page(body({"participants": odd, "next_page_uri": None})).items)

    assert [item.call_sid for item in items] == [None, None, EXPECTED.call_sid, EXPECTED.call_sid]
    assert items[0].extra == {"call_sid": 7}
    assert items[3] == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 18 Feb 2011 21:07:19 +0000",
        "Fri, 18 Feb 2011 21:07:19 GMT",
        "Fri, 18 Feb 2011 21:07:19 -0000",
        "18 Feb 2011 23:07:19 +0200",
        "Fri, 18 feb 2011 21:07:19 +0000",
    ],
)
def test_every_spelling_of_a_date_is_the_same_moment(text: str) -> None:
    """RFC 2822 dates are read in any of their forms, and are UTC."""
    participant = decode_participant(body(PARTICIPANT | {"date_created": text}))

    assert participant.date_created == EXPECTED.date_created
    assert participant.date_created is not None
    assert participant.date_created.tzinfo is UTC


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "x",
        None,
        7,
        {},
        PARTICIPANT | {"call_sid": None},
        PARTICIPANT | {"call_sid": ""},
        PARTICIPANT | {"call_sid": 7},
        PARTICIPANT | {"call_sid": ["CA"]},
    ],
    ids=str,
)
def test_wrong_shape_is_an_unexpected_reply(payload: object) -> None:
    """JSON that is no participant never becomes one, and the cause is kept."""
    for _ in range(2):
        with pytest.raises(UnexpectedReply, match="not the JSON of a participant") as broken:
            decode_participant(body(payload))

        assert broken.value.__cause__ is not None
        decode_participant(body(PARTICIPANT))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "it is empty"),
        (b"<html><body>Login</body></html>", "it begins with '<html>"),
        (b"{", "not the JSON"),
        (b'{"status": "\xff"}', "not the JSON"),
        (b"[" * 100_000, "not the JSON"),
        (b"{}", r"it has no '(call_)?sid'"),
        (b'["CA"]', "an object expected, not list"),
    ],
)
def test_broken_body_says_what_came(raw: bytes, words: str) -> None:
    """A proxy's page or a cut reply is one clear error of our own tree."""
    with pytest.raises(UnexpectedReply, match=words):
        decode_participant(raw)
    with pytest.raises(UnexpectedReply):
        decode_conference(raw)
    with pytest.raises(UnexpectedReply):
        list(decode_participant_page(raw).items)


def test_json_is_read_without_orjson_too() -> None:
    """The faster reader is optional: the standard library's gives the same values."""
    script = """
import sys
sys.modules["orjson"] = None
from conference_async.wire import decode_participant
body = sys.stdin.buffer.read()
assert decode_participant(body) == decode_participant(body)
print(decode_participant(body))
"""

    child = subprocess.run(
        [sys.executable, "-c", script], input=body(PARTICIPANT), capture_output=True, check=False
    )

    assert child.stdout.decode().strip() == repr(EXPECTED), child.stderr.decode()


def test_pages_are_read() -> None:
    """A page holds its items in order, and the way to the next page, if there is one."""
    uri = "/2010-04-01/Accounts/AC/Conferences.json?Page=1"
    page = decode_participant_page(
        body({"participants": [PARTICIPANT, PARTICIPANT | {"label": "b"}], "next_page_uri": uri})
    )
    last = decode_conference_page(body({"conferences": [CONFERENCE], "next_page_uri": None}))

    assert [item.label for item in page.items] == ["customer", "b"]
    assert page.fields == {"next_page_uri": uri}
    assert list(last.items) == [decode_conference(body(CONFERENCE))]
    assert last.fields == {}
    assert list(decode_conference_page(b'{"conferences": [], "next_page_uri": ""}').items) == []


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        [],
        {"participants": None},
        {"participants": {}},
        {"participants": "abc"},
        {"participants": [7]},
        {"participants": [None]},
        {"participants": [], "next_page_uri": 7},
        {"conferences": []},
    ],
    ids=str,
)
def test_wrong_page_is_an_unexpected_reply(envelope: object) -> None:
    """A page that holds anything but participants is refused as a whole."""
    with pytest.raises(UnexpectedReply, match="page of participants"):
        list(decode_participant_page(body(envelope)).items)


def test_an_item_that_is_no_object_is_named_as_such() -> None:
    """In our words, and not in those of the interpreter."""
    with pytest.raises(UnexpectedReply, match="participants: an object expected, not list; check"):
        decode_participant_page(body({"participants": [{"call_sid": "CA1"}, ["CA2"]]}))


def test_a_page_of_calls_with_one_that_cannot_be_read_is_an_unexpected_reply() -> None:
    """A call without a SID proves nothing, so the log is not read as if it were not there."""
    page = decode_call_page(body({"calls": [{"sid": "CA1"}, {}], "next_page_uri": None}))

    with pytest.raises(UnexpectedReply, match=r"page of calls: it has no 'sid'"):
        list(page.items)


@pytest.mark.parametrize(("cls", "payload"), [(Participant, PARTICIPANT), (Conference, CONFERENCE)])
def test_unknown_property_can_be_forbidden(cls: type, payload: dict[str, Any]) -> None:
    """Tests of samples can ask that nothing new goes unnoticed."""
    strict = make_converter(forbid_unknown=True)

    strict.structure(payload, cls)
    with pytest.raises(Exception, match="mood"):
        strict.structure(payload | {"mood": 1}, cls)


@pytest.mark.parametrize("odd", ['"\\ud800"', "1e999", "9" * 400, "NaN"])
def test_what_one_reader_of_json_refuses_hides_no_call(odd: str) -> None:
    """A property that only some can read must not make a call unknown that was placed."""
    body = json.dumps(PARTICIPANT)[:-1] + f', "newer": {odd}}}'

    assert decode_participant(body.encode()).call_sid == PARTICIPANT["call_sid"]
