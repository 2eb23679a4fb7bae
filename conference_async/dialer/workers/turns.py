"""A worker's turn: targets claimed as there is room, called, and given back if need be."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime

import attrs

from conference_async.client import ConferenceClient
from conference_async.dialer.calling.contacting import CalledTooOften, Contacting
from conference_async.dialer.calling.decide import NO_ROOM, NOT_SENT, Call, Leave, Skip, Wait
from conference_async.dialer.calling.execution import Executor
from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers.assignments import Assignment
from conference_async.dialer.workers.claims import Claims
from conference_async.dialer.workers.standing import pause_running
from conference_async.errors import ConferenceError, LedgerError, NotAuthorized
from conference_async.journal.postgres import PostgresJournal
from conference_async.pace.contract import MAX_CPS
from conference_async.postgres.session import Session
from conference_async.privacy import words_of
from conference_async.sending.entries import State
from conference_async.sending.intents import elapsed
from conference_async.sending.observing import PutOff

_AGAIN = 1.0
"""Seconds until a worker that found less than it has room for looks again."""

_SOON = 5.0
"""Seconds for which it waits for what it put off itself: later, another turn will find that."""

_PAUSE = 5.0
_LONGEST_DELAY = 60.0
_log = logging.getLogger("conference_async.dialer")


class NotNow(PutOff):
    """It is to be done again later.

    Attributes:
        delay: Seconds until then.
    """

    def __init__(self, why: str, delay: float) -> None:
        super().__init__(why)
        self.delay = delay


def in_line(cps: float) -> int:
    """Return how many targets a worker lets wait for a slot at this pace.

    Enough that no slot is missed while more are claimed, and few: whatever is more urgent waits
    for them.
    """
    return 2 + math.ceil(min(cps, MAX_CPS))


def in_hand_at(cps: float) -> int:
    """Return how many targets a worker has in hand at this pace: two seconds' worth, and ten."""
    return 10 + 2 * math.ceil(min(cps, MAX_CPS))


