"""Jobs for workers: a turn at an account's campaigns, and what is looked after every few seconds.

Jobs are few, and only wake workers: what is to be done stands in the ledgers. One that is lost is
made again, and one too many finds nothing to do.
"""

import asyncio
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import LiteralString

from procrastinate import App, Blueprint, JobContext
from procrastinate.exceptions import AlreadyEnqueued, ProcrastinateException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg import AsyncConnection, Error
from psycopg.rows import DictRow

from conference_async.client import ConferenceClient
from conference_async.dialer.workers.attending import Heard, attend
from conference_async.dialer.workers.claims import Claims
from conference_async.dialer.workers.pulse import Pulse
from conference_async.dialer.workers.queue_connections import said_of
from conference_async.dialer.workers.recovery import FORGOTTEN_AFTER, Recovery
from conference_async.dialer.workers.turns import Turn, in_hand_at
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.journal.postgres import PostgresJournal
from conference_async.postgres.session import Session
from conference_async.privacy import words_of
from conference_async.sending.observing import Observer, note

LOOK_EVERY = 5.0
"""Seconds between two looks at what dead workers held, what waits, and who has joined."""

AT_ONCE = 3
"""Jobs of an account that a worker does at a time: a turn, another that finds this one, and the
one that counts who has joined."""

_EVERY_LOOK = "* * * * * */5"
"""The same for the workers of an app of the user's, which has no such loop; the last field counts
seconds."""

_OURS = "conference_async:"
_HANDED_ON = 5
"""Seconds after which, at most, a turn that one worker has no use for is offered again."""

_FIRST = 1_000_000

# When a job is due, by the server's clock, which the queue goes by; no row if one waits already.
# To make it in vain would be an error in the server's log, every few seconds of a campaign.
_TO_MAKE: LiteralString = """
SELECT now() + %s::interval AS at WHERE NOT EXISTS (
    SELECT FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo')
"""
_log = logging.getLogger("conference_async.dialer")


def queue_of(account_sid: str) -> str:
    """Return the queue of an account's jobs: workers of other accounts do not see them."""
    return f"dial/{account_sid}"  # with more, the queue's notifications would be too long


