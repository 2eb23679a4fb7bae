"""Ask who is live, and decide whether the participant that a label found is ours."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest

from conference_async.errors import LabelInUse, ParticipantNotFound, UnexpectedReply
from conference_async.models import PlacedParticipant
from conference_async.sending.lookup import (
    Found,
    Living,
    everybody_living,
    live_conference,
    live_participant,
    ours,
    same_label,
)
from conference_async.sending.messages import Reply, Request
from conference_async.sending.register import LATEST

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TO = "+15558675310"
SECOND = timedelta(seconds=1)


def found(*, age: timedelta | None = 10 * SECOND, label: str = "alice", to: str = "") -> Found:
    """Return a participant of that age, seen now."""
    return Found(
        PlacedParticipant(
            status="ringing",
            label=label,
            date_created=None if age is None else NOW - age,
            extra={"to": to} if to else {},
        ),
        NOW,
    )


def is_ours(found: Found, *, minted: bool = False, ago: timedelta | None = 10 * SECOND) -> bool:
    """Return whether it counts as what our create placed."""
    placed = ours(found, label="alice", minted=minted, sent_ago=ago, to=TO)
    assert placed is None or placed.reconciled
    return placed is not None


def test_whoever_came_when_we_called_is_ours() -> None:
    """From the moment at which the create was sent, give or take what dates are rounded by."""
    assert is_ours(found())
    assert is_ours(found(age=12 * SECOND))
    assert is_ours(found(age=0 * SECOND))
    assert is_ours(found(age=timedelta(0)), ago=LATEST)


def test_whoever_was_there_before_has_our_label() -> None:
    """Labels are unique among the living, so the create placed nothing."""
    said = "was in the conference before, so nothing was placed; give each participant its own"
    with pytest.raises(LabelInUse, match=said) as caught:
        is_ours(found(age=13 * SECOND))

    assert (caught.value.status, caught.value.code) == (400, 16026)


def test_whoever_came_long_after_is_somebody_else() -> None:
    """The create may have rung and be over; this is another call under its label."""
    assert not is_ours(found(age=timedelta(0)), ago=LATEST + SECOND)


def test_a_label_that_only_one_create_carries_needs_no_date() -> None:
    """Nobody else can have a random label, whatever a clock says."""
    assert is_ours(found(age=timedelta(days=1)), minted=True)
    assert is_ours(found(age=None), minted=True)


def test_without_a_time_to_compare_anybody_with_the_label_is_found() -> None:
    """A look-up by the label alone takes the participant that it finds."""
    assert is_ours(found(age=timedelta(days=1)), ago=None)


def test_where_the_service_gives_no_date_it_stays_unknown() -> None:
    """Somebody taken for whom we called would be worse than not to know."""
    assert not is_ours(found(age=None))
    assert not is_ours(Found(found().participant, None))


def test_a_record_of_another_number_or_label_is_not_ours() -> None:
    """Even under a random label: then something between has mixed up its answers."""
    assert is_ours(found(to=TO), minted=True)
    assert not is_ours(found(to="+15558675311"), minted=True)
    assert not is_ours(found(label="bob"), minted=True)


@pytest.mark.parametrize(
    ("sent", "answered", "same"),
    [
        ("alice", "alice", True),
        ("Alice", " alice", True),
        ("Ze\u0301", "zé", True),
        ("alice", None, True),
        (None, "bob", True),
        ("alice", "bob", False),
        ("alice", "", False),
    ],
)
def test_a_reply_is_about_the_label_that_was_sent(
    sent: str | None, answered: str | None, same: bool
) -> None:
    """A label that the service leaves out, or spells another way, is no contradiction."""
    assert same_label(sent, answered) is same


ACCOUNT, ROOM = "AC" + "1" * 32, "CF" + "2" * 32
ROOT = f"/2010-04-01/Accounts/{ACCOUNT}/Conferences"
PEOPLE = f"{ROOT}/{ROOM}/Participants"
Ask: TypeAlias = Callable[[Request], Awaitable[Reply]]


def service(*answers: dict[str, Any] | None) -> tuple[list[tuple[str, str, str]], Ask]:
    """Return what was asked, and what answers one after the other; None is a 404."""
    asked: list[tuple[str, str, str]] = []
    left = iter(answers)

    async def ask(request: Request) -> Reply:
        asked.append((request.kind, request.method, request.path))
        answer = next(left)
        if answer is None:
            raise ParticipantNotFound("no", status=404)
        dated = {"Date": "Wed, 25 Nov 2026 12:00:00 GMT"}
        return Reply(status=200, body=json.dumps(answer).encode(), headers=dated)

    return asked, ask


def person(label: str | None, number: int | None) -> dict[str, Any]:
    """Return a participant of a list."""
    call_sid = None if number is None else f"CA{number:032}"
    return {"label": label, "call_sid": call_sid, "status": "connected"}


def standup(sid: str | None = ROOM) -> dict[str, Any]:
    """Return a list of one conference."""
    return {"conferences": [{"sid": sid, "friendly_name": "standup"}], "next_page_uri": None}


NOBODY: dict[str, Any] = {"conferences": [], "next_page_uri": None}


async def test_the_live_conference_of_a_name_is_asked_for_by_name_in_two_states() -> None:
    """In progress, then with all phones still ringing; of other names none is taken."""
    other = {"conferences": [{"sid": ROOM, "friendly_name": "stand-up"}], "next_page_uri": None}
    asked, ask = service(other, standup())

    found = await live_conference(ask, ACCOUNT, "standup")

    assert found is not None
    assert found.sid == ROOM
    query = "?FriendlyName=standup&Status"
    assert asked == [
        ("conference.list", "GET", f"{ROOT}.json{query}=in-progress"),
        ("conference.list", "GET", f"{ROOT}.json{query}=init"),
    ]


async def test_a_live_participant_is_asked_for_by_sid_and_label() -> None:
    """The reply's own date says when; where no conference is live, nobody is."""
    asked, ask = service(standup(), {**person("alice", 1), "conference_sid": ROOM}, None)

    found = await live_participant(ask, ACCOUNT, "standup", "alice")

    assert found is not None
    assert (found.participant.call_sid, found.seen_at) == (f"CA{1:032}", NOW)
    assert asked[1] == ("fetch", "GET", f"{PEOPLE}/alice.json")
    assert await live_participant(ask, ACCOUNT, ROOM, "bob") is None
    for answers in ([NOBODY, NOBODY], [standup(None)]):
        asked, ask = service(*answers)
        assert await live_participant(ask, ACCOUNT, "standup", "alice") is None
        assert len(asked) == len(answers)