class Turn:
    """One worker's turn.

    Args:
        client: What calls.
        session: Where the ledgers are.
        claims: Where it takes its targets from.
        worker: The worker, by its number in the queue.
        concurrency: How many targets it has in hand at most.
        contacts: Where it is written down how often numbers were called.
        invite: Awaited once, when there is more to do than this worker has room for.
        tell: Called with a campaign's ledger, a row's number, and what became of that target.
    """

    def __init__(
        self,
        client: ConferenceClient,
        session: Session,
        claims: Claims,
        *,
        worker: int,
        concurrency: int,
        contacts: PostgresJournal,
        invite: Callable[[], Awaitable[None]],
        tell: Callable[[str, int, Outcome], None] | None = None,
    ) -> None:
        self._client = client
        self._session = session
        self._claims = claims
        self._worker = worker
        self._most_in_line = min(in_line(client.limit.cps), concurrency)
        self._concurrency = concurrency
        self._invite: Callable[[], Awaitable[None]] | None = invite
        self._tell = tell
        self._in_line: dict[asyncio.Task[None], int] = {}
        self._in_hand: dict[asyncio.Task[None], int] = {}
        self._to_give_back: dict[int, tuple[float | None, int]] = {}
        self._without_room = set[int]()
        self._room = asyncio.Event()
        self._stopped = asyncio.Event()
        self._soon = 0.0
        self._contacts = contacts

    @property
    def in_hand(self) -> int:
        """How many targets it holds."""
        return len(self._in_hand)

    def stop(self) -> None:
        """Claim no more, and hand back what waits for a slot; what is under way is finished."""
        self._stopped.set()
        self._room.set()
        for task in list(self._in_line):
            task.cancel()

    def abandon(self) -> int:
        """Finish nothing more; return how many calls are left, for others to look up."""
        self.stop()
        for task in self._in_hand:
            task.cancel()
        return len(self._in_hand)

    async def run(self) -> None:
        """Call targets until there are none to be called now, or until `stop`.

        Cancelled, it finishes what is under way first.

        Raises:
            LedgerError: The server cannot be used.
        """
        try:
            await self._claims.let_go(self._worker, [])
            while not self._stopped.is_set() and await self._step():
                pass
        finally:
            self.stop()
            await _whole(self._finish())

    async def _finish(self) -> None:
        while self._in_hand:
            await asyncio.wait(self._in_hand)
        await self._give_back()

    async def _step(self) -> bool:
        """Claim what there is room for, and wait for more; False if the turn is over."""
        await self._give_back()
        self._room.clear()
        asked = self._asked()
        found = await self._claimed(asked) if asked else []
        for each in found:
            self._begin(each)
        if len(found) == asked:
            if asked and self._invite is not None:
                await self._invite()
                self._invite = None
            await _set_within(self._room, _AGAIN)
            return True
        if not self._in_hand and asyncio.get_running_loop().time() >= self._soon:
            return False
        await _set_within(self._stopped, _AGAIN)
        return True

    def _asked(self) -> int:
        """Return how many to claim: none while more than half of the line is taken."""
        if 2 * len(self._in_line) > self._most_in_line:
            return 0
        room = self._concurrency - len(self._in_hand)
        return max(0, min(self._most_in_line - len(self._in_line), room))

    async def _claimed(self, asked: int) -> list[Assignment]:
        alive, found = await self._claims.claim(self._worker, asked)
        if not alive:
            _log.debug(
                "this worker was taken for dead, and ends its turn", extra={"event": "worker.dead"}
            )
            self._stopped.set()
        return found

    def _begin(self, found: Assignment) -> None:
        task = asyncio.create_task(self._work(found))
        self._in_line[task] = self._in_hand[task] = found.number
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_line.pop(task, None)
        number = self._in_hand.pop(task)
        if task.cancelled():  # it waited for a slot, and nothing of it was written
            self._to_give_back[number] = None, 0
        self._room.set()

    async def _give_back(self) -> None:
        rows = dict(self._to_give_back)
        if rows:
            await self._claims.give_back(self._worker, rows)
            for number in rows:
                del self._to_give_back[number]

    def _put_off(self, found: Assignment, delay: float, failures: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._to_give_back[found.number] = delay, failures
        if delay <= _SOON:
            self._soon = max(self._soon, loop.time() + delay)

    async def _work(self, found: Assignment) -> None:
        """Do what is to be done for one target; give it back unless it is done with."""
        failures = found.failures + 1
        try:
            outcome = await self._done(found)
        except NotNow as later:
            self._put_off(found, later.delay)
        except NotAuthorized as error:
            self._put_off(found, _PAUSE)
            await self._pause(found.ledger, error)
        except LedgerError as error:
            # The campaign was paused, another worker has it, or the server was gone for too long.
            _log.debug("a target is given back: %s", error)
            self._to_give_back[found.number] = None, found.failures
        except ConferenceError as error:
            _log.debug("a target is put off: %s", error)
            self._put_off(found, _LONGEST_DELAY, failures)
        except Exception as error:  # noqa: BLE001 -- one target must not end the turn for all others
            _log.error("a target is put off: %s", words_of(error))
            self._put_off(found, _LONGEST_DELAY, failures)
        else:
            if self._tell is not None:
                self._tell(found.ledger, found.number, outcome)
            if outcome.state in {State.PLANNED, State.SENDING}:
                pauses = NO_ROOM if found.number in self._without_room else NOT_SENT
                self._without_room.discard(found.number)
                self._put_off(found, pauses.delay(failures), failures)

    async def _pause(self, ledger: str, error: NotAuthorized) -> None:
        try:
            paused = await pause_running(self._session, ledger, str(error))
        except LedgerError as failure:
            _log.debug("the campaign %r could not be paused: %s", ledger, failure)
            return
        if paused:
            _log.error(
                "the campaign %r is paused: %s",
                ledger,
                error,
                extra={"event": "campaign.paused", "campaign": ledger, "reason": str(error)},
            )

    async def _done(self, found: Assignment) -> Outcome:
        ledger = PostgresLedger.on(self._session, found.ledger)
        executor = Executor(client=self._client, ledger=ledger, clock=lambda: datetime.now(UTC))
        if found.outcome.state is State.SENDING:
            self._leave_line()
            ((outcome, _),) = await executor.look_up([found.outcome], again=True)
            return outcome
        if (contacting := self._contacting(found)) is not None:
            executor = attrs.evolve(executor, contacting=contacting)
            found = await _with_contacts(found, contacting)
        match found.decision():
            case Call():
                return await self._call(executor, found)
            case Wait(seconds, reason):
                raise NotNow(reason, seconds)
            case Skip(after):
                await executor.swap(found.outcome, after)
                return after
            case Leave():
                return found.outcome

    async def _call(self, executor: Executor, found: Assignment) -> Outcome:
        began = elapsed()

        def leaving() -> None:
            self._leave_line(task)
            match found.decision(elapsed() - began):
                case Call():
                    pass
                case Wait(seconds, reason):  # the hour passed while it stood in line
                    raise NotNow(reason, seconds)
                case _:
                    raise NotNow("the hour passed while it stood in line", 0)

        task = _this_task()

        def no_room(_error: Exception) -> None:
            self._without_room.add(found.number)

        try:
            outcome, _ = await executor.call(found.outcome, found.new, leaving, no_room)
        except CalledTooOften as error:  # another worker was quicker: what is to be done now?
            raise NotNow(str(error), _AGAIN) from error
        return outcome

    def _contacting(self, found: Assignment) -> Contacting | None:
        if not found.rules.all_limits:
            return None
        return Contacting(
            store=self._contacts,
            account_sid=self._client.account_sid,
            campaign=found.ledger,
            wishes=found.wishes,
        )

    def _leave_line(self, task: "asyncio.Task[None] | None" = None) -> None:
        self._in_line.pop(task or _this_task(), None)
        self._room.set()


async def _with_contacts(found: Assignment, contacting: Contacting) -> Assignment:
    """Return what is known of a target, with the calls that were made to its number."""
    known = await contacting.known([found.outcome])
    return attrs.evolve(found, contacts=known.get(found.outcome.to, ()))


async def _whole(work: Coroutine[None, None, None]) -> None:
    """Await something to its end, however often it is cancelled meanwhile."""
    task, cancelled = asyncio.create_task(work), False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, so many seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _this_task() -> "asyncio.Task[None]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a target is worked on in a task of its own")
    return task
