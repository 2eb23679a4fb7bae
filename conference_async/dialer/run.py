"""One run of a campaign: read ahead, call, write down, hand out; stop at any moment."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVarTuple
from zoneinfo import ZoneInfo

import attrs

from conference_async.dialer.attendance import Attendance
from conference_async.dialer.backlog import Backlog, Job
from conference_async.dialer.execution import Executor
from conference_async.dialer.hours import zones_of
from conference_async.dialer.ledger import Outcome, State
from conference_async.dialer.plan import Plan
from conference_async.dialer.policy import ON_THE_LIST, Policy
from conference_async.dialer.redialling import Redialler
from conference_async.dialer.targets import Target
from conference_async.limits import MAX_CPS

_IN_LINE = 4
"""Requests that wait for a slot: enough that none is missed, few enough to be recalled at once."""

_UNDER_WAY = 50
_LONGEST_DELAY = 60.0
_CLOCKS_DIFFER = 0.001
"""Waiting goes by the loop's clock, and the hour by the one on the wall."""

Ts = TypeVarTuple("Ts")


def window(cps: float) -> int:
    """Return how many targets may be under way, those included whose outcome nobody took yet."""
    return _UNDER_WAY + 2 * math.ceil(min(cps, MAX_CPS))


class Run:
    """One run; `outcomes` is iterated once.

    Args:
        executor: What calls a target.
        policy: What else to do and not to do.
        gate: Set while calls may start.
    """

    def __init__(self, executor: Executor, policy: Policy, gate: asyncio.Event) -> None:
        self._executor = executor
        self._ledger = executor.ledger
        self._policy = policy
        self._gate = gate
        self._backlog = Backlog()
        self._window = asyncio.Semaphore(window(executor.client.limit.cps))
        self._line = asyncio.Semaphore(_IN_LINE)
        self._in_line: dict[Job, asyncio.Task[None]] = {}
        self._pumps: list[asyncio.Task[None]] = []
        self._halted = asyncio.Event()
        self._told = False
        self._dispatched = False
        self._began = 0.0
        self._ends_at = math.inf
        self._error: Exception | None = None
        self._finished: asyncio.Queue[tuple[Outcome, asyncio.Semaphore] | None] = asyncio.Queue()
        self._attendance = (
            Attendance(policy.quorum, executor.client, executor.ledger) if policy.quorum else None
        )
        self._redialler = (
            Redialler(redial=policy.redial, executor=executor, halted=self._halted)
            if policy.redial
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
        self._told = True
        self._halt()

    def _halt(self) -> None:
        self._halted.set()
        for pump in self._pumps:
            pump.cancel()
        self.recall()

    def recall(self) -> None:
        """Take back the requests that wait for a slot: nothing of them was written or sent."""
        for job, task in list(self._in_line.items()):
            self._leave_line(job)
            task.cancel()
            self._backlog.back(attrs.evolve(job))
            self._window.release()

    async def look_up(self, *states: State) -> None:
        """Look for the labels of all targets in these states."""
        async with asyncio.TaskGroup() as group:
            await self._guarded(self._look_up_all, group, states)

    async def _look_up_all(self, group: asyncio.TaskGroup, states: tuple[State, ...]) -> None:
        async with aclosing(self._ledger.outcomes(*states)) as outcomes:
            async for outcome in outcomes:
                await self._window.acquire()
                group.create_task(self._guarded(self._look_up, outcome))

    async def _look_up(self, outcome: Outcome) -> None:
        found, _ = await self._executor.look_up(outcome)
        self._deliver(found, self._window)

    async def dial(self, plan: Plan) -> None:
        """Look up what an earlier run left in doubt, then call the targets of the plan."""
        loop, deadline = asyncio.get_running_loop(), self._policy.deadline
        self._began = loop.time()
        self._ends_at = self._began + (deadline or math.inf)
        timer = loop.call_later(deadline, self.stop) if deadline else None
        try:
            await self.look_up(State.SENDING)
            await self._guarded(self._call, plan)
        finally:
            if timer is not None:
                timer.cancel()

    async def _call(self, plan: Plan) -> None:
        """Call everybody; or until the quorum is there, and hang up on those who still ring."""
        attendance = self._attendance
        if attendance is None:
            await self._call_all(plan)
            return
        await attendance.recall()
        if not await attendance.reached():
            await self._call_all(plan)
        if not self._told:
            for ringing in (await attendance.census()).ringing:
                await attendance.take_down(ringing)

    async def _call_all(self, plan: Plan) -> None:
        async with asyncio.TaskGroup() as group:
            if self._halted.is_set():
                return
            self._pumps = [
                group.create_task(self._guarded(self._feed, plan)),
                group.create_task(self._guarded(self._dispatch, group)),
            ]
            if self._attendance is not None:
                watch = self._guarded(self._until_quorum, self._attendance)
                self._pumps.append(group.create_task(watch))

    async def _until_quorum(self, attendance: Attendance) -> None:
        try:
            async with asyncio.timeout_at(self._began + attendance.quorum.deadline):
                while not await attendance.reached(over=self._dispatched):  # noqa: ASYNC110 -- a service is asked
                    await asyncio.sleep(attendance.quorum.poll)
        except TimeoutError:
            pass
        self._halt()

    async def _feed(self, plan: Plan) -> None:
        async with aclosing(plan.batches()) as batches:
            async for batch in batches:
                rows = [Outcome(target=t.key, to=t.to, conference=t.conference) for t in batch]
                known = await self._ledger.enrol(rows)
                zones: list[tuple[ZoneInfo, ...]] = [()] * len(batch)
                if self._policy.hours is not None:
                    zones = await asyncio.to_thread(list, map(zones_of, batch))
                for target, outcome, where in zip(batch, known, zones, strict=True):
                    await self._consider(target, outcome, where)
        self._backlog.fed()

    async def _consider(
        self, target: Target, outcome: Outcome, zones: tuple[ZoneInfo, ...]
    ) -> None:
        if outcome.state is State.UNKNOWN and self._policy.redial_unknown:
            again = outcome.again("to be called again, as told")
            await self._executor.swap(outcome, again)
            outcome = again
        if outcome.state in {State.PLANNED, State.SKIPPED}:
            await self._backlog.add(Job(target=target, outcome=outcome, zones=zones))

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._gate.wait()
            await self._window.acquire()
            await self._line.acquire()
            job = await self._backlog.take()
            if job is None:
                self._dispatched = True
                return
            self._in_line[job] = group.create_task(self._guarded(self._work, job))
            if not self._gate.is_set():
                self.recall()

    def _leave_line(self, job: Job) -> None:
        if self._in_line.pop(job, None):
            self._line.release()

    async def _work(self, job: Job) -> None:
        if await self._put_off(job):
            return
        planned = attrs.evolve(job.outcome, to=job.target.to)
        outcome, participant = await self._executor.call(
            planned, job.target.new, lambda: self._leave_line(job)
        )
        self._leave_line(job)
        if outcome.state is State.PLANNED:
            self._not_sent(job, outcome)
            return
        permit = self._window
        if participant is not None and self._attendance:
            self._attendance.note(outcome)
        if participant is not None and self._redialler:
            permit = self._redialler.permits
            outcome = await self._redialler.follow(outcome, participant, self._window.release)
            if outcome.state is State.PLANNED:
                pause = self._redialler.redial.pause
                self._backlog.back(attrs.evolve(job, outcome=outcome, failures=0), pause)
                permit.release()
                return
        self._backlog.done()
        self._deliver(outcome, permit)

    def _not_sent(self, job: Job, outcome: Outcome) -> None:
        if job.failures >= self._policy.retries or self._halted.is_set():
            self._backlog.done()
            self._deliver(outcome, self._window)
            return
        delay = min(_LONGEST_DELAY, 2.0**job.failures)
        self._backlog.back(attrs.evolve(job, outcome=outcome, failures=job.failures + 1), delay)
        self._window.release()

    async def _put_off(self, job: Job) -> bool:
        """Skip a job, or wait until it may be called, if it may not be called now."""
        now, wait, reason = self._executor.clock(), math.inf, ""
        if self._policy.forbids(job.target.to):
            reason = ON_THE_LIST
        elif self._policy.hours is not None:
            wait, reason = self._policy.hours.wait(now, job.zones)
        if not reason:
            return False
        self._leave_line(job)
        ends_at = self._ends_at
        if (
            ends_at < math.inf
            and asyncio.get_running_loop().time() + wait <= ends_at
            and self._backlog.may_defer
        ):
            self._backlog.back(job, wait + _CLOCKS_DIFFER)
            self._window.release()
            return True
        skipped = job.outcome.skipped(reason, now)
        await self._executor.swap(job.outcome, skipped)
        self._backlog.done()
        self._deliver(skipped, self._window)
        return True

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
            # It came from a callback; unnoticed, this call would be waited for for ever.
            self._fail(RuntimeError("a callback was cancelled, but the run was not"))
        except Exception as error:  # noqa: BLE001 -- raised when what is under way is over
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.stop()
