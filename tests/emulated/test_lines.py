"""Creates that wait for a line: at exact instants, against an account that allows so many calls.

In one process, and over a store as a user might write it: with the arithmetic that is shipped.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from conference_async import (
    ConferenceClient,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    LabelInUse,
    Limit,
    OutcomeUnknown,
    Priority,
    RetryPolicy,
    SharedLimit,
    TooManyCalls,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault, Script
from conference_async.pace import LineBook, LineCount, LineNews, LineWish, Pace, Reservation
from conference_async.pace.alarm import Alarm
from conference_async.pace.contract import SECOND
from conference_async.pace.line import next_ticket
from conference_async.webhooks import CallEnded, ConferenceStarted, ParticipantLeft

FROM = "+15017122661"
TO = "+15558675310"

pytestmark = pytest.mark.looptime


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


class Memory:
    """A store of slots and lines, for the processes of nobody else."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.back_within = 0.0
        self.pace: Pace | None = None
        self.book = LineBook()
        self.gone = False

    @property
    def now(self) -> int:
        """The store's clock."""
        return int((now() + 1000) * SECOND)

    async def open(self) -> None:
        """Connect to nothing."""
        if self.gone:
            raise OSError("the store is gone")

    async def reserve(self, *, cps: float, floor: float) -> Reservation:
        """Take a slot."""
        self.pace, slot = Pace.reserve(self.pace, now=self.now, cps=cps, floor=floor)
        return slot

    async def give_back(self, reservation: Reservation) -> bool:
        """Free a slot."""
        await asyncio.sleep(self.back_within)
        freed = self.pace and self.pace.give_back(reservation)
        self.pace = freed or self.pace
        return freed is not None

    async def report(self, *, factor: float, queue_time: int) -> None:
        """Do without."""

    async def reserve_with_line(
        self, *, cps: float, floor: float, wish: LineWish
    ) -> tuple[LineCount, Reservation | None]:
        """Take a line and a slot."""
        await asyncio.sleep(self.latency / 2)
        count = self.book.take(wish, self.now)
        slot = await self.reserve(cps=cps, floor=floor) if count.taken else None
        await asyncio.sleep(self.latency / 2)
        return count, slot

    async def lines(self) -> Mapping[str, float]:
        """Return the lines."""
        return self.book.ages(self.now)

    async def note(self, news: LineNews) -> int:
        """Take note of news."""
        return self.book.note(news, self.now)

    async def aclose(self) -> None:
        """Keep what there is."""


Make = Callable[..., Any]


@pytest.fixture(params=["local", "shared"])
def make(request: pytest.FixtureRequest) -> Make:
    """Return what makes a limit of one process, or one over a store."""

    def make(cps: float = 10, **options: Any) -> CreateLimit | SharedLimit:
        options = {"max_live": 2, **options}
        if request.param == "local":
            return CreateLimit(cps, **options)
        return SharedLimit(Memory(), cps, **options)

    return make


@attrs.frozen
class Scene:
    """An account that allows so many live calls, and a client that knows it."""

    emulator: Emulator
    client: ConferenceClient
    limit: Any

    async def create(self, priority: Priority = Priority.INTERACTIVE, to: str = TO) -> float:
        """Create one participant; return the instant at which it was answered."""
        view = self.client.with_options(priority=priority)
        await view.conferences("standup").participants.create(from_=FROM, to=to)
        return now()

    async def live(self) -> int | None:
        """Return how many lines are taken, once a store has heard of it."""
        await asyncio.sleep(0.01)
        live: int | None = self.limit.snapshot().live
        return live

    def looks(self) -> int:
        """Return how often the account's live calls were looked at, by three requests each."""
        count = self.emulator.count("calls.list")
        assert count % 3 == 0
        return count // 3

    def over(self, call: int) -> None:
        """Let a call end, and a callback say so."""
        sid = self.emulator.calls[call].sid
        self.emulator.hang_up(sid)
        self.limit.apply(CallEnded(call_sid=sid, status="completed"))


