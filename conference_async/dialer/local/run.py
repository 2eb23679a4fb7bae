"""One run of a campaign: read ahead, call, write down, hand out; stop at any moment."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TypeVarTuple

import attrs

from conference_async.dialer.calling.contacting import CalledTooOften
from conference_async.dialer.calling.decide import (
    NO_ROOM,
    Call,
    Decision,
    Leave,
    Skip,
    Wait,
    after_failure,
    after_no_room,
    decide,
    instant_after,
)
from conference_async.dialer.calling.execution import Executor
from conference_async.dialer.calling.quorum import Headcount
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.local.backlog import Backlog, Job
from conference_async.dialer.local.feeding import Feed
from conference_async.dialer.local.redialling import Redialler
from conference_async.dialer.plan.plan import Plan
from conference_async.dialer.rules.wishes import Wishes
from conference_async.errors import ConferenceFull
from conference_async.models import Participant
from conference_async.pace.contract import MAX_CPS
from conference_async.sending.entries import State
from conference_async.sending.observing import PutOff

_IN_LINE = 4
"""Requests that wait for a slot: enough that none is missed, few enough to be recalled at once."""

_UNDER_WAY = 50
_ASKED_AGAIN = 1.0
"""Seconds until a call is tried again that the store refused, although the rules allow it."""

_CLOCKS_DIFFER = 0.001
"""Waiting goes by the loop's clock, and the hour by the one on the wall."""

Ts = TypeVarTuple("Ts")


