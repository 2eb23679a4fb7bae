"""Waiting for what happens on the phone, as callbacks tell it: late, early, twice, in any order."""

import asyncio
import itertools
from typing import Any

import pytest

from conference_async.errors import CallOver, ConfigurationError, RequestTimeout
from conference_async.webhooks import (
    AnsweredBy,
    Calls,
    CallStatus,
    CallView,
    EndReason,
    Event,
    LeaveReason,
    Unknown,
    parse_event,
)

pytestmark = pytest.mark.looptime

URL = "https://example.com/hooks/twilio"
ALICE, BOB = "CA" + "a" * 32, "CA" + "b" * 32
ROOM, OTHER = "CF" + "1" * 32, "CF" + "2" * 32


def progress(status: str, call: str = ALICE, **own: str) -> Event:
    """Return a call-progress event, which names neither label nor conference."""
    return parse_event({"CallSid": call, "CallStatus": status, **own})


def in_room(kind: str, call: str = ALICE, label: str = "alice", **own: str) -> Event:
    """Return an event of a participant in a conference."""
    about = {"ConferenceSid": ROOM, "FriendlyName": "standup", "ParticipantLabel": label}
    return parse_event({"StatusCallbackEvent": kind, "CallSid": call, **about, **own})


def left(reason: str = "participant_hung_up", status: str = "completed", **own: str) -> Event:
    """Return the event of a participant who left."""
    told = {"ReasonParticipantLeft": reason, "ParticipantCallStatus": status}
    return in_room("participant-leave", **told, **own)


def room_ended(room: str = ROOM) -> Event:
    """Return the end of a conference."""
    about = {"ConferenceSid": room, "ReasonConferenceEnded": "conference-ended-via-api"}
    return parse_event({"StatusCallbackEvent": "conference-end", **about})


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


@pytest.fixture
def calls() -> Calls:
    """Return what follows calls, and has been told nothing."""
    return Calls(URL)


def tell(calls: Calls, *told: tuple[float, Event]) -> None:
    """Tell of events at their instants."""
    for at, event in told:
        asyncio.get_running_loop().call_later(at, calls.apply, event)


