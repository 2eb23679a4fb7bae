"""Dialling people and waiting for them: by callbacks, and by polling where there are none."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import attrs
import pytest
from aiohttp import web

from conference_async import (
    CallOver,
    Calls,
    CallView,
    ConferenceClient,
    ConferenceHandle,
    ConfigurationError,
    NewParticipant,
    NotAnswered,
    Polling,
    RequestTimeout,
    dial_and_wait,
)
from conference_async.emulator import Emulator, Fault, Script
from conference_async.waiting import Unknown
from conference_async.webhooks import (
    AnsweredBy,
    CallStatus,
    Keys,
    LeaveReason,
    Receiver,
    Roster,
    aiohttp_handler,
)

pytestmark = pytest.mark.looptime

FROM, TO = "+15017122661", "+15558675310"
MEETINGS = int(os.environ.get("CONFERENCE_ASYNC_TEST_MEETINGS", "40"))
ALICE = NewParticipant(from_=FROM, to=TO, label="alice")


def now() -> float:
    """Return the loop's time, in tenths of a second: the sockets between take next to none."""
    return round(asyncio.get_running_loop().time(), 1)


@pytest.fixture
async def calls(emulator: Emulator) -> AsyncIterator[Calls]:
    """Return waits that are told by the emulator, over a socket and with signatures."""
    receivers: list[Receiver] = []

    async def _hooks(request: web.Request) -> web.Response:
        return await aiohttp_handler(receivers[0])(request)

    app = web.Application()
    app.router.add_route("*", "/hooks", _hooks)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        # The emulator's dates follow the loop's clock, which jumps between fixture and test.
        receivers.append(Receiver(Keys(emulator.auth_token), public_url=url, max_age=1e9))
        calls = Calls(url)
        receivers[0].listen(calls.apply)
        yield calls
    finally:
        await runner.cleanup()


@pytest.fixture
def polling(room: ConferenceHandle) -> Polling:
    """Return waits that ask every two seconds."""
    return Polling(room)