class _NoLonger(PutOff):
    """A target was to be called when it got into line, and is not, now that its slot is there."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("something else was decided meanwhile")
        self.decision = decision


def window(cps: float) -> int:
    """Return how many targets may be under way, those included whose outcome nobody took yet."""
    return _UNDER_WAY + 2 * math.ceil(min(cps, MAX_CPS))


class Run:
    """One run; `outcomes` is iterated once.

    Args:
        executor: What calls a target.
        wishes: What else to do and not to do.
        paused: Whether it begins paused.
    """

    def __init__(self, executor: Executor, wishes: Wishes, *, paused: bool) -> None:
        self._executor = executor
        self._ledger = executor.ledger
        self._wishes = wishes
        self._feeder = Feed(executor=executor, wishes=wishes)
        self._gate = asyncio.Event()  # set while calls may start
        if not paused:
            self._gate.set()
        self._backlog = Backlog()
        self._window = asyncio.Semaphore(window(executor.client.limit.cps))
        self._line = asyncio.Semaphore(_IN_LINE)
        self._in_line: dict[Job, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._halted = asyncio.Event()
        self._stopped = False
        self._dispatched = False
        self._began = 0.0
        self._ends_at = math.inf
        self._placed_at = -math.inf
        self._full = 0  # how often in a row the account was
        self._full_until = -math.inf
        self._error: Exception | None = None
        self._finished: asyncio.Queue[tuple[Outcome, asyncio.Semaphore] | None] = asyncio.Queue()
        self._headcount = (
            Headcount(wishes.quorum, executor.client, executor.ledger) if wishes.quorum else None
        )
        self._redialler = (
            Redialler(redial=wishes.redial, executor=executor, halted=self._halted)
            if wishes.redial
            else None
        )

    async def outcomes(self, work: Callable[[], Awaitable[None]]) -> AsyncGenerator[Outcome, None]:
        """Do the work, and yield what becomes of each target as it is known.

        Left early, it finishes what is under way. Cancelled, it writes down what it leaves.
        """
        main = asyncio.create_task(self._main(work))
        try:
            while (finished := await self._finished.get()) is not None:
                outcome, permit = finished
                permit.release()
                yield outcome
            await main
        except GeneratorExit:
            self.stop()
            await main
            raise
        finally:
            main.cancel()
            await asyncio.wait({main})

    async def _main(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._finished.put_nowait(None)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Start nothing more, and finish what is under way."""
        self._stopped = True
        self._halt()

    def _halt(self) -> None:
        self._halted.set()
        for task in self._tasks:
            task.cancel()
        self.recall()

    def pause(self) -> None:
        """Start nothing more until `resume`."""
        self._gate.clear()
        self.recall()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._gate.set()

    def recall(self) -> None:
        """Take back the requests that wait for a slot: nothing of them was written or sent."""
        for job, task in list(self._in_line.items()):
            self._leave_line(job)
            task.cancel()
            self._backlog.back(attrs.evolve(job))
            self._window.release()

    async def look_up(self, *states: State, again: bool = False) -> None:
        """Find out what became of all targets in these states.

        Args:
            states: ``sending`` and ``unknown``.
            again: Whether those that were certainly not placed may be planned again.
        """
        async with asyncio.TaskGroup() as group:
            if not self._halted.is_set():
                work = self._guarded(self._look_up_all, states, again)
                self._tasks = [group.create_task(work)]

    async def _look_up_all(self, states: tuple[State, ...], again: bool) -> None:  # noqa: FBT001 -- handed on
        async with aclosing(self._executor.look_up_all(*states, again=again)) as outcomes:
            async for found in outcomes:
                await self._window.acquire()
                self._deliver(found, self._window)

    async def dial(self, plan: Plan) -> None:
        """Look up what an earlier run left in doubt, then call the targets of the plan."""
        loop, deadline = asyncio.get_running_loop(), self._wishes.deadline
        self._began = loop.time()
        self._ends_at = self._began + (deadline or math.inf)
        timer = loop.call_later(deadline, self.stop) if deadline else None
        try:
            await self.look_up(State.SENDING, again=True)
            await self._guarded(self._call, plan)
        finally:
            if timer is not None:
                timer.cancel()

    async def _call(self, plan: Plan) -> None:
        """Call everybody; or until the quorum is there, and hang up on those who still ring."""
        headcount = self._headcount
        if headcount is None:
            await self._call_all(plan)
            return
        await headcount.recall()
        if not await headcount.reached():
            await self._call_all(plan)
        if not self._stopped:
            for ringing in (await headcount.census()).ringing:
                await headcount.take_down(ringing)

    async def _call_all(self, plan: Plan) -> None:
        async with asyncio.TaskGroup() as group:
            if self._halted.is_set():
                return
            self._tasks = [
                group.create_task(self._guarded(self._feed, plan)),
                group.create_task(self._guarded(self._dispatch, group)),
            ]
            if self._headcount is not None:
                watch = self._guarded(self._until_quorum, self._headcount)
                self._tasks.append(group.create_task(watch))

    async def _until_quorum(self, headcount: Headcount) -> None:
        try:
            async with asyncio.timeout_at(self._began + headcount.quorum.deadline):
                while not await headcount.reached(over=self._dispatched):  # noqa: ASYNC110 -- a service is asked
                    await asyncio.sleep(headcount.quorum.poll)
        except TimeoutError:
            pass
        self._halt()

    async def _feed(self, plan: Plan) -> None:
        async with aclosing(self._feeder.jobs(plan)) as jobs:
            async for job in jobs:
                if not isinstance(self._decision(job), Leave):
                    await self._backlog.add(job)
        self._backlog.fed()

    def _decision(self, job: Job) -> Decision:
        # Without a deadline the run ends when all that can be called now is called: nobody is
        # waited for. Nor is there where as many wait as there is room for.
        now, left = self._executor.clock(), 0.0
        if self._ends_at < math.inf and self._backlog.may_defer:
            left = self._ends_at - asyncio.get_running_loop().time()
        ends_at = instant_after(now, left)
        return decide(job.outcome, self._wishes, now, job.zones, ends_at, job.contacts)

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._gate.wait()
            await self._room()
            await self._window.acquire()
            await self._line.acquire()
            job = await self._backlog.take()
            if job is None:
                self._dispatched = True
                return
            self._in_line[job] = group.create_task(self._guarded(self._work, job))
            if not self._gate.is_set():
                self.recall()

    async def _room(self) -> None:
        """Wait while the account is full: more creates would be refused like the last one."""
        while (left := self._full_until - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 -- what it waits for is an instant, which may move
            await asyncio.sleep(left + _CLOCKS_DIFFER)  # not an instant too early, again and again

    def _no_room(self, job: Job, error: Exception) -> None:
        """Note that there was no room for a job, and let others wait if the account is full."""
        now = asyncio.get_running_loop().time()
        job.no_room_since = min(job.no_room_since, now)
        job.no_room, job.had_room = job.no_room + 1, False
        if not isinstance(error, ConferenceFull) and now >= self._full_until:
            self._full += 1
            self._full_until = now + NO_ROOM.delay(self._full)

    def _leave_line(self, job: Job) -> None:
        if self._in_line.pop(job, None):
            self._line.release()

    async def _work(self, job: Job) -> None:
        """Do what is decided about a job, and hand on what became of it.

        A job holds a permit of the window from here until its outcome is taken, so that a slow
        consumer slows the run down and memory stays bounded; every way out of here either
        delivers with that permit or gives the job back and releases it. It stands in line until
        its request has a slot: until then it can be recalled without a trace, so whatever is
        awaited before that must leave nothing behind when it is cancelled.
        """
        decision = self._decision(job)
        if isinstance(decision, Call):
            try:
                outcome, participant = await self._call_now(job, decision)
            except _NoLonger as late:  # the hour passed while it stood in line
                # What was claimed by then is planned now, whatever it was before.
                (job.outcome,) = await self._executor.ledger.enrol([job.outcome])
                decision = self._decision(job)
                if isinstance(decision, Call):
                    decision = late.decision
            except CalledTooOften:
                await self._feeder.with_contacts(job)
                decision = self._decision(job)
                if isinstance(decision, Call):  # the store's clock is not ours
                    decision = Wait(_ASKED_AGAIN, "it was just called")
            else:
                await self._conclude(job, outcome, participant)
                return
        self._leave_line(job)
        match decision:
            case Wait(seconds, _):
                self._put_back(job, seconds + _CLOCKS_DIFFER)
            case Skip(after):
                await self._executor.swap(job.outcome, after)
                self._done(after, self._window)
            case _:
                self._done(job.outcome, self._window)

    async def _call_now(self, job: Job, decision: Call) -> tuple[Outcome, Participant | None]:
        if decision.outcome is not job.outcome:
            await self._executor.swap(job.outcome, decision.outcome)
            job.outcome = decision.outcome

        def leaving() -> None:
            self._leave_line(job)
            if not isinstance(decision := self._decision(job), Call):
                raise _NoLonger(decision)

        job.had_room = True
        called = await self._executor.call(
            job.outcome, job.target.new, leaving, partial(self._no_room, job)
        )
        self._leave_line(job)
        return called

    async def _conclude(self, job: Job, outcome: Outcome, participant: Participant | None) -> None:
        if outcome.state is State.PLANNED:
            self._not_sent(job, outcome)
            return
        permit = self._window
        if participant is not None:
            self._full, self._placed_at = 0, asyncio.get_running_loop().time()
            self._full_until = self._placed_at
        if participant is not None and self._headcount:
            detecting = job.target.template.machine_detection is not None
            self._headcount.note(outcome, detecting=detecting)
        if participant is not None and self._redialler:
            permit = self._redialler.permits
            outcome = await self._redialler.follow(outcome, participant, self._window.release)
            if outcome.state is State.PLANNED:
                again = attrs.evolve(job, outcome=outcome, failures=0)
                self._backlog.back(again, self._redialler.redial.pause)
                permit.release()
                return
        self._done(outcome, permit)

    def _not_sent(self, job: Job, outcome: Outcome) -> None:
        if not job.had_room:
            again = attrs.evolve(job, outcome=outcome)
            waiting = max(job.no_room_since, self._placed_at)
            fruitless = asyncio.get_running_loop().time() - waiting
            decision = after_no_room(again.no_room, fruitless)
        else:
            again = attrs.evolve(job, outcome=outcome, failures=job.failures + 1)
            decision = after_failure(again.failures, self._wishes)
        if isinstance(decision, Wait) and not self._halted.is_set():
            self._put_back(again, decision.seconds)
        else:
            self._done(outcome, self._window)

    def _put_back(self, job: Job, delay: float) -> None:
        self._backlog.back(job, delay)
        self._window.release()

    def _done(self, outcome: Outcome, permit: asyncio.Semaphore) -> None:
        self._backlog.done()
        self._deliver(outcome, permit)

    def _deliver(self, outcome: Outcome, permit: asyncio.Semaphore) -> None:
        self._finished.put_nowait((outcome, permit))

    async def _guarded(self, work: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Let whatever goes wrong end the run in good order, to be raised then."""
        try:
            await work(*args)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # It came from a callback; unnoticed, this call would be waited for without end.
            self._fail(RuntimeError("a callback was cancelled, but the run was not"))
        except Exception as error:  # noqa: BLE001 -- raised when what is under way is over
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.stop()
