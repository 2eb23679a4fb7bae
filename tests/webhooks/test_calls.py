"""Waiting for what happens on the phone, as callbacks tell it: late, early, twice, in any order."""

import asyncio
import itertools
import os
from typing import Any

import attrs
import pytest

from conference_async import Calls, CallView
from conference_async.errors import CallOver, ConfigurationError, NotAnswered
from conference_async.waiting import CallbackFields, Unknown
from conference_async.waiting.call_index import by_conference, by_label
from conference_async.webhooks import (
    AnsweredBy,
    CallStatus,
    EndReason,
    Event,
    LeaveReason,
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
            assert "alice was gone before it was" in str(end.result())

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
        with pytest.raises(NotAnswered, match=r"not joined within .*no callback"):
            await calls.joined("alice", timeout=seconds)

        assert now() == seconds
        calls.apply(progress("ringing"))
        with pytest.raises(TimeoutError, match="its status is ringing") as late:
            await calls.left(ALICE, timeout=seconds)
        assert isinstance(late.value, NotAnswered)
        assert late.value.view == calls.call(ALICE)
        assert (calls._waiting, calls._unbound) == ({}, {})

    async def test_a_wait_says_why_it_ended(self, calls: Calls) -> None:
        """That no callback came here, of anybody, of this call or of its conference; what to do."""
        with pytest.raises(NotAnswered, match=r"no callback has reached this process: .*events="):
            await calls.answered("alice", timeout=1)
        calls.apply(progress("ringing", label="bob"))
        with pytest.raises(NotAnswered, match=r"of others have: .*Calls.labelled.*events=") as late:
            await calls.answered("alice", timeout=1)
        assert late.value.view is None
        with pytest.raises(NotAnswered, match=r"status is ringing; it is safe"):
            await calls.answered("bob", timeout=1)
        with pytest.raises(NotAnswered, match=r"ringing; of its conference no callback .*first"):
            await calls.joined("bob", timeout=1)

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
        assert (calls._waiting, calls._unbound) == ({}, {})

    async def test_waits_side_by_side(self, calls: Calls) -> None:
        """One that gives up takes no other of its call with it, and two events end a wait once."""
        first = asyncio.create_task(_awaited(calls.answered(ALICE, timeout=30)))
        second = asyncio.create_task(_awaited(calls.answered(ALICE, timeout=30)))
        other = asyncio.create_task(_awaited(calls.completed(ALICE, timeout=30)))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        for status in ("in-progress", "in-progress", "completed"):
            calls.apply(progress(status))

        assert (await second).answered
        assert (await other).ended
        assert now() == 2
        assert (calls._waiting, calls._unbound) == ({}, {})

    async def test_events_before_the_wait(self, calls: Calls) -> None:
        """Events before the wait count, also for a participant who has left since."""
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
    """The reason why somebody left, as far as callbacks told."""

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
        """Everybody in it is out, by the conference's reason if none of their own comes."""
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

        assert fields["conference_status_callback_event"].split() == [
            *("start", "end", "join", "leave", "mute", "hold", "modify", "speaker"),
            "announcement",
        ]
        url, create = fields["status_callback"].split("&create=")
        assert url == f"{URL}?label=al+ice%26&conference=stand+up"
        assert fields["status_callback_event"].split() == [
            *("initiated", "ringing", "answered", "completed")
        ]
        assert fields["conference_status_callback"] == URL
        assert calls.callbacks()["status_callback"] == URL

        calls.apply(progress("in-progress", label="al ice&", conference="stand up", create=create))
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
        assert "?label=alice&conference=standup&create=" in fields["status_callback"]


class TestAgain:
    """A label that is used again means the call that is waited for, and never the one before."""

    async def test_the_second_call_of_a_label(self, calls: Calls) -> None:
        """Busy at the desk, then the mobile under the same label: each wait has its own call."""
        calls.apply(progress("busy", label="alice", create=create_of(calls.callbacks("alice"))))
        with pytest.raises(CallOver) as over:
            await calls.answered("alice", timeout=30)
        assert over.value.call_sid == ALICE

        create = create_of(calls.labelled("alice"))
        assert calls.call("alice") is None
        tell(
            calls,
            (1, progress("busy", label="alice", create="of another process")),
            (2, progress("ringing", BOB, label="alice", create=create)),
            (3, left()),
            (4, progress("in-progress", BOB, label="alice", create=create)),
        )
        view = await calls.answered("alice", timeout=30)

        assert (now(), view.call_sid) == (4, BOB)
        newest = calls.call("alice")
        assert newest
        assert newest.call_sid == BOB

    async def test_late_news_of_the_call_before(self, calls: Calls) -> None:
        """The first that is ever heard of a call may come after the next was placed."""
        first = create_of(calls.callbacks("alice"))
        second = create_of(calls.callbacks("alice"))
        tell(
            calls,
            (1, progress("busy", label="alice", create=first)),
            (2, progress("in-progress", BOB, label="alice", create=second)),
        )

        assert (await calls.answered("alice", timeout=30)).call_sid == BOB
        assert now() == 2

    async def test_a_wait_keeps_its_call(self, calls: Calls) -> None:
        """One that was begun for the first create does not end with the second."""
        first = create_of(calls.callbacks("alice"))
        waiting = asyncio.create_task(_awaited(calls.answered("alice", timeout=30)))
        await asyncio.sleep(0)
        second = create_of(calls.callbacks("alice"))
        tell(
            calls,
            (1, progress("in-progress", BOB, label="alice", create=second)),
            (2, progress("in-progress", label="alice", create=first)),
        )

        assert (await waiting).call_sid == ALICE
        assert now() == 2

    async def test_the_create_of_a_conferences_own_url(self, calls: Calls) -> None:
        """A conference calls one URL for everybody in it: its query names nobody's create."""
        create = create_of(calls.callbacks("alice"))
        calls.apply(in_room("participant-join", BOB, "bob", create=create))

        assert calls.call("alice") is None

    @pytest.mark.parametrize("named", [ROOM, "standup"])
    async def test_two_rooms_at_once(self, calls: Calls, named: str) -> None:
        """One label in two rooms is two calls, whichever is heard of first."""
        rooms = {
            room: create_of(calls.within(room).callbacks("alice")) for room in (named, "retro")
        }
        waits = [
            asyncio.create_task(_awaited(calls.within(room).answered("alice", timeout=30)))
            for room in rooms
        ]
        await asyncio.sleep(0)
        for call, create in ((BOB, rooms["retro"]), (ALICE, rooms[named])):
            calls.apply(progress("in-progress", call, label="alice", create=create))

        assert [(await wait).call_sid for wait in waits] == [ALICE, BOB]
        last = calls.call("alice")
        assert last
        assert last.call_sid == BOB

    async def test_two_processes_at_one_url(self, calls: Calls) -> None:
        """A label means the call that was made here, and never another process's create."""
        mine, theirs = (create_of(each.callbacks("alice")) for each in (calls, Calls(URL)))
        calls.apply(progress("busy", BOB, label="alice", create=theirs))
        assert calls.call("alice") is None
        calls.apply(progress("ringing", label="alice", create=mine))

        view = calls.call("alice")
        assert view
        assert view.call_sid == ALICE

    async def test_a_label_without_a_room(self, calls: Calls) -> None:
        """A create that was prepared without a conference counts within any."""
        calls.apply(progress("busy", label="alice", conference="standup"))
        create = create_of(calls.callbacks("alice"))
        tell(calls, (1, progress("in-progress", BOB, label="alice", create=create)))

        assert (await calls.within("standup").answered("alice", timeout=9)).call_sid == BOB

    async def test_what_the_create_returned(self, calls: Calls) -> None:
        """It means its own call, by Call SID, else by label."""
        calls.apply(progress("busy", label="alice"))
        calls.apply(progress("in-progress", BOB, label="alice"))
        placed = CallView(call_sid=ALICE, label="alice")

        with pytest.raises(CallOver):
            await calls.answered(placed, timeout=9)
        busy = calls.call(placed)
        assert busy
        assert busy.status == "busy"
        assert (await calls.answered(Nameless("alice"), timeout=9)).call_sid == BOB
        with pytest.raises(ConfigurationError, match="what the create returned"):
            await calls.answered(Nameless(None), timeout=9)

    async def test_since_a_mark(self, calls: Calls) -> None:
        """Of the calls that came after a point, the first is meant, however late it is named."""
        calls.apply(in_room("participant-leave"))
        mark = calls.mark()
        with pytest.raises(NotAnswered):
            await calls.joined("alice", timeout=1, since=mark)
        calls.apply(progress("ringing", BOB))
        third = "CA" + "c" * 32
        calls.apply(in_room("participant-join", third))
        calls.apply(in_room("participant-join", BOB))
        later = calls.within(ROOM).mark()
        late, elsewhere = "CA" + "d" * 32, "CA" + "e" * 32
        tell(
            calls,
            (1, in_room("participant-mute", ALICE)),
            (1, in_room("participant-join", elsewhere, ConferenceSid=OTHER, FriendlyName="retro")),
            (2, in_room("participant-join", late)),
        )

        assert (await calls.joined("alice", timeout=9, since=mark)).call_sid == BOB
        view = await calls.within(ROOM).joined("alice", timeout=9, since=later)
        assert (view.call_sid, now()) == (late, 3)

    async def test_a_name_told_late_of_a_call_before_the_mark(self, calls: Calls) -> None:
        """A call that was known before the point is not meant, though its label comes after."""
        calls.apply(progress("ringing"))
        mark = calls.mark()
        tell(calls, (1, in_room("participant-join")), (2, in_room("participant-join", BOB)))

        assert (await calls.joined("alice", timeout=9, since=mark)).call_sid == BOB

    async def test_one_call_writes_the_label(self, calls: Calls) -> None:
        """`labelled` gives the create its label and the callbacks that carry it."""
        fields = calls.labelled("alice", conference="standup")

        assert fields["label"] == "alice"
        assert "label=alice&conference=standup&create=" in fields["status_callback"]
        assert set(fields) == {"label", *calls.callbacks()}

    @pytest.mark.sized
    async def test_many_meetings_of_one_name(self, calls: Calls) -> None:
        """So many calls of one label, thirty of them at once: each wait has its own."""
        count = int(os.environ.get("CONFERENCE_ASYNC_TEST_STORM", "300"))
        here = calls.within("standup")

        async def meet(number: int) -> None:
            await asyncio.sleep(number * 0.1)
            call, answers = f"CA{number:032x}", number % 3 > 0
            create = create_of(here.labelled("alice"))
            statuses = ["ringing", "in-progress", "completed"] if answers else ["ringing", "busy"]
            for place, status in enumerate(statuses):
                about = {"label": "alice", "conference": "standup", "create": create}
                # Late, and in any order.
                delay = (number * 7 + place * 13) % 30 / 10
                event = progress(status, call, **about)
                asyncio.get_running_loop().call_later(delay, calls.apply, event)
            busy = None
            try:
                answered: str | None = (await here.answered("alice", timeout=9)).call_sid
            except CallOver as over:
                answered, busy = None, over.call_sid
            assert (answered, busy) == ((call, None) if answers else (None, call))
            await asyncio.sleep(3)
            # By then the label is thirty others'.
            assert (await calls.completed(call, timeout=0)).answered == answers

        await asyncio.gather(*(meet(number) for number in range(count)))
        assert now() == pytest.approx(count / 10 + 5, abs=2)


@attrs.frozen
class Nameless:
    """A participant without a Call SID."""

    label: str | None
    call_sid: str | None = None


def create_of(fields: CallbackFields) -> str:
    """Return what the callback URL calls the create."""
    return fields["status_callback"].split("create=")[1]


class TestCosts:
    """An event costs what the waits cost that it ends."""

    async def test_an_event_wakes_only_whom_it_concerns(
        self, calls: Calls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """300 waits under one label, in rooms of their own: nobody wakes for somebody else."""
        rooms = [f"room {number}" for number in range(300)]
        waits = [
            asyncio.create_task(_awaited(calls.within(room).joined("customer", timeout=60)))
            for room in rooms
        ]
        await asyncio.sleep(1)
        woken = 0
        call_soon = asyncio.get_running_loop().call_soon

        def counted(*arguments: Any, **options: Any) -> asyncio.Handle:
            nonlocal woken
            woken += 1
            return call_soon(*arguments, **options)

        monkeypatch.setattr(asyncio.get_running_loop(), "call_soon", counted)
        for number in range(5):
            own = {"label": "customer", "FriendlyName": rooms[number]}
            calls.apply(in_room("participant-mute", f"CA{number:032x}", **own))
            calls.apply(in_room("participant-unmute", f"CA{number:032x}", **own))
        found = woken
        calls.apply(in_room("participant-join", f"CA{3:032x}", "customer", FriendlyName=rooms[3]))
        ended = woken - found
        monkeypatch.undo()

        assert (await waits[3]).conference_name == "room 3"
        assert found == 5
        assert ended <= 1
        for wait in waits:
            wait.cancel()

    async def test_the_end_of_a_conference_is_its_own(self, calls: Calls) -> None:
        """However many calls are known, only those of the conference are looked at."""
        for number in range(1000):
            about = {"ConferenceSid": OTHER, "CallSid": f"CA{number:032x}"}
            calls.apply(parse_event({"StatusCallbackEvent": "participant-join", **about}))
        calls.apply(in_room("participant-join"))

        assert calls._index.all_of(by_conference(ROOM)) == [ALICE]

    async def test_one_who_moved_on(self, calls: Calls) -> None:
        """The end of a conference that somebody has left for another is not theirs."""
        calls.apply(in_room("participant-join"))
        calls.apply(in_room("participant-join", ConferenceSid=OTHER))
        calls.apply(room_ended())

        view = calls.call(ALICE)
        assert view
        assert (view.conference_sid, view.left) == (OTHER, False)


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
        assert calls._index.all_of(by_label("alice")) == [BOB]
        await asyncio.sleep(60)
        calls.apply(room_ended())
        index = calls._index
        held = (index._views, index._names, index._named, index._born, index._over)
        assert not any(held)

    async def test_what_is_remembered_unless_it_is_said(self, calls: Calls) -> None:
        """Ten thousand calls, and each that is over for an hour."""
        calls.apply(progress("completed"))
        await asyncio.sleep(3599.9)
        calls.apply(room_ended())
        assert calls.call(ALICE)
        await asyncio.sleep(0.1)
        calls.apply(room_ended())
        assert calls.call(ALICE) is None

        for number in range(10_001):
            calls.apply(progress("ringing", f"CA{number:032x}"))
        assert repr(calls) == "<Calls: 10000 known, 0 of them over>"

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

    async def test_a_call_that_is_forgotten_while_it_is_waited_for(self) -> None:
        """Its next event ends the wait all the same."""
        calls = Calls(URL, remember=1)
        calls.apply(progress("ringing"))
        tell(calls, (1, progress("ringing", BOB)), (2, progress("in-progress")))

        assert (await calls.answered(ALICE, timeout=9)).call_sid == ALICE
        assert now() == 2

    def test_creates_are_forgotten_too(self) -> None:
        """As many labels are remembered as calls."""
        calls = Calls(URL, remember=2)
        for number in range(9):
            calls.callbacks(f"guest {number}")

        assert [label for label, _ in calls._creates] == [*["guest 7"] * 2, *["guest 8"] * 2]

    @pytest.mark.parametrize(("name", "value"), [("remember", 0), ("keep", -1)])
    def test_numbers_out_of_bounds(self, name: str, value: int) -> None:
        """Bounds that leave room for no call are a mistake in the set-up."""
        options: Any = {name: value}
        with pytest.raises(ConfigurationError, match=f"^{name} must be "):
            Calls(URL, **options)

    @pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
    async def test_a_wait_has_an_end(self, calls: Calls, seconds: float) -> None:
        """A wait without an end would hang with the first event that is lost."""
        with pytest.raises(ConfigurationError, match=r"^timeout must be 0 or more seconds, not "):
            await calls.answered("alice", timeout=seconds)

    async def test_a_loop_that_was_closed(self, calls: Calls) -> None:
        """A wait that was left in it is in nobody's way."""
        gone = asyncio.new_event_loop()
        left = gone.create_task(_awaited(calls.answered(ALICE, timeout=60)))
        await asyncio.to_thread(gone.run_until_complete, asyncio.sleep(0))
        gone.close()
        mine = asyncio.create_task(_awaited(calls.answered(ALICE, timeout=9)))
        await asyncio.sleep(1)
        calls.apply(progress("in-progress"))

        assert (await mine).answered
        left._log_destroy_pending = False  # type: ignore[attr-defined]  # nobody could end it

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
        with pytest.raises(NotAnswered) as late:
            await calls.answered("+15558675311", timeout=0)

        shown = f"{calls.call(ALICE)!r} {over.value} {late.value}"
        assert "***5310" in shown
        assert "***5311" in shown
        assert "1555867" not in shown

    async def test_nothing_moves_the_cursor(self, calls: Calls) -> None:
        """Escapes, line breaks and marks of direction in a label or a status are spelled out."""
        calls.apply(progress("busy", label="al\x1b[2J\nice\u202e"))
        with pytest.raises(CallOver) as over:
            await calls.answered("al\x1b[2J\nice\u202e", timeout=0)
        calls.apply(progress("new\x9bword", BOB))
        with pytest.raises(NotAnswered) as late:
            await calls.answered(BOB, timeout=0)

        assert f"{over.value} {late.value}".isprintable()


async def _awaited(wait: Any) -> CallView:
    view: CallView = await wait
    return view


async def caught(wait: Any) -> CallOver:
    """Return the error by which a wait ends."""
    with pytest.raises(CallOver) as over:
        await wait
    return over.value