async def test_everybody_who_lives_is_read_page_by_page() -> None:
    """Those with a label and a call, by label, in the conference that was asked about."""
    more = f"{PEOPLE}.json?PageSize=1000&Page=1&PageToken=PA1"
    pages = (
        {"participants": [person("alice", 1), person(None, 2)], "next_page_uri": more},
        {"participants": [person("bob", 3), person("eve", None)], "next_page_uri": None},
    )
    asked, ask = service(standup(), *pages)

    living = await everybody_living(ask, ACCOUNT, "standup")

    assert living.conference_sid == ROOM
    assert {
        label: (found.participant.call_sid, found.participant.conference_sid, found.seen_at)
        for label, found in living.people.items()
    } == {"alice": (f"CA{1:032}", ROOM, NOW), "bob": (f"CA{3:032}", ROOM, NOW)}
    assert asked[1:] == [
        ("list", "GET", f"{PEOPLE}.json?PageSize=1000"),
        ("list", "GET", more),
    ]


async def test_where_no_conference_is_live_nobody_is() -> None:
    """By name there is no SID to tell; one that is over while it is read keeps its own."""
    for answers in ([NOBODY, NOBODY], [standup(None)]):
        asked, ask = service(*answers)
        assert await everybody_living(ask, ACCOUNT, "standup") == Living("", {})
        assert len(asked) == len(answers)
    _, ask = service(None)
    assert await everybody_living(ask, ACCOUNT, ROOM) == Living(ROOM, {})


async def test_a_list_of_the_living_has_an_end() -> None:
    """A conference fits on one page, so twenty are no list."""
    page = {"participants": [], "next_page_uri": f"{PEOPLE}.json?Page=1"}
    asked, ask = service(*[page] * 21)

    with pytest.raises(UnexpectedReply, match=f"{ROOM} has no end of participants; check any prox"):
        await everybody_living(ask, ACCOUNT, ROOM)

    assert len(asked) == 20
