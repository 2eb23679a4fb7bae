"""One campaign on many machines: plans are submitted to a database, and workers dial them."""

import asyncio
import logging
import math
from collections.abc import Iterable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Self

from conference_async.client import ConferenceClient
from conference_async.cluster.ledger_tables import make_tables
from conference_async.cluster.ledgers import split_name
from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.cluster.postgres_session import Session
from conference_async.dialer.hours import CallingHours
from conference_async.dialer.plan import Plan
from conference_async.dialer.policy import Policy, Quorum, addresses
from conference_async.errors import ConfigurationError
from conference_async.limits import CreateLimit

if TYPE_CHECKING:
    from procrastinate import App, Blueprint

    from conference_async.cluster.jobs import Caller

HEARTBEAT = 2.0
"""Seconds between two signs of life of a worker."""

STALLED = 10.0
"""Seconds without one after which a worker is taken for dead."""

RECOVERED_WITHIN = 20.0
"""Seconds after which, at the latest, what a dead worker had in hand is in the queue again, as
long as another worker and the server are alive."""

EMBEDDED_STALLED = 45.0
"""As `STALLED`, for a worker of your own app, whose signs of life come every 10 seconds."""

_FIRST_BACK_OFF = 0.25
_LONGEST_BACK_OFF = 2.0
_log = logging.getLogger("conference_async.cluster")