class Caller:
    """Does the jobs of one worker, for all accounts that it serves.

    Args:
        clients: What calls, a client for each account.
        session: Where the ledgers are.
        stalled: Seconds after which a worker that gives no sign of life is taken for dead.
        concurrency: How many targets of an account it has in hand at most; if None, as many as
            its pace asks for.
    """

    def __init__(
        self,
        clients: Sequence[ConferenceClient],
        session: Session,
        *,
        stalled: float,
        concurrency: int | None,
    ) -> None:
        self._clients = {client.account_sid: client for client in clients}
        self._queues = {sid: queue_of(sid) for sid in self._clients}
        self._session = session
        self._stalled = stalled
        self._concurrency = concurrency
        self._contacts = PostgresJournal(session.dsn)
        self._recovery = Recovery(session, self._queues, stalled=stalled)
        self._heard: Heard = {}
        self._stopping = False
        self._turns: dict[str, Turn] = {}
        self._asked_again: set[str] = set()
        self.pulse: Pulse = Pulse(clients, self.in_hand)
        self.refusal: ConfigurationError | None = None
        """Why this worker can do nothing, now or later; None as far as is known."""
        self.refused: asyncio.Event = asyncio.Event()
        """Set when that is known."""

    @property
    def queues(self) -> list[str]:
        """The queues that it serves."""
        return list(self._queues.values())

    def in_hand(self, account_sid: str | None = None) -> int:
        """Return how many targets it holds, of one account or of all."""
        turns = self._turns if account_sid is None else {account_sid} & self._turns.keys()
        return sum(self._turns[each].in_hand for each in turns)

    @contextmanager
    def observed(self) -> Generator[None]:
        """Let those who watch the clients see what is in hand."""
        ends: list[Callable[[], object]] = []

        def begin(observer: Observer, account_sid: str) -> None:
            ends.append(observer.hold(account_sid, partial(self.in_hand, account_sid)))

        for account_sid, client in self._clients.items():
            if client.options.telemetry is not None:
                note(begin, client.options.telemetry, account_sid)
        try:
            yield
        finally:
            for end in ends:
                note(end)

    def tasks(self, *, periodic: bool = False) -> Blueprint:
        """Return the tasks, to be added to an app under the namespace ``conference_async``.

        Args:
            periodic: Whether looking is a task as well, for workers that do not `keep_looking`.
        """
        blueprint = Blueprint()
        for account_sid in self._clients:
            self._add_tasks(blueprint, account_sid, periodic=periodic)
        return blueprint

    def _add_tasks(self, blueprint: Blueprint, account_sid: str, *, periodic: bool) -> None:
        queue = self._queues[account_sid]

        @blueprint.task(name=f"turn/{account_sid}", queue=queue, pass_context=True)
        async def turn(context: JobContext, handed_on: int = 0) -> None:
            """Call targets as long as there are any."""
            with self._heeded("whom to call"):
                await self.turn(account_sid, context.job.worker_id or 0, handed_on)

        @blueprint.task(name=f"attend/{account_sid}", queue=queue)
        async def attend_to(timestamp: int) -> None:  # noqa: ARG001 -- what periodic tasks are given
            """End the campaigns whose quorum has joined."""
            with self._heeded("whether enough have joined"):
                await attend(self._clients[account_sid], self._session, self._heard)

        if periodic:

            @blueprint.periodic(cron=_EVERY_LOOK)
            @blueprint.task(
                name=f"recover/{account_sid}",
                queue=queue,
                queueing_lock=f"conference_async/recover/{account_sid}",
                priority=_FIRST,
                pass_context=True,
            )
            async def recover(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 -- what periodic tasks are given
                """Take up what dead workers held."""
                await self.look(context.app)

            _ = recover
        _ = turn, attend_to

    @contextmanager
    def _heeded(self, what: str) -> Generator[None]:
        """Let a failure wait for the next time, unless there can be none."""
        try:
            with _logged(what):
                yield
        except ConfigurationError as error:
            _log.error("%s", error)
            self.refusal = error
            self.refused.set()

    def stop(self) -> None:
        """Hand back the targets that wait for a slot, and take no more on."""
        self._stopping = True
        for turn in self._turns.values():
            turn.stop()

    def abandon(self) -> int:
        """Leave what is under way for others to look up; return how many calls that are."""
        return sum(turn.abandon() for turn in self._turns.values())

    async def turn(self, account_sid: str, worker: int, handed_on: int = 0) -> None:
        """Call an account's targets until there are none to be called now; one turn at a time.

        Args:
            account_sid: The account.
            worker: The worker that does it, by its number in the queue.
            handed_on: How often the turn was handed on, since its worker was at it already.

        Raises:
            LedgerError: The server cannot be used.
        """
        if account_sid in self._turns and not self._stopping:
            self._asked_again.add(account_sid)
            await self._wake(account_sid, handed_on + 1)
            return
        asked = not self._stopping
        while asked and not self._stopping:
            self._asked_again.discard(account_sid)
            await self._take_turn(account_sid, worker)
            # Whoever asked meanwhile may have asked when the turn had found nothing any more.
            asked = account_sid in self._asked_again
        if self._stopping:
            await self._wake(account_sid)

    async def _take_turn(self, account_sid: str, worker: int) -> None:
        client = self._clients[account_sid]
        turn = self._turns[account_sid] = Turn(
            client,
            self._session,
            Claims(self._session, account_sid, stalled=self._stalled),
            worker=worker,
            concurrency=self._concurrency or in_hand_at(client.limit.cps),
            contacts=self._contacts,
            invite=partial(self._wake, account_sid),
            tell=self.pulse.note,
        )
        _log.info("a turn begins", extra={"event": "turn.began", "account": account_sid})
        try:
            await turn.run()
        finally:
            del self._turns[account_sid]
            if not self._turns:
                await self._contacts.aclose()
            _log.info("the turn is over", extra={"event": "turn.ended", "account": account_sid})

    async def _wake(self, account_sid: str, handed_on: int = 0) -> None:
        await wake(self._session, account_sid, handed_on=handed_on)

    async def keep_looking(self, app: App) -> None:
        """Look every few seconds, until it is cancelled.

        A job that said so would cost five statements, and a look costs one.
        """
        while True:
            try:
                await self.look(app)
            except Exception as error:  # noqa: BLE001 -- whatever it is, nobody else would look again
                _log.error("looking failed, and goes on: %s", words_of(error))
            await asyncio.sleep(LOOK_EVERY)

    async def look(self, app: App) -> None:
        """Let others have what dead workers held, and wake those who are needed."""
        with self._heeded("what dead workers left, and what waits"):
            found = await self._recovery.look()
            if found.stalled:
                await self._clear_up(app.job_manager)
            if found.silent:  # the queue does so only where a worker starts
                await app.job_manager.prune_stalled_workers(FORGOTTEN_AFTER)
            for account_sid in found.waiting:
                await self._wake(account_sid)
            for account_sid in found.counting:
                await self._let_attend(app.job_manager, account_sid, found.now)

    async def _clear_up(self, manager: JobManager) -> None:
        """Take the jobs of dead workers off their hands."""
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled):
            if job.queue not in self.queues:
                continue
            try:
                if job.task_name.startswith(_OURS):
                    await manager.finish_job(job, status=Status.FAILED, delete_job=True)
                else:
                    await manager.retry_job(job)
            except ProcrastinateException as error:
                _log.debug("job %s is not recovered (%s)", job.id, error)

    async def _let_attend(self, manager: JobManager, account_sid: str, now: float) -> None:
        """Let one worker count who has joined, however many look."""
        at = int(now // LOOK_EVERY * LOOK_EVERY)
        job = Job(
            queue=self._queues[account_sid],
            lock=None,
            queueing_lock=f"conference_async/attend/{account_sid}",
            priority=_FIRST,
            task_name=f"{_OURS}attend/{account_sid}",
            task_kwargs={"timestamp": at},
        )
        with suppress(AlreadyEnqueued):
            await manager.defer_periodic_job(job, periodic_id="", defer_timestamp=at)


async def wake(session: Session, account_sid: str, *, handed_on: int = 0) -> None:
    """Let a worker of an account look for targets to call, if none is about to.

    Args:
        session: Where the ledgers are.
        account_sid: The account.
        handed_on: How often a worker found itself at it already: the more often, the later.

    Raises:
        LedgerError: The server cannot be used.
    """
    manager = App(connector=PsycopgConnector()).job_manager
    job = Job(
        queue=queue_of(account_sid),
        lock=None,
        queueing_lock=f"conference_async/turn/{account_sid}",
        task_name=f"{_OURS}turn/{account_sid}",
        task_kwargs={"handed_on": handed_on},
    )
    delay = timedelta(seconds=min(handed_on, _HANDED_ON)) if handed_on else None

    async def work(connection: AsyncConnection[DictRow]) -> None:
        """Make the job; there is never more than one that waits."""
        asked = await connection.execute(_TO_MAKE, (delay, job.queueing_lock))
        row = await asked.fetchone()
        if row is None:
            return
        with suppress(AlreadyEnqueued):
            await manager.batch_defer_jobs_async(
                jobs=[job.evolve(scheduled_at=row["at"])], connection=connection
            )

    await session.run(work)


@contextmanager
def _logged(what: str) -> Generator[None]:
    """Let a failure wait for the next time, which comes soon."""
    try:
        yield
    except (LedgerError, Error, ProcrastinateException) as error:
        _log.warning(
            "%s could not be looked up: %s",
            what,
            said_of(error),
            extra={"event": "worker.look_failed"},
        )
