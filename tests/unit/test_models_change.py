"""Changes to participants and conferences, and how resources show themselves."""

from typing import Any

import pytest

from conference_async.cautions import IgnoredParameter
from conference_async.errors import InvalidParameter
from conference_async.models import Conference, ConferenceChange, Participant, ParticipantChange

URL = "https://example.com/music"


@pytest.mark.parametrize(
    "fields",
    [
        {"muted": False},
        {"hold": True, "hold_url": URL, "hold_method": "POST"},
        {"announce_url": URL, "announce_method": "GET"},
        {"wait_url": ""},
        {"coaching": False},
        {"coaching": True, "call_sid_to_coach": "CA" + "b" * 32},
        {"extra": {"New": "x"}},
    ],
    ids=str,
)
def test_change_takes_what_the_page_allows(fields: dict[str, Any]) -> None:
    """Legal changes pass without a warning."""
    change = ParticipantChange(**fields)

    assert all(getattr(change, name) == value for name, value in fields.items())


@pytest.mark.parametrize(
    ("parameter", "fields"),
    [
        ("change", {}),
        ("muted", {"muted": "true"}),
        ("hold_url", {"hold": True, "hold_url": ""}),
        ("announce_method", {"announce_url": URL, "announce_method": "PUT"}),
        ("call_sid_to_coach", {"coaching": True}),
        ("extra", {"extra": {"HoldUrl": URL}}),
    ],
)
def test_senseless_change_is_never_sent(parameter: str, fields: dict[str, Any]) -> None:
    """A change that is empty or out of bounds names what is wrong."""
    with pytest.raises(InvalidParameter) as refused:
        ParticipantChange(**fields)

    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    "fields",
    [
        {"hold": False, "hold_url": URL},
        {"hold": True, "hold_method": "GET"},
        {"muted": True, "announce_method": "GET"},
        {"coaching": False, "call_sid_to_coach": "CA" + "1" * 32},
    ],
    ids=str,
)
def test_change_without_effect_is_a_warning(fields: dict[str, Any]) -> None:
    """A parameter that the service would ignore is a warning at the caller's own line."""
    with pytest.warns(IgnoredParameter) as warned:
        ParticipantChange(**fields)

    assert warned[0].filename == __file__


def test_what_may_have_an_effect_is_no_warning() -> None:
    """Other music for somebody who is on hold already, and coaching said by the call alone."""
    ParticipantChange(hold_url=URL, hold_method="POST")
    ParticipantChange(call_sid_to_coach="CA" + "1" * 32)


def test_conference_ends_or_hears_an_announcement() -> None:
    """A conference takes two changes, and refuses the rest."""
    assert ConferenceChange(status="completed").status == "completed"
    assert ConferenceChange(announce_url=URL, announce_method="GET").announce_url == URL
    for wrong in ({}, {"status": "in-progress"}, {"announce_url": "x"}):
        fields: dict[str, Any] = dict(wrong)
        with pytest.raises(InvalidParameter):
            ConferenceChange(**fields)
    with pytest.warns(IgnoredParameter):
        ConferenceChange(status="completed", announce_method="GET")


def test_values_show_no_number() -> None:
    """Labels and names that hold a number are masked; paths and SIDs stay readable."""
    uri = "/2010-04-01/Accounts/AC" + "a" * 32
    shown = [
        repr(Participant(status="queued", label="+15558675310", uri=uri, reconciled=True)),
        repr(Conference(status="init", friendly_name="5558675310", extra={"x": "secret"})),
        repr(ParticipantChange(announce_url="https://u:p@example.com/", muted=True)),
        repr(ConferenceChange(status="completed")),
    ]

    assert shown == [
        f"Participant(label='***5310', status='queued', uri='{uri}', reconciled=True)",
        "Conference(friendly_name='***5310', status='init', extra={'x': ***})",
        "ParticipantChange(muted=True, announce_url='https://***@example.com/')",
        "ConferenceChange(status='completed')",
    ]