def opened(limit: Any, *, allowed: int | None = None, **settings: Any) -> Any:
    """Return a scene whose account allows as many calls as the limit says, if not told others."""

    @asynccontextmanager
    async def scene() -> AsyncGenerator[Scene]:
        it: Limit = limit
        most = it.snapshot().max_live if allowed is None else allowed
        async with (
            Emulator(cps=30, max_live=most, **settings) as emulator,
            ConferenceClient(
                Credentials(emulator.account_sid, emulator.auth_token),
                base_url=emulator.base_url,
                limit=it,
                retry=RetryPolicy(attempts=2, base=0.1, maximum=0.1, lookups=1),
            ) as client,
        ):
            yield Scene(emulator, client, it)
            if isinstance(it, SharedLimit):
                await it.aclose()
            await asyncio.sleep(0.1)  # a look may be under way, and ends before its client

    return scene()


async def test_a_line_is_free_when_its_call_ends(make: Make) -> None:
    """At the very instant at which a callback says so, and the pace allows."""
    async with opened(make()) as scene:
        tasks = [asyncio.create_task(scene.create()) for _ in range(4)]
        await asyncio.sleep(0.5)
        found = scene.limit.snapshot()
        assert (found.live, found.max_live, found.effective_max_live, found.waiting) == (2, 2, 2, 1)
        await asyncio.sleep(4.75)
        scene.over(0)
        await asyncio.sleep(2)
        scene.over(1)

        times = await asyncio.gather(*tasks)

    assert times == pytest.approx([0, 0.1, 5.25, 7.25], abs=1e-3)
    assert scene.emulator.count("create") == 4


async def test_without_callbacks_the_account_is_looked_at(make: Make) -> None:
    """Twice in a second at most, and only while somebody waits for a line."""
    async with opened(make()) as scene:
        scene.emulator.script("", Script(after=0.5, hang_up_after=9.75))
        await asyncio.gather(scene.create(), scene.create())
        assert scene.looks() == 1  # the first
        await asyncio.sleep(5)
        assert scene.looks() == 1

        assert await scene.create() == pytest.approx(10.5, abs=0.3)

        looks = scene.looks()
        assert 9 <= looks <= 13
        assert scene.emulator.count("create") == 3
        await asyncio.sleep(60)
        assert scene.looks() == looks


async def test_calls_from_before_are_counted(make: Make) -> None:
    """Those of a program that was killed, and of other software: they use the account's lines."""
    async with opened(make(), allowed=2) as scene:
        async with ConferenceClient(
            Credentials(scene.emulator.account_sid, scene.emulator.auth_token),
            base_url=scene.emulator.base_url,
            limit=CreateLimit(10),
        ) as other:
            room = other.conferences("other")
            first = await room.participants.create(from_=FROM, to=TO)
        await scene.create()
        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(3)
        assert not waiting.done()
        scene.emulator.hang_up(first.call_sid)

        assert 3 <= await waiting <= 4.1

    assert scene.emulator.count("create") == 3


async def test_nobody_has_a_line_before_the_first_look_has_ended(make: Make) -> None:
    """However long the service takes to answer it: the lines may be in use."""
    async with opened(make(10, max_live=1), allowed=5) as scene:
        scene.emulator.dial_in("other", FROM)
        scene.emulator.latency = 1
        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(20)
        assert not scene.emulator.count("create")
        scene.emulator.hang_up(scene.emulator.calls[0].sid)

        await waiting


async def test_what_was_not_placed_frees_its_line_at_once(make: Make) -> None:
    """Refused, never sent, too many requests: the next create has the line."""
    async with opened(make(10, max_live=1), allowed=5) as scene:
        scene.emulator.faults.add(Fault.LABEL_CLASH)
        with pytest.raises(LabelInUse):
            await scene.client.conferences("standup").participants.create(
                from_=FROM, to=TO, label="alice"
            )
        assert await scene.live() == 0
        scene.emulator.faults.add(Fault.TOO_MANY)
        await scene.create()
        assert await scene.live() == 1
        scene.over(0)
        assert await scene.live() == 0


