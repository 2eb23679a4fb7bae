"""One campaign on many machines: plans are submitted to a database, and workers dial them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from conference_async.bounds import check_count, check_seconds
from conference_async.client import ConferenceClient
from conference_async.dialer.ledger.place import split_name
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.plan.plan import Plan, check_plan
from conference_async.dialer.rules.contact_rules import NO_RULES
from conference_async.dialer.rules.wishes import Wishes, addresses
from conference_async.dialer.workers.accounts import Accounts, know, opened
from conference_async.dialer.workers.options import SubmitOptions, refuse_unknown
from conference_async.dialer.workers.readiness import asked
from conference_async.errors import ConfigurationError
from conference_async.postgres.dsn import check_dsn
from conference_async.postgres.session import Session

if TYPE_CHECKING:
    from procrastinate import Blueprint

    from conference_async.dialer.workers.jobs import Caller
    from conference_async.dialer.workers.submission import Submission

HEARTBEAT = 2.5
"""Seconds between two signs of life of a worker."""

STALLED = 10.0
"""Seconds without one after which a worker is taken for dead."""

RECOVERED_WITHIN = 20.0
"""Seconds after which, at the latest, what a dead worker had in hand is taken over, as long as
another worker and the server are alive."""

EMBEDDED_STALLED = 45.0
"""As `STALLED`, for a worker of your own app, whose signs of life come every 10 seconds."""

_UPGRADING = 3600.0
"""Seconds that an index on tables of many millions may take."""


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
    * **Nobody is lost.** The ledger's rows are what is to be done; workers claim a few at a time.
      What a killed worker had in hand is taken over within `RECOVERED_WITHIN` seconds (20) by any
      other; what it was just sending is looked up, and ``unknown`` if not found.
    * **Nobody waits for a million others.** Campaigns of a higher priority go first, and those of
      the same take turns, target by target.
    * **One pace**, if every worker's client shares a limit, such as a `PostgresLimit` on the same
      database. A limit of its own per worker would multiply the pace; that is logged.
    * While the server is gone nobody is called; workers come back by themselves, unless it takes
      longer than a minute for a write that must be made.

    `SharedCampaign` pauses, resumes and cancels a campaign; `PostgresLedger` reads it, also for a
    `Report`.

    It does not promise an order. Nobody is called again because a call did not reach them, unless
    `SharedCampaign.call_again` says so.

    **Many accounts** are served by one worker that is given an async generator function instead of
    a client. `work` asks it once, for one client per account, each with a limit of its account::

        async def accounts():
            for credentials in mine:
                limit = PostgresLimit(dsn, cps=5, account=credentials.account_sid)
                yield ConferenceClient(credentials, limit=limit)


        async with ClusterDialer(accounts, dsn) as dialer:
            await dialer.work()

    When `work` ends it has closed what was yielded: the clients, and those of their limits that
    can be closed. An account that the service refuses pauses its own campaigns, and no others.

    A worker needs about seven connections, ten at most, however many accounts it serves. The rows
    hold phone numbers and whole requests, SIP passwords included: guard the database accordingly.

    Args:
        client: What calls, for workers; submitting only asks it for the account. A function that
            yields clients makes a worker of many accounts, which cannot submit.
        dsn: A connection string or URL as libpq reads them.
        concurrency: How many targets of an account this worker has in hand; 10 and two seconds'
            worth of calls if not given.
        direct: A connection string that leads to the same database past a pooler, for
            notifications. Where they do not come through, workers look for jobs every second.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, the string is not one,
            `concurrency` is less than 1, or `client` is none and yields none.
    """

    def __init__(
        self,
        client: ConferenceClient | Accounts,
        dsn: str,
        *,
        concurrency: int | None = None,
        direct: str | None = None,
    ) -> None:
        if not isinstance(client, ConferenceClient) and not callable(client):
            raise ConfigurationError(
                "a ClusterDialer dials with a ConferenceClient, or those of an async generator "
                f"function, not with {type(client).__name__}"
            )
        dsn, _ = split_name(dsn)
        if concurrency is not None:
            check_count("concurrency", concurrency)
        if direct is not None:
            check_dsn(direct, "ClusterDialer")
        self._session = Session(dsn, greet=None)
        _check_queue()
        self._given = client
        self._dsn = dsn
        self._direct = direct
        self._known = AsyncExitStack()
        self._concurrency = concurrency
        self._stop = asyncio.Event()
        self._working = False
        self._embedded: list[Caller] = []

    @staticmethod
    async def set_up(dsn: str, *, grant_to: str | None = None) -> None:
        """Make the tables that are not there yet: ours, of all stores, and the queue's.

        It can be repeated, and nothing else makes or changes tables. Ours of an older version are
        brought up to date in place, and keep what they hold; workers of that version may go on
        meanwhile.

        Args:
            dsn: A connection string or URL, of a role that may make tables.
            grant_to: A role that is to read and write rows, and no more: that of your workers.

        Raises:
            ConfigurationError: The extra ``cluster`` is not installed, the string is not one, or
                the server does not let us make tables.
            LedgerError: The server cannot be reached.
        """
        dsn, _ = split_name(dsn)
        session = Session(dsn, greet=None, silence=_UPGRADING)
        _check_queue()
        from conference_async.dialer.workers.set_up import make_all

        await session.open()
        try:
            await session.run(partial(make_all, grant_to=grant_to))
        finally:
            await session.aclose()

    @staticmethod
    def set_up_sql(grant_to: str | None = None) -> str:
        """Return what `set_up` does as SQL, for somebody else to look at and to run.

        Args:
            grant_to: As for `set_up`.

        Raises:
            ConfigurationError: The extra ``cluster`` is not installed.
        """
        _check_queue()
        from conference_async.dialer.workers.set_up import whole_sql

        return whole_sql(grant_to)

    async def __aenter__(self) -> Self:
        await self._session.open()
        if isinstance(self._given, ConferenceClient):
            know(self._given, self._session, self._known)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._known.aclose()
        await self._session.aclose()

    @property
    def _client(self) -> ConferenceClient:
        """The client that was given.

        Raises:
            ConfigurationError: It was a function that yields many.
        """
        if not isinstance(self._given, ConferenceClient):
            raise ConfigurationError(
                "this dialler works for many accounts; for this, make one with a client of the "
                "account that is meant"
            )
        return self._given

    async def submit(
        self, plan: Plan, *, name: str | None = None, **options: Unpack[SubmitOptions]
    ) -> int:
        """Let workers call the targets of a plan; return how many are to be called from now on.

        A second submit of the same plan returns 0, whoever submits it; one of a plan that has
        changed follows it. Targets that are new are called. Those that are in it no more are
        skipped unless they were called already. What is said here goes for the whole campaign,
        and for all not called yet, until it is submitted again. Where a plan is spread over rooms,
        people keep theirs, and new ones go where there is place.

        Args:
            plan: What to call. Bad rows are refused before anybody is called.
            name: The ledger's name in the database; the plan's if not given.
            **options: See `SubmitOptions`.

        Raises:
            ConfigurationError: The plan cannot be read, a setting is out of bounds, an entry of
                `do_not_call` is no address, or `quorum` counts by a function of yours, which
                workers do not have.
            InvalidParameter: The plan has bad rows; nobody was called.
            LedgerError: The ledger is another campaign's or in use by a `Dialer`, the campaign
                was cancelled, or the server cannot be used (see `set_up`).
        """
        async with self.staged(plan, name=name, **options) as submission:
            return await submission.enter()

    @asynccontextmanager
    async def staged(
        self, plan: Plan, *, name: str | None = None, **options: Unpack[SubmitOptions]
    ) -> "AsyncGenerator[Submission, None]":
        """Stage a plan: read it once, see what it would do, and enter it or not.

        Example::

            async with dialer.staged(plan) as submission:
                if submission.missing < 100:
                    await submission.enter()

        Args:
            plan: What to call.
            name: As for `submit`.
            **options: As for `submit`.

        Raises:
            ConfigurationError: As for `submit`.
            InvalidParameter: The file's first line does not name what is needed.
            LedgerError: The server cannot be used (see `set_up`).
        """
        from conference_async.dialer.workers.submission import Order, staged

        check_plan(plan)
        refuse_unknown(options)
        priority = options.get("priority", 0)
        check_count("priority", priority, least=-(2**31))
        order = Order(
            account_sid=self._client.account_sid,
            priority=priority,
            keep_missing=options.get("keep_missing", False),
            wishes=Wishes(
                deadline=options.get("deadline"),
                redial_unknown=options.get("redial_unknown", False),
                do_not_call=addresses(options.get("do_not_call", ())),
                hours=options.get("hours"),
                rules=options.get("rules", NO_RULES),
                quorum=options.get("quorum"),
            ),
        )
        ledger = PostgresLedger(self._dsn, name=name or plan.name, shared=True)
        async with staged(plan, ledger, order) as submission:
            yield submission

    def tasks(self, *, stalled: float = EMBEDDED_STALLED) -> "Blueprint":
        """Return the tasks for a procrastinate app of your own.

        Add them before its workers run, in every process that has workers, and keep this object
        open as long as they run::

            app.add_tasks_from(dialer.tasks(), namespace="conference_async")

        Its workers have to serve the queue ``dial/<account SID>``, and to have room for two jobs at
        least: one calls as long as there is somebody to call, in hand as many as this dialler's
        `concurrency`. `stop` ends it, so call that before your workers are stopped. To come back
        after the server was gone is up to whoever runs them.

        Args:
            stalled: Seconds without a sign of life after which a worker is taken for dead: at
                least four times the ``update_heartbeat_interval`` of your workers.

        Raises:
            ConfigurationError: `stalled` is no time.
        """
        check_seconds("stalled", stalled, zero=False)
        caller = self._caller([self._client], stalled)
        self._embedded.append(caller)
        return caller.tasks(periodic=True)

    def _caller(self, clients: list[ConferenceClient], stalled: float) -> "Caller":
        from conference_async.dialer.workers.jobs import Caller

        return Caller(clients, self._session, stalled=stalled, concurrency=self._concurrency)

    async def check(self) -> None:
        """Look whether this database is one that workers can work with; `work` does it, too.

        Raises:
            ConfigurationError: It was not set up, or does not let us do what has to be done.
            LedgerError: The server cannot be reached.
        """
        from conference_async.dialer.workers.queue_schema import check_queue

        await self._session.open()
        await self._session.run(check_queue, patience=0)
        if self._direct is not None:
            direct = Session(self._direct, greet=None, purpose="the direct connection")
            await direct.open()
            await direct.aclose()

    async def work(self) -> int:
        """Call the targets of all campaigns of the account, or of all accounts, until `stop`.

        A server that goes away is waited for without end. Cancelling is as good as stopping: calls
        that are under way are finished and written down first, unless the service or the database
        does not answer: then they are left, and another worker looks them up. Either way it is
        over within 25 seconds.

        Returns:
            How many calls were left: it is not known yet what became of them.

        Raises:
            ConfigurationError: It works already; the database was not set up, or does not let us
                do what has to be done; or there is no account, or one twice.
            LedgerError: The server cannot be reached at the start.
        """
        if self._working:
            raise ConfigurationError("this dialler works already; make another one")
        from conference_async.dialer.workers.supervision import Supervisor

        await self.check()
        self._working = True
        try:
            async with AsyncExitStack() as stack:
                clients = await stack.enter_async_context(opened(self._given, self._session))
                caller = self._caller(clients, STALLED)
                supervisor = Supervisor(
                    caller,
                    self._session,
                    heartbeat=HEARTBEAT,
                    stalled=STALLED,
                    direct=self._direct,
                )
                stack.enter_context(caller.observed())
                stack.enter_context(caller.pulse.beating())
                return await supervisor.run(self._stop)
        finally:
            self._working = False
            self._stop = asyncio.Event()  # the next `work` may be under another event loop

    async def why_not_ready(self) -> str | None:
        """Return why it cannot call anybody just now, in a line; None if it can."""
        return await asked(self._session) if self._working else "it is not at work"

    def stop(self) -> None:
        """End `work` in good order: calls under way are finished, what waits goes to others.

        So do `tasks`: their workers call nobody from then on.
        """
        self._stop.set()
        for caller in self._embedded:
            caller.stop()

    def __repr__(self) -> str:
        return f"<ClusterDialer {'at work' if self._working else 'idle'}>"


def _check_queue() -> None:
    if find_spec("procrastinate") is None:
        raise ConfigurationError(
            'ClusterDialer needs procrastinate: pip install "conference-async[cluster]"'
        )