class TestWaits:
    """Each wait ends at the instant of the event that it is for."""

    @pytest.mark.parametrize("who", [ALICE, "alice"])
    async def test_a_whole_call(self, calls: Calls, who: str) -> None:
        """By Call SID or label: answered, joined, left with the reason, over."""
        tell(
            calls,
            (1, progress("ringing", label="alice")),
            (3, progress("in-progress", label="alice")),
            (4, in_room("participant-join")),
            (60, left()),
            (61, progress("completed", CallDuration="58")),
        )

        view = await calls.answered(who, timeout=30)
        assert (now(), view.status, view.answered) == (3, CallStatus.IN_PROGRESS, True)
        assert (view.joined, view.over) == (False, False)

        view = await calls.joined(who, timeout=30)
        assert (now(), view.joined, view.conference_sid) == (4, True, ROOM)

        view = await calls.left(who, timeout=90)
        assert (now(), view.left, view.reason) == (60, True, LeaveReason.PARTICIPANT_HUNG_UP)

        view = await calls.completed(who, timeout=90)
        assert (now(), view.ended, view.status) == (60, True, CallStatus.COMPLETED)

    @pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
    async def test_a_call_that_nobody_takes(self, calls: Calls, status: str) -> None:
        """It is completed by its own word; whoever waits for more is told at once."""
        tell(calls, (7, progress(status, label="alice")))
        waits = (calls.answered, calls.joined, calls.detected)

        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(caught(wait("alice", timeout=30))) for wait in waits]
            completed = group.create_task(_awaited(calls.completed("alice", timeout=30)))

        assert now() == 7
        assert (completed.result().status, completed.result().answered) == (status, False)
        for end in ends:
            assert (end.result().call_sid, end.result().status) == (ALICE, status)
            assert "alice is gone before it was" in str(end.result())

    async def test_who_picked_up(self, calls: Calls) -> None:
        """Machine detection counts as an answer, and says by whom, to the end of the call."""
        detected = parse_event({"CallSid": ALICE, "AnsweredBy": "machine_start"})
        tell(calls, (2, detected), (5, progress("completed")))

        assert (await calls.answered(ALICE, timeout=9)).answered_by is AnsweredBy.MACHINE_START
        assert (await calls.detected(ALICE, timeout=9)).answered_by is AnsweredBy.MACHINE_START
        assert now() == 2
        view = await calls.completed(ALICE, timeout=9)
        assert (now(), view.answered_by) == (5, AnsweredBy.MACHINE_START)

    @pytest.mark.parametrize("seconds", [0, 10])
    async def test_a_limit_in_time(self, calls: Calls, seconds: float) -> None:
        """A wait ends at its limit to the instant, says what is known, and leaves nothing."""
        with pytest.raises(RequestTimeout, match=r"not joined within .*nothing is known"):
            await calls.joined("alice", timeout=seconds)

        assert now() == seconds
        calls.apply(progress("ringing"))
        with pytest.raises(TimeoutError, match="its status is ringing"):
            await calls.left(ALICE, timeout=seconds)
        assert not calls._waiting

    async def test_a_wait_that_is_cancelled(self, calls: Calls) -> None:
        """It leaves nothing behind, and the other waits for the same call go on."""
        first = asyncio.create_task(_awaited(calls.joined("alice", timeout=30)))
        second = asyncio.create_task(_awaited(calls.joined("alice", timeout=30)))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        calls.apply(in_room("participant-join"))
        calls.apply(in_room("participant-mute"))

        assert (await second).joined
        assert first.cancelled()
        assert not calls._waiting

    async def test_events_before_the_wait(self, calls: Calls) -> None:
        """What happened before counts, also for one who has left since."""
        for event in (progress("in-progress"), in_room("participant-join"), left()):
            calls.apply(event)

        for wait in (calls.answered, calls.joined, calls.left, calls.completed):
            assert (await wait("alice", timeout=0)).left

    @pytest.mark.parametrize(
        "order", list(itertools.permutations(["ringing", "in-progress", "join", "leave", "over"]))
    )
    def test_any_order(self, calls: Calls, order: tuple[str, ...]) -> None:
        """However the events come, and come twice, the call is the same in the end."""
        events = {
            "ringing": progress("ringing"),
            "in-progress": progress("in-progress"),
            "join": in_room("participant-join"),
            "leave": left(),
            "over": progress("completed"),
        }

        async def _deliver() -> None:
            for name in (*order, *order):
                calls.apply(events[name])

        asyncio.run(_deliver())
        assert calls.call("alice") == CallView(
            call_sid=ALICE,
            label="alice",
            conference_sid=ROOM,
            conference_name="standup",
            status=CallStatus.COMPLETED,
            answered=True,
            joined=True,
            left=True,
            reason=LeaveReason.PARTICIPANT_HUNG_UP,
            ended=True,
        )