async def test_a_cancelled_create_leaves_its_line_to_the_next(make: Make) -> None:
    """Whether it waits for a line or has one and stands at the wire."""
    async with opened(make(0.1, max_live=2)) as scene:
        await scene.create()
        at_the_wire = asyncio.create_task(scene.create())
        await asyncio.sleep(1)
        at_the_wire.cancel()
        await asyncio.wait([at_the_wire])

        assert await scene.live() == 1
        assert await scene.create() == pytest.approx(10, abs=1e-3)


@pytest.mark.parametrize(
    ("fault", "least", "most"), [(Fault.FAIL_503, 5, 6.2), (Fault.RESET_AFTER, 20, 21.2)]
)
async def test_an_unknown_outcome_holds_its_line_until_a_look(
    make: Make, fault: Fault, least: float, most: float
) -> None:
    """Placed, its call is counted until it ends; not placed, its line is free after five s."""
    async with opened(make(10, max_live=1)) as scene:
        scene.emulator.script("", Script(after=0.5, hang_up_after=19.5))
        scene.emulator.faults.add(fault)
        scene.emulator.visibility_lag = 5.0
        scene.emulator.call_log_lag = 2.0
        hurried = scene.client.with_options(deadline=1)
        with pytest.raises(OutcomeUnknown):
            await hurried.conferences("standup").participants.create(from_=FROM, to=TO)
        assert await scene.live() == 1

        assert least <= await scene.create() <= most

    assert scene.emulator.count("create") == 2


async def test_a_call_that_was_found_by_its_label_holds_its_line(make: Make) -> None:
    """As if it had been answered: until a callback says that it is over."""
    async with opened(make(10, max_live=1)) as scene:
        scene.emulator.faults.add(Fault.PLACE_THEN_500)
        await scene.create()
        assert await scene.live() == 1
        scene.over(0)
        assert await scene.live() == 0


async def test_interactive_creates_have_lines_of_their_own(make: Make) -> None:
    """Bulk ones leave them free, and do not stand in the way of whoever may take them."""
    async with opened(make(10, max_live=3, reserved=1)) as scene:
        bulk = [asyncio.create_task(scene.create(Priority.BULK)) for _ in range(5)]
        await asyncio.sleep(3)
        assert [each.done() for each in bulk] == [True, True, False, False, False]

        assert await scene.create() == pytest.approx(3, abs=1e-3)
        interactive = asyncio.create_task(scene.create())
        await asyncio.sleep(1)
        scene.over(0)
        await asyncio.sleep(1)
        # Of two that wait the interactive one has the line, though it came later.
        assert interactive.done()
        assert sum(each.done() for each in bulk) == 2
        scene.over(1)
        await asyncio.sleep(1)
        assert sum(each.done() for each in bulk) == 2  # two are left, and one stays free
        scene.over(2)
        await asyncio.sleep(1)
        assert sum(each.done() for each in bulk) == 3
        for each in bulk:
            each.cancel()


