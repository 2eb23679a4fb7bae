"""Members of the application's enums, and other text with a class of its own."""

import enum
from typing import Any

import pytest

from conference_async import ConferenceClient, ConferenceHandle, ConferenceStatus, Credentials
from conference_async.emulator import Emulator
from conference_async.hosts import resolve_base_url
from conference_async.models import NewParticipant, check_intent
from conference_async.plain_values import plain
from conference_async.wire import conferences_query, encode_form

FROM, TO = "+15017122661", "+15558675310"


class Word(str, enum.Enum):  # noqa: UP042 -- what applications have
    """Equal to its text, while `str` and f-strings write ``Word.ROOM``."""

    ROOM = "standup"
    FROM = "+15017122661"
    TO = "+15558675310"
    LABEL = "row 7"
    GET = "GET"
    RINGING = "ringing"
    NAME = "NewName"
    REGION = "ie1"
    LIVE = "in-progress"


class Seconds(enum.IntEnum):
    """An int with a class of its own."""

    RING = 20


async def test_what_is_dialled_is_the_text_of_an_enum(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Room, number and label are those of the text, and so are those of the next caller."""
    by_enum = client.conferences(Word.ROOM)
    alice = await by_enum.participants.create(from_=Word.FROM, to=Word.TO, label=Word.LABEL)
    await client.conferences("standup").participants.create(from_=FROM, to=TO, label="bob")

    assert emulator.rings(TO) == 2
    assert alice.label == "row 7"
    opened = await client.conferences.list(status="init")
    assert [room.friendly_name for room in opened] == ["standup"]
    assert (await by_enum.participants(Word.LABEL).fetch()).call_sid == alice.call_sid


@pytest.mark.filterwarnings("ignore::conference_async.cautions.IgnoredParameter")
def test_every_parameter_is_sent_as_its_text() -> None:
    """The form of a request with enums is that of the request with their texts."""
    words: dict[str, Any] = {
        "status_callback_event": [Word.RINGING],
        "wait_method": Word.GET,
        "extra": {Word.NAME: [Word.LABEL]},
    }
    fancy = NewParticipant(from_=Word.FROM, to=Word.TO, timeout=Seconds.RING, **words)
    plainly: dict[str, Any] = {
        "status_callback_event": ["ringing"],
        "wait_method": "GET",
        "extra": {"NewName": ["row 7"]},
    }
    usual = NewParticipant(from_=FROM, to=TO, timeout=20, **plainly)

    assert encode_form(fancy) == encode_form(usual)
    assert "Word" not in repr(fancy)


def test_what_is_kept_is_plain(room: ConferenceHandle) -> None:
    """A store's driver may write an enum by its name, and a host is made by an f-string."""
    credentials = Credentials("AC" + "1" * 32, Word.LABEL)
    kept = [credentials.auth_token, check_intent(Word.LABEL), room.participants(Word.LABEL).key]

    assert [type(each) for each in kept] == [str] * 3
    assert resolve_base_url(None, region=Word.REGION, edge=None, environ={}) == (
        "https://api.dublin.ie1.twilio.com"
    )


def test_filters_are_sent_as_their_text() -> None:
    """In a query as well."""
    query = conferences_query(status=Word.LIVE, friendly_name=Word.ROOM)

    assert query == "FriendlyName=standup&Status=in-progress"
    assert query == conferences_query(status=ConferenceStatus.IN_PROGRESS, friendly_name="standup")


@pytest.mark.parametrize("value", ["a", 5, True, None, ("a",), 1.5])
def test_what_is_plain_stays_itself(value: object) -> None:
    """A bool is no int here, and what is neither text nor int is the caller's."""
    assert plain(value) is value