class TestLeaving:
    """Why somebody left, as far as anybody told."""

    async def test_the_reason_comes_after_the_end(self, calls: Calls) -> None:
        """A call's end and the leaving are told apart; the wait is for the one with the reason."""
        tell(calls, (1, progress("completed")), (3, left()))

        assert (await calls.left(ALICE, timeout=30)).reason is LeaveReason.PARTICIPANT_HUNG_UP
        assert now() == 3

    @pytest.mark.parametrize(("seconds", "until"), [(30, 6), (4, 4)])
    async def test_the_reason_never_comes(self, calls: Calls, seconds: float, until: float) -> None:
        """After five seconds, or at the wait's own limit, the call is out for an unknown reason."""
        tell(calls, (1, progress("completed")))

        view = await calls.left(ALICE, timeout=seconds)

        assert (now(), view.left, view.reason) == (until, True, Unknown.UNKNOWN)
        assert (await calls.left(ALICE, timeout=30)).left
        assert now() == 6

    async def test_the_conference_ends(self, calls: Calls) -> None:
        """Whoever is in it is out, by the conference's reason if none of their own comes."""
        calls.apply(in_room("participant-join"))
        calls.apply(left())
        calls.apply(in_room("participant-join", BOB, "bob"))
        tell(calls, (1, room_ended(OTHER)), (2, room_ended()))

        view = await calls.left("bob", timeout=30)

        assert (now(), view.reason) == (7, EndReason.CONFERENCE_ENDED_VIA_API)
        assert (await calls.left("alice", timeout=0)).reason is LeaveReason.PARTICIPANT_HUNG_UP

    async def test_the_conference_ends_before_somebody_joins(self, calls: Calls) -> None:
        """Nobody waits for one who can no longer come."""
        calls.apply(in_room("participant-modify"))
        tell(calls, (2, room_ended()))

        with pytest.raises(CallOver) as over:
            await calls.joined("alice", timeout=30)

        assert (now(), over.value.reason) == (2, EndReason.CONFERENCE_ENDED_VIA_API)

    async def test_the_reason_of_the_conference_stays(self, calls: Calls) -> None:
        """A leaving that gives no reason takes away none."""
        calls.apply(in_room("participant-join"))
        calls.apply(room_ended())
        calls.apply(in_room("participant-leave"))

        view = calls.call("alice")
        assert view
        assert view.reason is EndReason.CONFERENCE_ENDED_VIA_API

    async def test_an_unsaid_reason(self, calls: Calls) -> None:
        """A leaving without a reason is a leaving."""
        calls.apply(in_room("participant-leave"))

        assert (await calls.left("alice", timeout=0)).reason is Unknown.UNKNOWN

    async def test_a_call_that_goes_on_elsewhere(self, calls: Calls) -> None:
        """One who left the conference may still be on the phone."""
        tell(
            calls,
            (1, left("participant_updated_via_api", "in-progress")),
            (9, progress("completed")),
        )

        assert not (await calls.left("alice", timeout=30)).ended
        assert (await calls.completed("alice", timeout=30)).ended
        assert now() == 9


class TestLabels:
    """A label leads to its call, whichever way it was told."""

    async def test_the_callback_carries_the_label(self, calls: Calls) -> None:
        """The query that the create's callback URL was given ties a call to label and room."""
        fields = calls.callbacks("al ice&", conference="stand up")

        assert fields["status_callback"] == f"{URL}?label=al+ice%26&conference=stand+up"
        assert fields["status_callback_event"].split() == [
            *("initiated", "ringing", "answered", "completed")
        ]
        assert fields["conference_status_callback"] == URL
        assert calls.callbacks()["status_callback"] == URL

        calls.apply(progress("in-progress", label="al ice&", conference="stand up"))
        view = await calls.within("stand up").answered("al ice&", timeout=0)
        assert (view.call_sid, view.label) == (ALICE, "al ice&")

    async def test_a_label_that_is_told_late(self, calls: Calls) -> None:
        """Events without a label count once any event ties their call to it."""
        tell(
            calls,
            (1, progress("in-progress")),
            (2, parse_event({"CallSid": ALICE, "AnsweredBy": "human"})),
            (5, in_room("participant-join")),
        )

        view = await calls.answered("alice", timeout=30)

        assert (now(), view.answered_by) == (5, AnsweredBy.HUMAN)

    async def test_the_first_names_hold(self, calls: Calls) -> None:
        """Events that say less, or something else, take no name away."""
        calls.apply(progress("ringing", label="alice", conference="standup"))
        for label in ("", "other"):
            about = {"ConferenceSid": ROOM, "ParticipantLabel": label, "CallSid": ALICE}
            calls.apply(parse_event({"StatusCallbackEvent": "participant-mute", **about}))

        view = calls.call("alice", conference="standup")
        assert view
        assert (view.label, view.conference_name) == ("alice", "standup")
        assert calls.call("other") is None

    async def test_each_conference_has_its_labels(self, calls: Calls) -> None:
        """Within a conference its own labels count, by SID or name; elsewhere the newest call."""
        calls.apply(progress("ringing", BOB, label="alice", conference=OTHER))
        calls.apply(in_room("participant-join"))
        calls.apply(progress("in-progress", BOB, label="alice", conference=OTHER))

        for conference, call in ((ROOM, ALICE), ("standup", ALICE), (OTHER, BOB)):
            found = calls.call("alice", conference=conference)
            assert found
            assert found.call_sid == call
            view = await calls.within(conference).answered("alice", timeout=0)
            assert view.call_sid == call
        newest = calls.call("alice")
        assert newest
        assert newest.call_sid == ALICE
        assert calls.call("alice", conference="retro") is None
        fields = calls.within("standup").callbacks("alice")
        assert fields["status_callback"].endswith("?label=alice&conference=standup")