async def test_a_refusal_teaches_how_many_lines_there_are(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """One create is refused, and those after it wait; after a minute one more is tried."""
    async with opened(
        make(10, max_live=5), allowed=3, max_live_code=10004, answer_after=0.5
    ) as scene:
        for _ in range(3):
            await scene.create()
        with pytest.raises(TooManyCalls):
            await scene.create()
        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(30)
        found = scene.limit.snapshot()
        assert (found.live, found.max_live, found.effective_max_live) == (3, 5, 3)
        assert scene.emulator.count("create") == 4
        scene.over(0)
        await waiting
        assert scene.emulator.count("create") == 5
        scene.emulator.max_live = 5
        for lines in (4, 5):
            await scene.create()
            assert scene.limit.snapshot().effective_max_live == lines
            assert now() >= 60 * (lines - 3)

    assert "the account has as many live calls as it may have" in caplog.text


@pytest.mark.parametrize(("times", "lines"), [(1, 3), (None, 1)])
async def test_a_refusal_is_not_learned_from_a_look_that_failed(
    make: Make, times: int | None, lines: int
) -> None:
    """It is repeated; if the calls can never be listed, those that are known must do."""
    async with opened(make(10, max_live=8), allowed=3) as scene:
        await scene.create()
        async with ConferenceClient(
            Credentials(scene.emulator.account_sid, scene.emulator.auth_token),
            base_url=scene.emulator.base_url,
            limit=Unpaced(),
        ) as other:
            for _ in range(2):
                await other.conferences("other").participants.create(from_=FROM, to=TO)
        scene.emulator.faults.add(Fault.FAIL_503, on="calls.list", times=times)
        with pytest.raises(TooManyCalls):
            await scene.create()
        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(10)
        assert scene.limit.snapshot().effective_max_live == lines
        waiting.cancel()


async def test_a_call_that_ends_before_its_create_is_answered_is_over(make: Make) -> None:
    """Its end is remembered, so that its line is not held for a call that is gone."""
    async with opened(make(10, max_live=1), latency=2.0) as scene:
        task = asyncio.create_task(scene.create())
        await asyncio.sleep(7)  # the look takes three times two seconds
        scene.over(0)
        await task

        assert await scene.live() == 0


@pytest.mark.parametrize(
    ("event", "frees"),
    [
        pytest.param(CallEnded(call_sid="", status="busy"), True, id="over"),
        pytest.param(ParticipantLeft(conference_sid="CF1", call_sid=""), True, id="left"),
        pytest.param(
            ParticipantLeft(conference_sid="CF1", call_sid="", call_status="in-progress"),
            False,
            id="went on elsewhere",
        ),
        pytest.param(CallEnded(call_sid="CA1", status="completed"), False, id="another"),
        pytest.param(ConferenceStarted(conference_sid="CF1"), False, id="no call"),
    ],
)
async def test_events_that_end_a_call_free_its_line(make: Make, event: Any, *, frees: bool) -> None:
    """Others, and those of calls that nobody knows, are ignored."""
    async with opened(make()) as scene:
        await scene.create()
        if getattr(event, "call_sid", None) == "":
            event = attrs.evolve(event, call_sid=scene.emulator.calls[0].sid)
        scene.limit.apply(event)

        assert await scene.live() == (not frees)


async def test_a_deadline_bounds_the_wait_for_a_line(make: Make) -> None:
    """Nothing is sent, and the place in line is given up."""
    async with opened(make(10, max_live=1)) as scene:
        await scene.create()
        view = scene.client.with_options(deadline=5)
        began = now()
        with pytest.raises(DeadlineExceeded, match=r"^create: its slot and line did not come"):
            await view.conferences("standup").participants.create(from_=FROM, to=TO)

        assert now() - began == pytest.approx(5, abs=1e-3)
        assert scene.limit.snapshot().waiting == 0
        assert scene.emulator.count("create") == 1


async def test_one_request_at_a_time_is_enough_to_look(make: Make) -> None:
    """Whoever waits for a line holds no place that the look needs."""
    limit = make(10, max_live=1)
    async with (
        Emulator(cps=30, max_live=1) as emulator,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            limit=limit,
            max_concurrency=1,
        ) as client,
    ):
        emulator.script("", Script(after=0.5, hang_up_after=3))
        people = client.conferences("standup").participants
        await asyncio.gather(*(people.create(from_=FROM, to=TO) for _ in range(3)))

        assert now() == pytest.approx(8, abs=1)
        assert emulator.count("create") == 3


async def test_a_list_that_cannot_be_read_frees_nothing(make: Make) -> None:
    """While the service cannot be asked lines are freed by callbacks only."""
    async with opened(make(10, max_live=1)) as scene:
        scene.emulator.faults.add(Fault.FAIL_503, on="calls.list", times=None)
        await scene.create()
        scene.emulator.hang_up(scene.emulator.calls[0].sid)
        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(30)
        assert not waiting.done()
        scene.limit.apply(CallEnded(call_sid=scene.emulator.calls[0].sid, status="completed"))

        assert await waiting == pytest.approx(30, abs=0.1)

        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(10)
        scene.emulator.hang_up(scene.emulator.calls[1].sid)
        scene.emulator.faults.clear()
        assert await waiting == pytest.approx(41, abs=1.5)


