"""Jobs for the targets of shared campaigns: how they are made, done, put off and recovered."""

import asyncio
import logging
import math
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from procrastinate import App, Blueprint, JobContext, RetryDecision
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.retry import BaseRetryStrategy
from psycopg import AsyncConnection, Error
from psycopg.rows import DictRow, dict_row

from conference_async.client import ConferenceClient
from conference_async.cluster.assignments import Assignment, assignment
from conference_async.cluster.campaigns import CALL, Standing, dry, jobless, stand
from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.cluster.postgres_session import Session, failed
from conference_async.cluster.quorums import attend
from conference_async.dialer.execution import Executor
from conference_async.dialer.ledger import Outcome, State
from conference_async.errors import ConferenceError, LedgerError, NotAuthorized
from conference_async.masking import mask

RECOVERY = "* * * * * */5"
"""When workers look for jobs of dead ones: every 5 seconds, which the last field counts."""

_PAUSE = 5.0
_LONGEST_DELAY = 60.0
_PAGE = 500
_FIRST = 1_000_000
_log = logging.getLogger("conference_async.cluster")


class NotNow(Exception):
    """The job is to be done again later.

    Attributes:
        delay: Seconds until then.
    """

    def __init__(self, why: str, delay: float) -> None:
        super().__init__(why)
        self.delay = delay


class _Again(BaseRetryStrategy):
    """Whatever happens to a job, it is done again: the ledger says when a target is done with."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:  # noqa: ARG002 -- the base's signature
        delay = exception.delay if isinstance(exception, NotNow) else _LONGEST_DELAY
        return RetryDecision(retry_in={"seconds": math.ceil(delay)})


def queue_of(account_sid: str) -> str:
    """Return the queue of an account's jobs: workers of other accounts do not see them."""
    return f"dial/{account_sid}"  # with more, the queue's notifications would be too long