class TestCallbacks:
    """Waiting by callbacks."""

    async def test_dial_and_wait(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """The callbacks are asked for by itself, and the call is followed to its end."""
        emulator.script(TO, Script(after=3, hang_up_after=20))

        view = await dial_and_wait(room, ALICE, calls=calls, timeout=30)
        assert (now(), view.label, view.status) == (3, "alice", CallStatus.IN_PROGRESS)
        assert view.conference_sid == emulator.call("alice").room.sid
        assert (await calls.joined("alice", timeout=30)).conference_name == "standup"
        assert now() == 3

        view = await calls.left("alice", timeout=30)
        assert (now(), view.reason) == (23, LeaveReason.PARTICIPANT_HUNG_UP)
        view = await calls.completed("alice", timeout=30)
        assert (view.status, view.ended) == (CallStatus.COMPLETED, True)

    @pytest.mark.parametrize("dropped", [0, 1])
    async def test_what_the_create_was_told_is_known_at_the_end(
        self, dropped: float, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """Call, label and conference, also where no callback came: it takes them to hang up."""
        emulator.answer_after, emulator.callbacks.drop = None, dropped

        with pytest.raises(NotAnswered, match="no callback" if dropped else "ringing") as late:
            await dial_and_wait(room, ALICE, calls=calls, timeout=5)

        alice, view = emulator.call("alice"), late.value.view
        assert isinstance(view, CallView)
        assert (view.call_sid, view.label) == (alice.sid, "alice")
        assert view.conference_sid == alice.room.sid

    @pytest.mark.parametrize(
        ("outcome", "status"), [("busy", "busy"), ("failed", "failed"), ("no_answer", "no-answer")]
    )
    async def test_a_call_that_nobody_takes(
        self, outcome: Any, status: str, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """The wait ends when the call does, and says how."""
        emulator.script(TO, Script(outcome=outcome, after=4))

        with pytest.raises(CallOver) as over:
            await dial_and_wait(room, ALICE, calls=calls, timeout=90, until="joined")

        assert over.value.status == status
        assert now() == (65 if outcome == "no_answer" else 4)
        view = await calls.completed(over.value.call_sid, timeout=0)
        assert (view.answered, view.status) == (False, status)

    async def test_events_before_the_reply(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """A call that is over before the create is answered is not missed, label or not."""
        emulator.script(TO, Script(outcome="busy", after=0.5))
        emulator.latency = 5

        with pytest.raises(CallOver) as over:
            await dial_and_wait(room, attrs.evolve(ALICE, label=None), calls=calls, timeout=30)

        assert (now(), over.value.status) == (5, "busy")

    async def test_a_wait_by_label_before_the_create(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """Call-progress events alone lead from a label to its call, by the callback's query."""
        emulator.latency = 5
        waiting = asyncio.create_task(_answered(calls))
        fields = calls.callbacks("alice")
        create = asyncio.create_task(
            room.participants.create(
                attrs.evolve(
                    ALICE,
                    status_callback=fields["status_callback"],
                    status_callback_event=fields["status_callback_event"],
                )
            )
        )

        call_sid = await waiting
        assert now() == 0.5
        assert (await create).call_sid == call_sid

    async def test_callbacks_of_ones_own_are_kept(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """A request that names its callback keeps it, the service's default events included."""
        elsewhere = "http://127.0.0.1:9/"
        new = attrs.evolve(ALICE, status_callback=elsewhere)
        emulator.script(TO, Script(hang_up_after=1))

        view = await dial_and_wait(room, new, calls=calls, timeout=9, until="joined")
        await calls.left(view.call_sid, timeout=9)
        await asyncio.sleep(1)

        progress = [sent for sent in emulator.callbacks.sent if "CallStatus" in sent.params]
        assert [(sent.url, sent.event) for sent in progress] == [(elsewhere, "completed")]

    async def test_joining_is_more_than_answering(
        self, room: ConferenceHandle, calls: Calls
    ) -> None:
        """That somebody joined is told by the conference; an answer does not stand in for it."""
        new = attrs.evolve(ALICE, conference_status_callback="http://127.0.0.1:9/")

        with pytest.raises(NotAnswered, match="not joined within 9 s, and its status is in-pro"):
            await dial_and_wait(room, new, calls=calls, timeout=9, until="joined")

    async def test_what_cannot_be_waited_for(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """A misspelt goal is told before anybody is dialled."""
        with pytest.raises(ConfigurationError, match="'answered' or 'joined', not 'join'"):
            await dial_and_wait(room, ALICE, calls=calls, timeout=9, until="join")  # type: ignore[arg-type]  # as meant
        assert emulator.ring_counts == {}

    async def test_who_picked_up(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """Machine detection is awaited like everything else."""
        emulator.script(TO, Script(answered_by="machine_start", detected_after=2))
        url = calls.callbacks("alice")["status_callback"]
        new = attrs.evolve(ALICE, machine_detection="Enable", amd_status_callback=url)
        await room.participants.create(new)

        view = await calls.detected("alice", timeout=30)

        assert (now(), view.answered_by) == (2.5, AnsweredBy.MACHINE_START)

    async def test_a_wait_that_takes_too_long(
        self, room: ConferenceHandle, calls: Calls, emulator: Emulator
    ) -> None:
        """The call goes on ringing, and can be awaited again."""
        emulator.script(TO, Script(after=20))

        with pytest.raises(NotAnswered, match="its status is ringing"):
            await dial_and_wait(room, ALICE, calls=calls, timeout=15)

        assert (await calls.answered("alice", timeout=15)).answered
        assert now() == 20

    @pytest.mark.sized
    @pytest.mark.timeout(1800)
    async def test_meetings_of_one_name(
        self, client: ConferenceClient, calls: Calls, emulator: Emulator
    ) -> None:
        """One label in two standing handles, again and again, with news of the last under way."""
        emulator.callbacks.delay = 2

        async def meet(room: ConferenceHandle, to: str, outcome: Any) -> None:
            emulator.script(to, Script(outcome=outcome, after=0.5))
            here = calls.within(room.name)
            fields = here.labelled("alice")
            waiting = asyncio.create_task(_end_of(here.answered("alice", timeout=30)))
            placed = await room.participants.create(from_=FROM, to=to, **fields)

            assert await waiting == (placed.call_sid, "busy" if outcome == "busy" else "answered")
            if outcome == "answer":
                emulator.hang_up(placed.call_sid)
            followed.append(asyncio.create_task(_end_of(calls.completed(placed, timeout=30))))

        async def meet_on(name: str, to: str, outcomes: list[str]) -> None:
            room = client.conferences(name)
            for number in range(MEETINGS // 2):
                await meet(room, to, outcomes[number % len(outcomes)])

        followed: list[asyncio.Task[tuple[str, str]]] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(meet_on("standup", TO, ["busy", "answer", "answer"]))
            group.create_task(meet_on("retro", "+15558675311", ["answer", "busy"]))
        ends = await asyncio.gather(*followed)

        assert len({call_sid for call_sid, _ in ends}) == MEETINGS // 2 * 2


async def _end_of(wait: Coroutine[Any, Any, CallView]) -> tuple[str, str]:
    """Return the call that a wait ended with, and how it ended."""
    try:
        view = await wait
    except CallOver as over:
        return over.call_sid, str(over.status)
    return view.call_sid, "answered"


async def _answered(calls: Calls) -> str:
    return (await calls.answered("alice", timeout=30)).call_sid


class TestPolling:
    """Waiting by polling, which does not pretend to see everything."""

    async def test_answered_and_joined(
        self, room: ConferenceHandle, polling: Polling, emulator: Emulator
    ) -> None:
        """One who is in the conference was answered and has joined; seen at the next poll."""
        emulator.script(TO, Script(after=3))

        view = await dial_and_wait(room, ALICE, calls=polling, timeout=30)

        assert (now(), view.label, view.status) == (4, "alice", CallStatus.IN_PROGRESS)
        assert (view.answered, view.joined, view.over) == (True, True, False)
        assert (await polling.joined("alice", timeout=30)).call_sid == view.call_sid
        assert now() == 4

    async def test_a_reply_without_a_status_is_no_answer(self, serve: Any) -> None:
        """Users report such replies; nobody is taken to have picked up for one."""

        async def answer(_: web.BaseRequest) -> web.Response:
            return web.json_response({"call_sid": "CA" + "1" * 32, "label": "alice"})

        room = (await serve(answer)).conferences("CF" + "1" * 32)
        with pytest.raises(NotAnswered, match="its status is initiated"):
            await Polling(room).answered("alice", timeout=5)

    @pytest.mark.sized
    @pytest.mark.timeout(900)
    async def test_meetings_of_one_name(self, room: ConferenceHandle, emulator: Emulator) -> None:
        """Two people in and out of one standing handle's meetings: each wait means its own call."""
        polling = Polling(room, every=0.5, lag=1)
        followed: list[asyncio.Task[tuple[str, str]]] = []
        met: set[str] = set()

        async def meet(label: str, to: str, outcome: Any) -> None:
            emulator.script(to, Script(outcome=outcome, after=0.2))
            placed = await room.participants.create(from_=FROM, to=to, label=label)
            met.add(placed.conference_sid)
            end = await _end_of(polling.joined(placed.call_sid, timeout=30))
            assert end == (placed.call_sid, "unknown" if outcome == "busy" else "answered")
            if outcome == "answer":
                muted = await room.participants(label).mute()
                assert (muted.call_sid, muted.conference_sid) == (
                    placed.call_sid,
                    placed.conference_sid,
                )
                emulator.hang_up(placed.call_sid)
            # The next create goes out while the end of this call is still asked for.
            followed.append(asyncio.create_task(_end_of(polling.left(placed.call_sid, timeout=30))))

        async def meet_again(label: str, to: str, outcomes: list[str], pause: float) -> None:
            for number in range(MEETINGS // 2):
                await meet(label, to, outcomes[number % len(outcomes)])
                await asyncio.sleep(pause if number % 3 else 0)

        async with asyncio.TaskGroup() as group:
            group.create_task(meet_again("alice", TO, ["answer", "busy", "answer"], 0))
            group.create_task(meet_again("bob", "+15558675311", ["busy", "answer"], 0.7))
        ends = await asyncio.gather(*followed)

        assert {end for _, end in ends} == {"answered"}  # `left` is what came to be
        assert len({call_sid for call_sid, _ in ends}) == MEETINGS // 2 * 2
        assert len(met) > MEETINGS // 4

    @pytest.mark.parametrize("outcome", ["busy", "failed", "answer"])
    async def test_one_who_is_gone(
        self, outcome: Any, room: ConferenceHandle, polling: Polling, emulator: Emulator
    ) -> None:
        """Busy, failed, or there for a moment: it cannot be told, and is not guessed."""
        emulator.script(TO, Script(outcome=outcome, after=2.5, hang_up_after=1))

        with pytest.raises(CallOver, match=r"answered: .* is over, it is not known how$") as over:
            await dial_and_wait(room, ALICE, calls=polling, timeout=30)
        assert (now(), over.value.status, over.value.reason) == (4, "unknown", "unknown")

        view = await polling.completed(over.value.call_sid, timeout=30)
        assert now() == 10
        assert (view.status, view.left, view.ended) == (Unknown.UNKNOWN, True, None)
        assert (view.answered, view.joined) == (None, None)

    async def test_left(self, room: ConferenceHandle, polling: Polling, emulator: Emulator) -> None:
        """One who was in it has left; whether the call is over, and why, is not known."""
        emulator.script(TO, Script(after=1, hang_up_after=8.5))
        await room.participants.create(ALICE)

        view = await polling.left("alice", timeout=30)

        assert (now(), view.reason, view.status) == (10, Unknown.UNKNOWN, Unknown.UNKNOWN)
        assert (view.label, view.answered, view.joined) == ("alice", True, True)
        assert view.ended is None

    async def test_a_namesake(
        self, room: ConferenceHandle, polling: Polling, emulator: Emulator
    ) -> None:
        """Somebody else who takes the label over is not the one who was waited for."""
        bob = attrs.evolve(ALICE, to="+15558675311", label="bob")
        await room.participants.create(bob)
        placed = await room.participants.create(ALICE)
        waiting = asyncio.create_task(_left(polling))
        await asyncio.sleep(3)
        emulator.hang_up(placed.call_sid or "")
        await room.participants.create(ALICE)

        assert await waiting == placed.call_sid
        assert now() == 4

    async def test_one_who_is_not_there_yet(
        self, room: ConferenceHandle, polling: Polling, emulator: Emulator
    ) -> None:
        """A label may be awaited before anybody carries it, and before there is a conference."""
        waiting = asyncio.create_task(_joined(polling))
        await asyncio.sleep(5)
        emulator.visibility_lag = 4.5
        await room.participants.create(ALICE)

        assert await waiting == "alice"
        assert now() == 10

    async def test_one_who_is_not_visible_yet(
        self, room: ConferenceHandle, polling: Polling, emulator: Emulator
    ) -> None:
        """A call that was just placed is not taken for gone while it may not be visible."""
        emulator.visibility_lag = 4.5

        assert (await dial_and_wait(room, ALICE, calls=polling, timeout=30)).answered
        assert now() == 6

    async def test_nobody_ever_comes(self, polling: Polling) -> None:
        """The wait ends at its limit, and says that nothing was seen."""
        with pytest.raises(NotAnswered, match=r"within 7 s, and it was not seen in the"):
            await polling.joined("alice", timeout=7)

        assert now() == 7

    async def test_a_status_of_the_end(
        self, room: ConferenceHandle, polling: Polling, emulator: Emulator
    ) -> None:
        """A participant who is shown as complete is gone."""
        placed = await room.participants.create(ALICE)
        await asyncio.sleep(1)
        emulator.call(placed.call_sid or "").status = "complete"

        assert (await polling.left(placed.call_sid or "", timeout=30)).left
        assert now() == 7

    @pytest.mark.parametrize("every", [0, -1, float("nan")])
    async def test_asking_without_a_pause(self, room: ConferenceHandle, every: float) -> None:
        """Is refused: the service would be asked as fast as it answers."""
        with pytest.raises(ConfigurationError, match="every must be more than 0 seconds"):
            Polling(room, every=every)

    async def test_the_call_log_says_who_picked_up(
        self, client: ConferenceClient, emulator: Emulator
    ) -> None:
        """Where machine detection was asked for; and how a call ended, when it is over."""
        emulator.script(TO, Script(answered_by="machine_start", after=1))
        room = client.conferences("standup")
        placed = await room.participants.create(attrs.evolve(ALICE, machine_detection="Enable"))

        view = await Polling(room).detected(placed, timeout=30)

        assert (view.answered_by, view.joined) == ("machine_start", True)
        alice = room.participants("alice")
        assert (await alice.call()).status == "in-progress"
        await alice.delete()
        assert (await room.participants(placed.call_sid).call()).status == "completed"

    async def test_what_fails_is_not_hidden(
        self, client: ConferenceClient, emulator: Emulator
    ) -> None:
        """An error of a poll ends the wait, a time-out of its request included."""
        placed = await client.conferences("standup").participants.create(ALICE)
        emulator.faults.add(Fault.STALL, on="fetch", times=None)
        slow = client.with_options(deadline=4).conferences(placed.conference_sid)

        with pytest.raises(RequestTimeout, match="its deadline of 4 s"):
            await Polling(slow).answered("alice", timeout=30)

        assert now() == 4
        assert repr(Polling(slow)) == f"<Polling {slow!r} every 2 s>"


async def test_a_roster_is_seeded_from_a_handle(room: ConferenceHandle, emulator: Emulator) -> None:
    """The list of a room named by friendly name fills a roster that no event has reached."""
    await room.participants.create(ALICE)
    await asyncio.sleep(1)
    roster = Roster()

    await roster.seed(await room.resolve(), room.participants.list())

    (view,) = roster.rooms()
    assert [attendee.label for attendee in view.participants] == ["alice"]


async def _left(polling: Polling) -> str:
    return (await polling.left("alice", timeout=30)).call_sid


async def _joined(polling: Polling) -> str | None:
    return (await polling.joined("alice", timeout=30)).label


@pytest.mark.parametrize("nobody", [None, "", 5, b"alice", ["alice"]])
async def test_a_wait_for_nobody_is_refused(nobody: Any) -> None:
    """A participant without a label has None for one, for instance."""
    with pytest.raises(ConfigurationError, match="a wait needs a label"):
        await Calls("https://example.com/hooks").answered(nobody, timeout=1)


@pytest.mark.parametrize("url", [5, b"https://example.com/hooks", "https://example.com:0/hooks"])
def test_callbacks_to_no_url_are_refused(url: Any) -> None:
    """By the name of what is wrong."""
    with pytest.raises(ConfigurationError, match="public_url must be absolute"):
        Calls(url)
