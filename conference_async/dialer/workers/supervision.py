"""A worker that is kept at work: begun again if it ends by itself, and over in time when told."""

import asyncio
import logging
from typing import cast

from procrastinate import App

from conference_async.backoff import Backoff
from conference_async.dialer.workers.jobs import AT_ONCE, Caller
from conference_async.dialer.workers.queue_connections import QueueConnections, said_of
from conference_async.dialer.workers.queue_schema import QUEUE, check_queue
from conference_async.errors import ConfigurationError
from conference_async.postgres.refusals import never
from conference_async.postgres.session import Session

STOPPED_WITHIN = 25.0
"""Seconds within which a worker that is stopped has ended, whatever does not answer."""

FINISHING = 10.0
"""Seconds for what is under way when it is stopped; then it is left, for others to look up."""

LEAVING = 3.0
"""Seconds for what is left to notice that it is."""

POLL = 5.0
"""Seconds between two looks for jobs whose time has come; all others are notified of."""

_TICK = 1.0
_BACKOFF = Backoff(0.25, 2.0)
_log = logging.getLogger("conference_async.dialer")


class Supervisor:
    """Runs one worker of the queue after the other, until it is stopped.

    Args:
        caller: What does the worker's jobs.
        session: Where the ledgers are.
        heartbeat: Seconds between two signs of life.
        stalled: Seconds without one after which a worker is taken for dead.
        direct: As for `QueueConnections`.
    """

    def __init__(
        self,
        caller: Caller,
        session: Session,
        *,
        heartbeat: float,
        stalled: float,
        direct: str | None = None,
    ) -> None:
        self._caller = caller
        self._session = session
        self._heartbeat = heartbeat
        self._stalled = stalled
        self._direct = direct
        self._connections = QueueConnections()

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop` is set.

        Returns:
            How many calls were under way, and left so, since what they wait for did not answer.

        Raises:
            ConfigurationError: The database can never be worked with as things are.
        """
        loop, failures = asyncio.get_running_loop(), 0
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                began = loop.time()
                worker = asyncio.create_task(self._work())
                frozen = asyncio.create_task(_frozen(self._stalled))
                refused = asyncio.create_task(self._caller.refused.wait())
                ends = {worker, stopped, frozen, refused}
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    frozen.cancel()
                    refused.cancel()
                    left = await self._end(worker, for_good=not frozen.done())
                if stop.is_set():
                    return left
                if (refusal := self._caller.refusal or _refusal(worker)) is not None:
                    raise refusal
                if not frozen.done() or frozen.cancelled():
                    _log.warning(
                        "the worker ended (%s), and begins again",
                        _why(worker),
                        extra={"event": "worker.restarted"},
                    )
                failures = failures + 1 if loop.time() - began < self._stalled else 1
                await asyncio.wait({stopped}, timeout=_BACKOFF.delay(failures))
        finally:
            stopped.cancel()
        return 0

    async def _work(self) -> None:
        """Run a worker on connections of its own: the last one's may lead to a server that is over.

        Such a server may answer and write nothing, and its connections would stay in the pool.
        """
        await self._session.run(check_queue, patience=0)
        self._connections = QueueConnections(self._direct)
        this = cast("asyncio.Task[None]", asyncio.current_task())
        app = self._connections.app_on(self._session.dsn, lost=this.cancel)
        app.add_tasks_from(self._caller.tasks(), namespace="conference_async")
        async with app.open_async():
            looking = asyncio.create_task(self._caller.keep_looking(app))
            try:
                await self._run(app)
            finally:
                looking.cancel()

    async def _run(self, app: App) -> None:
        queues = self._caller.queues
        await app.run_worker_async(
            queues=queues,
            concurrency=AT_ONCE * len(queues),
            fetch_job_polling_interval=POLL,
            update_heartbeat_interval=self._heartbeat,
            stalled_worker_timeout=self._stalled,
            # A turn does not end by itself: it is cancelled, and finishes its calls.
            shutdown_graceful_timeout=0,
            delete_jobs="successful",
            install_signal_handlers=False,
        )

    async def _end(self, worker: "asyncio.Task[None]", *, for_good: bool) -> int:
        """End a worker, if it has not ended; return how many calls had to be left."""
        if worker.done():
            return 0
        if for_good:
            self._caller.stop()
        worker.cancel()
        await asyncio.wait({worker}, timeout=FINISHING if for_good else None)
        if worker.done():
            return 0
        _log.warning(
            "what does not answer is not waited for any longer", extra={"event": "worker.leaving"}
        )
        left = self._caller.abandon()
        self._session.abandon()
        self._connections.hang_up()
        await asyncio.wait({worker}, timeout=LEAVING)
        return left


async def _frozen(longest: float) -> None:
    """Return once this process did not run for longer than so many seconds, and say so."""
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(_TICK)
        late = loop.time() - before - _TICK
        if late > longest:
            _log.warning(
                "this worker did not run for %.0f s: others have what it had in hand, and it "
                "begins again",
                late,
                extra={"event": "worker.frozen", "seconds": late},
            )
            return


def _refusal(worker: "asyncio.Task[None]") -> ConfigurationError | None:
    error = worker.exception() if worker.done() and not worker.cancelled() else None
    if error is None or isinstance(error, ConfigurationError):
        return error
    return never(error.__cause__ or error, QUEUE.purpose)


def _why(worker: "asyncio.Task[None]") -> str:
    error = None if worker.cancelled() else worker.exception()
    return "it lost its connection" if error is None else said_of(error)