class Caller:
    """Does the jobs of one worker.

    Args:
        client: What calls.
        session: Where the ledgers are.
        stalled: Seconds after which a worker that gives no sign of life is taken for dead.
    """

    def __init__(self, client: ConferenceClient, session: Session, *, stalled: float) -> None:
        self.queue = queue_of(client.account_sid)
        self._client = client
        self._session = session
        self._stalled = stalled
        self._stopping = False
        self._in_line: set[asyncio.Task[object]] = set()

    def tasks(self) -> Blueprint:
        """Return the tasks, to be added to an app under the namespace ``conference_async``."""
        blueprint, queue = Blueprint(), self.queue

        @blueprint.task(name="call", queue=queue, retry=_Again(), pass_context=True)
        async def call(context: JobContext, *, ledger: str, number: int) -> None:  # noqa: ARG001 -- the ledger is there for those who look for its jobs
            await self.call(number, context.job.attempts)

        @blueprint.periodic(cron=RECOVERY)
        @blueprint.task(
            name=f"recover/{self._client.account_sid}",
            queue=queue,
            queueing_lock=f"conference_async/recover/{self._client.account_sid}",
            priority=_FIRST,
            pass_context=True,
        )
        async def recover(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 -- what periodic tasks are given
            with _logged("what dead workers left"):
                await self.recover(context.app)

        @blueprint.periodic(cron=RECOVERY)
        @blueprint.task(
            name=f"attend/{self._client.account_sid}",
            queue=queue,
            queueing_lock=f"conference_async/attend/{self._client.account_sid}",
            priority=_FIRST,
        )
        async def look(timestamp: int) -> None:  # noqa: ARG001 -- what periodic tasks are given
            with _logged("whether enough have joined"):
                await attend(self._client, self._session)

        _ = call, recover, look
        return blueprint

    def stop(self) -> None:
        """Hand back the jobs that wait for a slot, and take no more on."""
        self._stopping = True
        for task in list(self._in_line):
            task.cancel()

    async def call(self, number: int, attempts: int) -> None:
        """Do what is to be done for one target.

        Args:
            number: The target's, in the ledger.
            attempts: How often its job was put off.

        Raises:
            NotNow: It is not done.
        """
        if self._stopping:
            raise NotNow("the worker stops", 0)
        found = await assignment(self._session, number)
        if found is None:
            return
        if found.standing is Standing.PAUSED:
            raise NotNow("the campaign is paused", _PAUSE)
        try:
            outcome = await self._done(found)
        except NotAuthorized as error:
            await stand(self._session, found.ledger, Standing.PAUSED, str(error))
            _log.error("the campaign %r is paused: %s", found.ledger, error)
            raise NotNow("the campaign is paused", _PAUSE) from error
        except LedgerError as error:
            raise NotNow(str(error), _PAUSE) from error
        except ConferenceError as error:
            raise NotNow(str(error), _LONGEST_DELAY) from error
        left = found.standing is Standing.ENDED or found.request is None
        if outcome.state is State.SENDING or (outcome.state is State.PLANNED and not left):
            raise NotNow(str(outcome.reason), min(_LONGEST_DELAY, 2.0 ** min(attempts, 10)))

    async def _done(self, found: Assignment) -> Outcome:
        now = datetime.now(UTC)
        ledger = PostgresLedger.on(self._session, found.ledger)
        executor = Executor(client=self._client, ledger=ledger, clock=lambda: datetime.now(UTC))
        match found.outcome.state:
            case State.SENDING:
                return await self._look_up(executor, found)
            case State.PLANNED if found.standing is Standing.CANCELLED:
                skipped = found.outcome.skipped("the campaign was cancelled", now)
                await executor.swap(found.outcome, skipped)
                return skipped
            case _ if not found.callable:
                return found.outcome
            case _:
                return await self._call_in_hours(executor, found)

    async def _look_up(self, executor: Executor, found: Assignment) -> Outcome:
        if found.quiet < self._stalled:
            raise NotNow("another worker may be at it", self._stalled - found.quiet + 1)
        outcome, _ = await executor.look_up(found.outcome)
        return outcome

    async def _call_in_hours(self, executor: Executor, found: Assignment) -> Outcome:
        wait, reason = found.wait()
        if wait == math.inf:
            skipped = found.outcome.skipped(reason, found.now)
            await executor.swap(found.outcome, skipped)
            return skipped
        if wait:
            raise NotNow(reason, wait)
        return await self._call(executor, found)

    async def _call(self, executor: Executor, found: Assignment) -> Outcome:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def leaving() -> None:
            self._in_line.discard(task)
            wait, reason = found.wait(loop.time() - began)
            if wait:  # the hour passed while it stood in line
                raise NotNow(reason, min(wait, _LONGEST_DELAY))

        task = asyncio.create_task(executor.call(found.outcome, found.new, leaving))
        self._in_line.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._in_line.discard(task)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise NotNow("the worker stops", 0)
        return task.result()[0]

    async def recover(self, app: App) -> None:
        """Let the jobs of dead workers be done by others, and make those that are missing."""
        account_sid, manager = self._client.account_sid, app.job_manager
        stalled = await manager.get_stalled_jobs(
            queue=self.queue, seconds_since_heartbeat=self._stalled
        )
        for job in stalled:
            try:
                await manager.retry_job(job)
            except ProcrastinateException as error:
                _log.debug("job %s is not recovered (%s)", job.id, error)
        for ledger in await dry(self._session, account_sid):
            await enqueue(self._session.dsn, ledger)


async def enqueue(dsn: str, ledger: str, after: int = 0) -> tuple[int, int]:
    """Make a job for each target that is to be called and has none.

    Args:
        dsn: The database.
        ledger: The campaign's ledger in it.
        after: Only targets with a higher number than this.

    Returns:
        How many were made, and the highest number of those that were looked at.

    Raises:
        LedgerError: The server cannot be used.
    """
    made = 0
    manager = App(connector=PsycopgConnector()).job_manager
    with ledger_errors():
        async with await AsyncConnection[DictRow].connect(
            dsn, autocommit=True, prepare_threshold=None, row_factory=dict_row
        ) as connection:
            while True:
                async with connection.transaction():
                    rows = await jobless(connection, ledger, after, _PAGE)
                    if rows:
                        jobs = [job_for(ledger, row) for row in rows]
                        await manager.batch_defer_jobs_async(jobs=jobs, connection=connection)
                if not rows:
                    return made, after
                made, after = made + len(rows), rows[-1]["number"]


def job_for(ledger: str, row: DictRow, *, at: datetime | None = None) -> Job:
    """Return the job of one target, of which there is never more than one that waits.

    Args:
        ledger: The campaign's ledger.
        row: The target's number, and its campaign's account and priority.
        at: When it is to be done; now if not given.
    """
    return Job(
        scheduled_at=at,
        queue=queue_of(row["account_sid"]),
        priority=row["priority"],
        lock=None,
        queueing_lock=f"conference_async/{row['number']}",
        task_name=CALL,
        task_kwargs={"ledger": ledger, "number": row["number"]},
    )


@contextmanager
def _logged(what: str) -> Generator[None]:
    """Let a failure wait for the next time, which comes soon."""
    try:
        yield
    except (LedgerError, Error, ProcrastinateException) as error:
        _log.warning("%s could not be looked up: %s", what, mask(str(error)))


@contextmanager
def ledger_errors() -> Generator[None]:
    """Let what the driver or the queue raises reach the caller as a `LedgerError`."""
    try:
        yield
    except (Error, ProcrastinateException, OSError) as error:
        raise failed(error.__cause__ or error) from error


def app_on(dsn: str) -> App:
    """Return an app of our own on a database."""
    return App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=4))
