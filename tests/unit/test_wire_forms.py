"""Requests as forms and queries."""

import copy
import pickle
import string
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.errors import InvalidParameter
from conference_async.models import ConferenceChange, NewParticipant, ParticipantChange
from conference_async.wire import conferences_query, encode_form, participants_query, wire_name

PHONES: dict[str, Any] = {"from_": "+15017122661", "to": "+15558675310"}
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=50)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "timeout": st.integers(5, 600),
    "muted": st.booleans(),
    "beep": st.sampled_from(["true", "onEnter", True, False]),
    "wait_url": st.sampled_from(["", "https://example.com/a b".replace(" ", "%20")]),
    "call_reason": TEXT,
    "call_token": TEXT,
    "region": st.sampled_from(["us1", "jp1"]),
    "extra": st.dictionaries(
        st.text(string.ascii_letters, min_size=30, max_size=40),
        TEXT | st.lists(TEXT, max_size=3),
        max_size=2,
    ),
}


def meant(request: NewParticipant) -> list[tuple[str, str]]:
    """Return the pairs that a request stands for, its fields in the order of the page."""
    fields = [field.name for field in attrs.fields(NewParticipant) if field.name != "extra"]
    values = [(wire_name(field), getattr(request, field)) for field in fields]
    return [
        (name, str(item).lower() if isinstance(item, bool) else str(item))
        for name, value in [*values, *request.extra.items()]
        for item in (value if isinstance(value, tuple) else (value,))
        if item is not None
    ]


def sent_by(
    request: NewParticipant | ParticipantChange | ConferenceChange,
) -> list[tuple[str, str]]:
    """Return the pairs of a request's form."""
    form = encode_form(request).decode("ascii")
    return parse_qsl(form, keep_blank_values=True, strict_parsing=True)


@given(st.fixed_dictionaries({}, optional=OPTIONAL))
def test_form_reads_back_as_it_was_meant(fields: dict[str, Any]) -> None:
    """Every field given arrives, in order and unharmed; one that is None is not sent."""
    new = NewParticipant(**PHONES, **fields)

    arrived = sent_by(new)

    assert arrived == meant(new)
    sent = dict(arrived)
    assert sent["To"] == "+15558675310"
    assert ("WaitUrl" in sent) == ("wait_url" in fields)
    assert sent.get("Timeout") == (str(fields["timeout"]) if "timeout" in fields else None)
    assert sent.get("Muted") == (str(fields["muted"]).lower() if "muted" in fields else None)
    assert sent.get("CallReason") == fields.get("call_reason")


def test_plus_space_and_letters_are_encoded() -> None:
    """A plus does not become a space, a space does not break the form, letters are UTF-8."""
    new = NewParticipant(**PHONES, label="a b+é", wait_url="")

    assert encode_form(new) == (
        b"From=%2B15017122661&To=%2B15558675310&Label=a+b%2B%C3%A9&WaitUrl="
    )


def test_lists_repeat_their_name() -> None:
    """Each item of a list is a pair of its own, and unknown parameters come last."""
    new = NewParticipant(
        **PHONES,
        status_callback="https://example.com",
        status_callback_event=["ringing", "answered"],
        extra={"NewNames": ["x", "y"], "NewCity": "Rome"},
    )

    assert sent_by(new)[3:] == [
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("NewNames", "x"),
        ("NewNames", "y"),
        ("NewCity", "Rome"),
    ]


def test_changes_are_forms_too() -> None:
    """Changes of participants and conferences use the service's names."""
    assert sent_by(ParticipantChange(muted=False, beep_on_exit=True)) == [
        ("Muted", "false"),
        ("BeepOnExit", "true"),
    ]
    assert encode_form(ConferenceChange(status="completed")) == b"Status=completed"


def test_participants_are_filtered() -> None:
    """Only what is asked for is in the query; False is asked for, None is not."""
    assert participants_query() == ""
    assert participants_query(muted=True, page_size=1000) == "Muted=true&PageSize=1000"
    assert participants_query(hold=False, coaching=True) == "Hold=false&Coaching=true"


def test_conferences_are_filtered_by_days_in_utc() -> None:
    """Days become dates in UTC, under names with signs; Status is always sent."""
    late = datetime(2026, 11, 22, 23, tzinfo=timezone(timedelta(hours=-3)))

    assert conferences_query(status="in-progress") == "Status=in-progress"
    assert conferences_query(
        status="init",
        friendly_name="a b&c",
        date_created=date(2026, 1, 2),
        date_created_before=late,
        date_updated_after=datetime(2026, 3, 4, tzinfo=UTC),
        page_size=50,
    ) == (
        "DateCreated=2026-01-02&DateCreated%3C=2026-11-23&DateUpdated%3E=2026-03-04"
        "&FriendlyName=a%20b%26c&Status=init&PageSize=50"
    )