class ClusterDialer:
    """Submits plans to a PostgreSQL, and works them off together with others.

    Example::

        limit = PostgresLimit(dsn, cps=10, account=account_sid)
        async with ConferenceClient(limit=limit) as client:
            async with ClusterDialer(client, dsn) as dialer:
                await dialer.submit(Plan.from_csv("people.csv", conference="standup"))
                await dialer.work()  # here, and on any other machine

    What it promises:

    * **Nobody is rung twice.** The queue may hand a target to two workers; the ledger lets one of
      them call. A target found half-way is looked up by its label, never simply called again.
    * **Nobody is lost.** The ledger decides what is to be done, and missing jobs are made again
      from it. What a killed worker had in hand is taken over within `RECOVERED_WITHIN` seconds
      (20) by any other; what it was just sending is looked up, and ``unknown`` if not found.
    * **One pace**, if every worker's client shares a limit, such as a `PostgresLimit` on the same
      database. A limit of its own per worker would multiply the pace; that is logged.
    * While the server is gone nobody is called; workers come back by themselves, unless it takes
      longer than a minute for a write that must be made.

    `SharedCampaign` pauses, resumes and cancels a campaign; `PostgresLedger` reads it, also for a
    `Report`.

    It does not promise an order. Nobody is called again because a call did not reach them, unless
    `SharedCampaign.call_again` says so.

    A worker needs about seven connections. The rows hold phone numbers and whole requests, SIP
    passwords included: guard the database accordingly.

    Args:
        client: What calls, for workers; submitting only asks it for the account.
        dsn: A connection string or URL as libpq reads them.
        concurrency: How many targets this worker has in hand; 10 and two seconds' worth of calls
            if not given.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, the string is not one, or
            `concurrency` is less than 1.
    """

    def __init__(
        self, client: ConferenceClient, dsn: str, *, concurrency: int | None = None
    ) -> None:
        dsn, _ = split_name(dsn)
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError(f"concurrency must be 1 or more, not {concurrency!r}")
        self._session = Session(dsn, greet=None)
        _check_queue()
        self._client = client
        self._dsn = dsn
        self._concurrency = concurrency or 10 + 2 * math.ceil(min(client.limit.cps, 30))
        self._stop = asyncio.Event()
        self._working = False

    @staticmethod
    async def set_up(dsn: str) -> None:
        """Make the tables that are not there yet: ours and the queue's. It can be repeated.

        Raises:
            ConfigurationError: The extra ``cluster`` is not installed, or the string is not one.
            LedgerError: The server cannot be reached, or does not let us make tables.
        """
        dsn, _ = split_name(dsn)
        session = Session(dsn, greet=None)
        _check_queue()
        from conference_async.cluster.queue_schema import make_queue

        await session.open()
        try:
            await session.run(make_tables)
            await session.run(make_queue)
        finally:
            await session.aclose()

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.aclose()

    async def submit(
        self,
        plan: Plan,
        *,
        name: str | None = None,
        priority: int = 0,
        redial_unknown: bool = False,
        do_not_call: Iterable[str] = (),
        deadline: float | None = None,
        hours: CallingHours | None = None,
        quorum: Quorum | None = None,
    ) -> int:
        """Let workers call the targets of a plan; return how many jobs were made.

        A second submit of the same plan makes none, whoever submits it; one of a plan that has
        grown makes those that are new; one after a crash makes those that are missing. What is
        said here goes for the whole campaign, and for all who were not called yet, until it is
        submitted again. Calls may start before it returns.

        Args:
            plan: What to call. Bad rows are refused before anybody is called.
            name: The ledger's name in the database; the plan's if not given.
            priority: Jobs of a higher one go first.
            redial_unknown: Whether targets whose outcome stayed unknown are called again, with
                the same label. **It can ring a phone twice**, if the first call is already over.
            do_not_call: Addresses to skip, as for a `Dialer`. Numbers that are listed later are
                skipped once the plan is submitted again.
            deadline: Seconds from now after which no more calls are started, by the server's
                clock. The campaign is ``ended`` then, and what is left stays planned; resuming it
                or submitting it again goes on.
            hours: When targets may be called, in their own time zones. Others wait in the
                database, for days if need be, and are skipped if their time never comes or comes
                after the deadline.
            quorum: When enough have joined. Workers look every 5 seconds, whatever its `poll`
                says; its `deadline` counts from now, and is one for the whole campaign.

        Raises:
            ConfigurationError: The plan cannot be read, a setting is out of bounds, an entry of
                `do_not_call` is no address, or `quorum` counts by a function of yours, which
                workers do not have.
            InvalidParameter: The plan has bad rows; nobody was called.
            LedgerError: The ledger is another campaign's or in use by a `Dialer`, the campaign
                was cancelled, or the server cannot be used (see `set_up`).
        """
        from conference_async.cluster.submission import submit

        policy = Policy(
            deadline=deadline,
            redial_unknown=redial_unknown,
            do_not_call=addresses(do_not_call),
            hours=hours,
            quorum=quorum,
        )
        ledger = PostgresLedger(self._dsn, name=name or plan.name, shared=True)
        account = self._client.account_sid
        return await submit(plan, ledger, account_sid=account, priority=priority, policy=policy)

    def tasks(self, *, stalled: float = EMBEDDED_STALLED) -> "Blueprint":
        """Return the tasks for a procrastinate app of your own.

        Add them before its workers run, in every process that has workers, and keep this object
        open as long as they run::

            app.add_tasks_from(dialer.tasks(), namespace="conference_async")

        Its workers have to serve the queue ``dial/<account SID>``. To come back
        after the server was gone is up to whoever runs them.

        Args:
            stalled: Seconds without a sign of life after which a worker is taken for dead: at
                least four times the ``update_heartbeat_interval`` of your workers.
        """
        from conference_async.cluster.jobs import Caller

        return Caller(self._client, self._session, stalled=stalled).tasks()

    async def work(self) -> None:
        """Call the targets of all campaigns of the account, until `stop`.

        A server that goes away is waited for, for ever. Cancelling is as good as stopping: calls
        that are under way are finished and written down first.

        Raises:
            ConfigurationError: It works already.
            LedgerError: The server cannot be reached at the start, or was not set up.
        """
        if self._working:
            raise ConfigurationError("this dialler works already; make another one")
        from conference_async.cluster.jobs import Caller, app_on, ledger_errors
        from conference_async.cluster.queue_schema import check_queue

        _check_limit(self._client)
        await self._session.run(check_queue, patience=0)
        self._working = True
        caller = Caller(self._client, self._session, stalled=STALLED)
        try:
            app = app_on(self._dsn)
            app.add_tasks_from(caller.tasks(), namespace="conference_async")
            with ledger_errors():
                async with app.open_async():
                    await self._supervise(app, caller, self._stop)
        finally:
            self._working = False
            self._stop.clear()

    async def _supervise(self, app: "App", caller: "Caller", stop: asyncio.Event) -> None:
        """Run a worker, and another when it ends by itself, as it does when the server is gone."""
        loop, back_off = asyncio.get_running_loop(), _FIRST_BACK_OFF
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                began = loop.time()
                worker = asyncio.create_task(self._run_worker(app, caller.queue))
                try:
                    await asyncio.wait({worker, stopped}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not worker.done():
                        caller.stop()
                        worker.cancel()
                        await asyncio.wait({worker})
                if stop.is_set():
                    return
                why = worker.exception() or "it lost its connection"
                _log.warning("the worker ended (%s), and begins again", why)
                back_off = (
                    min(_LONGEST_BACK_OFF, 2 * back_off)
                    if loop.time() - began < STALLED
                    else _FIRST_BACK_OFF
                )
                await asyncio.wait({stopped}, timeout=back_off)
        finally:
            stopped.cancel()

    async def _run_worker(self, app: "App", queue: str) -> None:
        await app.run_worker_async(
            queues=[queue],
            concurrency=self._concurrency,
            fetch_job_polling_interval=1.0,
            update_heartbeat_interval=HEARTBEAT,
            stalled_worker_timeout=STALLED,
            delete_jobs="successful",
            install_signal_handlers=False,
        )

    def stop(self) -> None:
        """End `work` in good order: calls under way are finished, what waits goes to others."""
        self._stop.set()

    def __repr__(self) -> str:
        return f"<ClusterDialer {'at work' if self._working else 'idle'}>"


def _check_queue() -> None:
    if find_spec("procrastinate") is None:
        raise ConfigurationError(
            "ClusterDialer needs procrastinate: pip install conference-async[cluster]"
        )


def _check_limit(client: ConferenceClient) -> None:
    if isinstance(client.limit, CreateLimit):
        _log.warning(
            "this worker keeps a pace of its own, %g per second, beside those of the others; give "
            "its client a limit that they share, such as PostgresLimit",
            client.limit.cps,
        )