async def test_a_client_that_is_closed_is_not_looked_with(make: Make) -> None:
    """Whoever waits for a line has a client of its own that can."""
    async with opened(make(10, max_live=1)) as scene:
        scene.emulator.script("", Script(after=0.5, hang_up_after=9.5))
        await scene.create()
        waiting = asyncio.create_task(scene.create())
        await asyncio.sleep(1)
        async with ConferenceClient(
            Credentials(scene.emulator.account_sid, scene.emulator.auth_token),
            base_url=scene.emulator.base_url,
            limit=scene.limit,
            deadline=1,
        ) as other:
            with pytest.raises(DeadlineExceeded, match="slot and line"):
                await other.conferences("standup").participants.create(from_=FROM, to=TO)

        assert await waiting == pytest.approx(11, abs=1.3)


async def test_without_a_client_that_can_look_callbacks_alone_tell(make: Make) -> None:
    """A limit that is used by other code than a client's counts lines as well."""
    limit = make(10, max_live=1)

    async def start() -> Any:
        while True:
            async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
                await turn.slot()
            if await turn.start():
                return turn

    limit.answered(await start(), call_sid="CA1")
    waiting = asyncio.create_task(start())
    await asyncio.sleep(100)
    assert not waiting.done()
    limit.apply(CallEnded(call_sid="CA1", status="completed"))
    limit.answered(await waiting, code=16021)
    await asyncio.sleep(1)
    assert limit.snapshot().live == 0

    (await start()).give_back()
    await asyncio.sleep(1)
    assert limit.snapshot().live == 0
    assert now() < 104


async def test_what_a_dead_process_held_comes_back_within_ten_seconds() -> None:
    """A line whose create never left, and that of a call whose end nobody heard."""
    store = Memory()
    async with opened(SharedLimit(store, 10, max_live=2)) as scene:
        await scene.create()
        await asyncio.sleep(20)
        # The other process took a line and was killed; so was who would have heard the hang-up.
        assert store.book.take(LineWish(name="dead", max_live=2), store.now).taken
        killed = now()
        scene.emulator.hang_up(scene.emulator.calls[0].sid)

        assert await scene.create() - killed < 2
        assert await scene.create() - killed < 7
        assert await scene.live() == 2
        assert set(store.book.held) == {call.sid for call in scene.emulator.calls[1:]}


async def test_while_the_store_is_gone_lines_are_waited_for() -> None:
    """Nothing is sent uncounted, unless the caller said so by a rate of its own."""
    for fallback in (None, 10):
        store = Memory()
        async with opened(SharedLimit(store, 10, max_live=1, fallback_cps=fallback)) as scene:
            await scene.create()
            await asyncio.sleep(2)
            scene.emulator.max_live = 2
            store.gone = True
            scene.over(0)
            waiting = asyncio.create_task(scene.create())
            await asyncio.sleep(20)
            assert waiting.done() == (fallback is not None)
            store.gone = False
            await waiting
            await asyncio.sleep(5)
            assert set(store.book.held) <= {scene.emulator.calls[1].sid}


def test_lines_are_kept_from_one_loop_to_the_next() -> None:
    """Calls live longer than the loop that made them."""
    limit = CreateLimit(10, max_live=2)

    async def take(call: str) -> None:
        async with limit.turn(Priority.BULK, next_ticket()) as turn:
            await turn.slot()
        assert await turn.start()
        limit.answered(turn, call_sid=call)

    asyncio.run(take("CA1"))
    assert limit.snapshot().live == 1
    asyncio.run(take("CA2"))
    assert limit.snapshot().live == 2
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(take("CA3"), 0.2))
    limit.apply(CallEnded(call_sid="CA1", status="completed"))
    asyncio.run(take("CA3"))


async def test_a_lagging_list_frees_no_call_that_is_live(make: Make) -> None:
    """A call that the list does not show yet keeps its line; nobody is refused."""
    async with opened(make(10, max_live=2), call_log_lag=3.0) as scene:
        scene.emulator.script("", Script(after=0.5, hang_up_after=5.5))
        await asyncio.gather(*(scene.create() for _ in range(10)))

        # Five pairs of six seconds each, and a second at most until the end is noticed.
        assert 4 * 6 <= now() <= 4 * 7.2
        assert scene.emulator.count("create") == 10


