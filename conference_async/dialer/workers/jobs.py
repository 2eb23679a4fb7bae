"""Jobs for workers: a turn at an account's campaigns, and what is looked after every few seconds.

Jobs are few, and only wake workers: what is to be done stands in the ledgers. One that is lost is
made again, and one too many finds nothing to do.
"""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta

from procrastinate import App, Blueprint, JobContext
from procrastinate.exceptions import AlreadyEnqueued, ProcrastinateException
from procrastinate.jobs import Job, Status
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg import AsyncConnection, Error
from psycopg.rows import DictRow

from conference_async.client import ConferenceClient
from conference_async.dialer.workers.attending import Heard, attend
from conference_async.dialer.workers.claims import Claims
from conference_async.dialer.workers.pulse import Pulse
from conference_async.dialer.workers.turns import Turn
from conference_async.errors import ConfigurationError, LedgerError
from conference_async.postgres.session import Session
from conference_async.privacy import one_line

RECOVERY = "* * * * * */5"
"""When workers look after what dead ones held: every 5 seconds, which the last field counts."""

AT_ONCE = 4
"""Jobs that a worker does at a time: a turn, another that finds this one, and the two that look."""

_OURS = "conference_async:"
_HANDED_ON = 5
"""Seconds after which, at most, a turn that one worker has no use for is offered again."""

_FIRST = 1_000_000
_log = logging.getLogger("conference_async.dialer")


def queue_of(account_sid: str) -> str:
    """Return the queue of an account's jobs: workers of other accounts do not see them."""
    return f"dial/{account_sid}"  # with more, the queue's notifications would be too long


class Caller:
    """Does the jobs of one worker.

    Args:
        client: What calls.
        session: Where the ledgers are.
        stalled: Seconds after which a worker that gives no sign of life is taken for dead.
        concurrency: How many targets it has in hand at most.
    """

    def __init__(
        self, client: ConferenceClient, session: Session, *, stalled: float, concurrency: int
    ) -> None:
        self.queue: str = queue_of(client.account_sid)
        self._client = client
        self._session = session
        self._stalled = stalled
        self._concurrency = concurrency
        self._claims = Claims(session, client.account_sid, stalled=stalled)
        self._heard: Heard = {}
        self._stopping = False
        self._turn: Turn | None = None
        self.pulse: Pulse = Pulse(client, lambda: self._turn.in_hand if self._turn else 0)
        self.refusal: ConfigurationError | None = None
        """Why this worker can do nothing, now or later; None as far as is known."""
        self.refused: asyncio.Event = asyncio.Event()
        """Set when that is known."""

    def tasks(self) -> Blueprint:
        """Return the tasks, to be added to an app under the namespace ``conference_async``."""
        blueprint, queue, account_sid = Blueprint(), self.queue, self._client.account_sid

        @blueprint.task(name=f"turn/{account_sid}", queue=queue, pass_context=True)
        async def turn(context: JobContext, handed_on: int = 0) -> None:
            """Call targets as long as there are any."""
            with self._heeded("whom to call"):
                await self.turn(context.job.worker_id or 0, handed_on)

        @blueprint.task(name="call", queue=queue)
        async def call(ledger: str, number: int) -> None:
            """Do nothing: a version with a job for every target left it, and rows say the rest."""

        @blueprint.periodic(cron=RECOVERY)
        @blueprint.task(
            name=f"recover/{account_sid}",
            queue=queue,
            queueing_lock=f"conference_async/recover/{account_sid}",
            priority=_FIRST,
            pass_context=True,
        )
        async def recover(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 -- what periodic tasks are given
            """Take up what dead workers held."""
            with self._heeded("what dead workers left"):
                await self.recover(context.app)

        @blueprint.periodic(cron=RECOVERY)
        @blueprint.task(
            name=f"attend/{account_sid}",
            queue=queue,
            queueing_lock=f"conference_async/attend/{account_sid}",
            priority=_FIRST,
        )
        async def look(timestamp: int) -> None:  # noqa: ARG001 -- what periodic tasks are given
            """End the campaigns whose quorum has joined."""
            with self._heeded("whether enough have joined"):
                await attend(self._client, self._session, self._heard)

        _ = turn, call, recover, look
        return blueprint

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
        if self._turn is not None:
            self._turn.stop()

    def abandon(self) -> int:
        """Leave what is under way for others to look up; return how many calls that are."""
        return 0 if self._turn is None else self._turn.abandon()

    async def turn(self, worker: int, handed_on: int = 0) -> None:
        """Call targets until there are none to be called now; one turn at a time.

        Args:
            worker: The worker that does it, by its number in the queue.
            handed_on: How often the turn was handed on, since its worker was at it already.

        Raises:
            LedgerError: The server cannot be used.
        """
        if self._turn is not None and not self._stopping:
            await self._wake(handed_on + 1)
            return
        if not self._stopping:
            self._turn = Turn(
                self._client,
                self._session,
                self._claims,
                worker=worker,
                concurrency=self._concurrency,
                invite=self._wake,
                tell=self.pulse.note,
            )
            _log.info("a turn begins", extra={"event": "turn.began"})
            try:
                await self._turn.run()
            finally:
                self._turn = None
                _log.info("the turn is over", extra={"event": "turn.ended"})
        if self._stopping:
            await self._wake()

    async def _wake(self, handed_on: int = 0) -> None:
        await wake(self._session, self._client.account_sid, handed_on=handed_on)

    async def recover(self, app: App) -> None:
        """Let others have what dead workers held, and wake one if there is something to do.

        Raises:
            LedgerError: The server cannot be used.
            procrastinate.exceptions.ProcrastinateException: The queue cannot.
        """
        manager = app.job_manager
        stalled = await manager.get_stalled_jobs(
            queue=self.queue, seconds_since_heartbeat=self._stalled
        )
        for job in stalled:
            try:
                if job.task_name.startswith(_OURS):
                    await manager.finish_job(job, status=Status.FAILED, delete_job=True)
                else:
                    await manager.retry_job(job)
            except ProcrastinateException as error:
                _log.debug("job %s is not recovered (%s)", job.id, error)
        if await self._claims.recover():
            await self._wake()


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
    delay = timedelta(seconds=min(handed_on, _HANDED_ON))

    async def work(connection: AsyncConnection[DictRow]) -> None:
        """Make the job; there is never more than one that waits."""
        at = None
        if delay:  # by the server's clock, which the queue goes by
            row = await (await connection.execute("SELECT now() + %s AS at", (delay,))).fetchone()
            at = row and row["at"]
        with suppress(AlreadyEnqueued):
            await manager.batch_defer_jobs_async(
                jobs=[job.evolve(scheduled_at=at)], connection=connection
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
            one_line(str(error)),
            extra={"event": "worker.look_failed"},
        )