@pytest.mark.parametrize("size", [0, 1001, True, "20", -1])
def test_page_size_is_bounded(size: Any) -> None:
    """A page holds 1 to 1000."""
    with pytest.raises(InvalidParameter, match="20007"):
        participants_query(page_size=size)
    with pytest.raises(InvalidParameter, match="20007"):
        conferences_query(status="init", page_size=size)


def test_filters_that_the_service_would_misread_are_refused() -> None:
    """Filters are bools, states are the service's, days are unambiguous, names are names."""
    wrong: Any = "false"
    zero: Any = 0
    with pytest.raises(InvalidParameter, match="muted"):
        participants_query(muted=wrong)
    with pytest.raises(InvalidParameter, match="hold"):
        participants_query(hold=zero)
    with pytest.raises(InvalidParameter, match="init, in-progress, completed"):
        conferences_query(status="live")
    with pytest.raises(InvalidParameter, match="time zone"):
        conferences_query(status="init", date_created=datetime(2026, 1, 1))  # noqa: DTZ001 - the point
    with pytest.raises(InvalidParameter, match="date_updated: must be a date"):
        conferences_query(status="init", date_updated=wrong)
    with pytest.raises(InvalidParameter, match="friendly_name: must not"):
        conferences_query(status="init", friendly_name="\ud800")
    for name in ("", "x" * 129, zero):
        with pytest.raises(
            InvalidParameter, match="friendly_name: must be text of 1 to 128"
        ) as bad:
            conferences_query(status="init", friendly_name=name)
        assert bad.value.code == 13237


@pytest.mark.parametrize("name", ["Sales/EMEA", "What?", "..", "50%2F", "CA" + "1" * 32, "x" * 128])
def test_a_filter_is_no_path(name: str) -> None:
    """TwiML may have named a room as no path of ours could: it can be looked for all the same."""
    assert parse_qs(conferences_query(friendly_name=name))["FriendlyName"] == [name]


class Marked(NewParticipant):
    """A user's own kind of request, with something more to say."""

    def mark(self) -> str:
        """Return the label in capitals."""
        return (self.label or "").upper()


@attrs.frozen(kw_only=True)
class Queued(ParticipantChange):
    """A user's own kind of change, with a field of its own."""

    queue: str = ""


@attrs.frozen(kw_only=True)
class Ours(NewParticipant):
    """A user's own kind of request, with defaults and a field that must be given."""

    campaign: str
    from_: str = "+15017122661"
    timeout: int = 20
    machine_detection: str = "enable"


def test_a_subclass_of_a_request_sends_what_the_request_has() -> None:
    """Methods and fields that a user adds do not stand in the way, and are not sent."""
    plain: dict[str, Any] = {"from_": "+15017122661", "to": "+15558675310", "label": "alice"}

    assert sent_by(Marked(**plain)) == sent_by(NewParticipant(**plain))
    assert sent_by(Queued(muted=True, queue="sales")) == [("Muted", "true")]


@pytest.mark.parametrize(
    "travel",
    [copy.copy, copy.deepcopy, attrs.evolve, lambda request: pickle.loads(pickle.dumps(request))],
    ids=["copy", "deepcopy", "evolve", "pickle"],
)
def test_a_request_that_travelled_is_sent_as_before(
    travel: Callable[[NewParticipant], NewParticipant],
) -> None:
    """Whether or not it was checked again where it arrived."""
    request = NewParticipant(**PHONES, label="alice", muted=False, extra={"NewName": "a"})

    assert encode_form(travel(request)) == encode_form(request)
    assert travel(request) == request


@pytest.mark.parametrize(
    "travel",
    [lambda request: request, copy.copy, lambda request: pickle.loads(pickle.dumps(request))],
    ids=["made", "copy", "pickle"],
)
def test_what_a_subclass_says_of_a_field_anew_is_sent_and_checked(
    travel: Callable[[Ours], Ours],
) -> None:
    """Another default does not make it the user's own field, whatever way attrs keeps it."""
    request = travel(Ours(to="+15558675310", campaign="autumn", label="a"))

    assert sent_by(request) == [
        ("From", "+15017122661"),
        ("To", "+15558675310"),
        ("Label", "a"),
        ("Timeout", "20"),
        ("MachineDetection", "Enable"),
    ]
    assert request.machine_detection == "Enable"
    assert request == attrs.evolve(request)
    assert sent_by(attrs.evolve(request, timeout=30))[-2] == ("Timeout", "30")
    with pytest.raises(InvalidParameter, match="timeout"):
        attrs.evolve(request, timeout=1)


def test_a_request_changed_by_another_sends_what_it_gives() -> None:
    """What was remembered of the first one is not said of the second."""
    request = NewParticipant(**PHONES, label="alice", muted=False)

    assert sent_by(attrs.evolve(request, muted=None, timeout=30))[2:] == [
        ("Label", "alice"),
        ("Timeout", "30"),
    ]