async def start(limit: SharedLimit, priority: Priority = Priority.INTERACTIVE) -> float:
    """Take a line and a slot, and be a call; return the instant of its start."""
    while True:
        async with limit.turn(priority, next_ticket()) as turn:
            await turn.slot()
        if await turn.start():
            limit.answered(turn, call_sid=f"CA{now()}")
            return now()


async def gone(task: "asyncio.Task[float]") -> None:
    """Let a create give up, and wait for what it leaves behind."""
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.1)


async def test_a_line_that_is_free_while_the_store_says_there_is_none_is_asked_for_at_once() -> (
    None
):
    """The answer was old when it came, and another does not have to wait its turn."""
    store = Memory(latency=0.1)
    limit = SharedLimit(store, 10, max_live=1)
    store.book.held["CA1"] = store.now
    waiting = asyncio.create_task(start(limit))
    await asyncio.sleep(0.07)
    limit.apply(CallEnded(call_sid="CA1", status="completed"))

    assert await waiting == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(
    ("priority", "others", "early"),
    [
        (Priority.INTERACTIVE, 5, True),
        (Priority.INTERACTIVE, 6, False),
        (Priority.BULK, 4, True),
        (Priority.BULK, 5, False),
    ],
)
async def test_where_a_quarter_of_the_lines_is_free_creates_set_out_without_one(
    priority: Priority, others: int, *, early: bool
) -> None:
    """Where fewer are, others may have them first: so a create waits until one is in hand."""
    store = Memory(latency=0.08)
    limit = SharedLimit(store, 10, max_live=8, reserved=1)
    await asyncio.sleep(10)
    store.book.held = dict.fromkeys([f"CA{number}" for number in range(others)], store.now)
    await start(limit, priority)
    await asyncio.sleep(0.5)
    begun = now()

    async with limit.turn(priority, next_ticket()) as turn:
        await turn.slot()
        assert now() == pytest.approx(begun if early else begun + 0.08, abs=1e-3)
    assert await turn.start()
    assert now() == pytest.approx(begun + 0.08, abs=1e-3)


async def test_a_line_that_comes_when_its_create_has_given_up_is_free_again() -> None:
    """Its name is kept until the answer is there, since the line may be ours by then."""
    store = Memory(latency=0.4)
    limit = SharedLimit(store, 10, max_live=1)
    task = asyncio.create_task(start(limit))
    await asyncio.sleep(0.1)
    await gone(task)
    assert store.book.held
    await asyncio.sleep(0.3)

    assert not store.book.held


async def test_a_reserved_line_that_its_create_leaves_is_no_bulk_create_s() -> None:
    """It is free at once, for the interactive creates of every process."""
    store = Memory()
    limit = SharedLimit(store, 1, max_live=2, reserved=1)
    await start(limit)
    bulk = asyncio.create_task(start(limit, Priority.BULK))
    interactive = asyncio.create_task(start(limit))
    await asyncio.sleep(0.5)
    assert len(store.book.held) == 2
    await gone(interactive)

    assert set(store.book.held) == {"CA0.0"}
    await asyncio.sleep(5)
    assert not bulk.done()
    assert set(store.book.held) == {"CA0.0"}
    await gone(bulk)


async def test_a_slot_with_a_line_that_came_too_late_is_not_used() -> None:
    """A create that is on its way for longer than an interval takes the next one, and one line."""
    store = Memory()
    limit = SharedLimit(store, 1, max_live=2)
    async with limit.turn(Priority.BULK, next_ticket()) as turn:
        await turn.slot()
    await asyncio.sleep(1.5)

    assert await turn.start()
    assert now() == pytest.approx(1.5, abs=1e-3)
    limit.answered(turn, call_sid="CA1")
    assert await start(limit) == pytest.approx(2.5, abs=1e-3)
    await asyncio.sleep(0.1)
    assert len(store.book.held) == 2