class TestBounds:
    """Memory does not grow with the calls that were."""

    async def test_calls_that_are_over_are_forgotten_in_time(self) -> None:
        """After `keep` seconds, label and all; live ones stay."""
        calls = Calls(URL, keep=60)
        calls.apply(left())
        calls.apply(progress("in-progress", BOB, label="alice"))
        await asyncio.sleep(59)
        calls.apply(left())
        calls.apply(progress("in-progress", BOB))
        assert calls.call(ALICE)
        await asyncio.sleep(1)
        calls.apply(progress("completed", BOB))

        assert calls.call(ALICE) is None
        assert list(calls._labelled["alice"]) == [BOB]
        await asyncio.sleep(60)
        calls.apply(room_ended())
        assert (calls._views, calls._over, calls._labelled) == ({}, {}, {})

    async def test_no_more_than_allowed_are_remembered(self) -> None:
        """Those that are over go first, then the one that was silent for longest."""
        calls = Calls(URL, remember=2)
        first, second, third = ("CA" + digit * 32 for digit in "123")
        calls.apply(progress("ringing", first))
        calls.apply(progress("busy", second))
        calls.apply(progress("ringing", third))
        assert (calls.call(first) is None, calls.call(second) is None) == (False, True)

        calls.apply(progress("busy", second))
        assert calls.call(first) is None
        assert repr(calls) == "<Calls: 2 known, 1 of them over>"

        calls = Calls(URL, remember=2)
        for call in (first, second, first, third):
            calls.apply(progress("ringing", call))
        assert (calls.call(first) is None, calls.call(second) is None) == (False, True)

    async def test_what_is_of_no_call_changes_nothing(self, calls: Calls) -> None:
        """Events of rooms, recordings and unknown kinds are none of its business."""
        kinds = ({"StatusCallbackEvent": "conference-start", "ConferenceSid": ROOM}, {"New": "1"})
        for kind in kinds:
            calls.apply(parse_event(kind))

        assert repr(calls) == "<Calls: 0 known, 0 of them over>"

    @pytest.mark.parametrize("url", ["/hooks", f"{URL}?a=b", f"{URL}#rc=1"])
    def test_a_url_that_is_no_callback_url(self, url: str) -> None:
        """It is absolute, and the query is added here."""
        with pytest.raises(ConfigurationError):
            Calls(url)

    async def test_nothing_private_is_shown(self, calls: Calls) -> None:
        """Neither a call nor an error shows a number that was used as a label."""
        calls.apply(progress("busy", label="+15558675310"))

        with pytest.raises(CallOver) as over:
            await calls.answered("+15558675310", timeout=0)
        with pytest.raises(RequestTimeout) as late:
            await calls.answered("+15558675311", timeout=0)

        shown = f"{calls.call(ALICE)!r} {over.value} {late.value}"
        assert "***5310" in shown
        assert "***5311" in shown
        assert "1555867" not in shown


async def _awaited(wait: Any) -> CallView:
    view: CallView = await wait
    return view


async def caught(wait: Any) -> CallOver:
    """Return the error by which a wait ends."""
    with pytest.raises(CallOver) as over:
        await wait
    return over.value