async def test_no_line_is_lost_of_slots_that_come_too_late_one_after_another() -> None:
    """Each is given back, though the store takes its time for the first."""
    store = Memory()
    store.back_within = 1.0
    limit = SharedLimit(store, 10, max_live=8)

    async def roundabout(way: float) -> None:
        async with limit.turn(Priority.BULK, next_ticket()) as turn:
            await turn.slot()
        await asyncio.sleep(way)
        assert await turn.start()
        limit.answered(turn, call_sid=f"CA{now()}")

    await asyncio.gather(*(roundabout(way) for way in (0.3, 0.6, 0.9)))
    await asyncio.sleep(10)

    assert len(store.book.held) == 3


@pytest.mark.parametrize(
    ("priority", "options"),
    [
        (Priority.BULK, {"max_live": 1}),
        (Priority.INTERACTIVE, {"max_live": 1}),
        (Priority.INTERACTIVE, {"max_live": 2, "reserved": 1}),
    ],
)
async def test_with_the_last_line_in_hand_a_create_that_comes_late_starts(
    priority: Priority, options: dict[str, int]
) -> None:
    """Its slot has passed, and there is no line for whoever is behind it; but its own is left."""
    store = Memory()
    store.book.held = {f"CA{number}": store.now for number in range(options["max_live"] - 1)}
    limit = SharedLimit(store, 10, **options)

    async def create() -> float:
        while True:
            async with limit.turn(priority, next_ticket()) as turn:
                await turn.slot()
            await asyncio.sleep(0.5)
            if await turn.start():
                return now()

    first, second = (asyncio.create_task(create()) for _ in range(2))

    assert await asyncio.wait_for(first, 5) == pytest.approx(0.5, abs=1e-3)
    await gone(second)
    assert len(store.book.held) == options["max_live"]


async def test_a_reserved_line_whose_create_has_gone_is_kept_from_bulk_creates() -> None:
    """It had come too late for one interactive create, and been kept for the next."""
    store = Memory()
    store.book.held = {"CA1": store.now}
    limit = SharedLimit(store, 10, max_live=2, reserved=1)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()
    bulk = asyncio.create_task(start(limit, Priority.BULK))
    await asyncio.sleep(0.5)
    turn.give_back()
    await asyncio.sleep(0.5)

    assert not bulk.done()
    assert set(store.book.held) == {"CA1"}
    limit.apply(CallEnded(call_sid="CA1", status="completed"))
    assert await asyncio.wait_for(bulk, 5) == pytest.approx(1, abs=1e-3)


async def test_those_who_wait_for_a_line_wake_each_other_for_news_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One at the wire and one in the line once did so until the store had answered."""
    rung = 0
    ring = Alarm.ring

    def counted(alarm: Alarm) -> None:
        nonlocal rung
        rung += 1
        assert rung < 100
        ring(alarm)

    monkeypatch.setattr(Alarm, "ring", counted)
    store = Memory(latency=0.1)
    store.book.held = {"CA1": store.now}
    limit = SharedLimit(store, 10, max_live=2, reserved=1)
    bulk = asyncio.create_task(start(limit, Priority.BULK))
    await asyncio.sleep(0.2)  # there is none for it

    first, second = (asyncio.create_task(start(limit)) for _ in range(2))

    assert await first == pytest.approx(0.3, abs=1e-3)
    await gone(second)
    await gone(bulk)


@pytest.mark.parametrize("gone", [False, True])
async def test_whoever_can_have_none_at_the_wire_goes_back_to_the_line(*, gone: bool) -> None:
    """There a create holds no connection, and waits for as long as it takes."""
    store = Memory()
    limit = SharedLimit(store, 10, max_live=8)
    await start(limit)
    await asyncio.sleep(0.5)
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        await turn.slot()  # seven lines were free when that was last said
        store.book.held = {f"CA{number}": store.now for number in range(8)}
        store.gone = gone

    async with asyncio.timeout(1):
        assert not await turn.start()


async def test_a_limit_without_lines_takes_none_of_a_store_that_keeps_them() -> None:
    """Only the pace is shared then."""
    store = Memory()

    assert await start(SharedLimit(store, 10)) == 0
    assert not store.book.held
