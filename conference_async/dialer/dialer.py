"""Calls the targets of a plan, each of them once, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime

from conference_async.client import ConferenceClient
from conference_async.dialer.execution import Executor
from conference_async.dialer.hours import CallingHours
from conference_async.dialer.ledger import Campaign, LedgerStore, Outcome, State
from conference_async.dialer.plan import Plan
from conference_async.dialer.policy import Policy, Quorum, Redial, addresses
from conference_async.dialer.run import Run
from conference_async.dialer.sqlite_store import Ledger
from conference_async.errors import ConfigurationError


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


class Dialer:
    """Runs campaigns.

    Example::

        plan = Plan.from_csv("people.csv", conference="standup", from_="+15017122661")
        async with ConferenceClient() as client, Ledger("campaign.db") as ledger:
            async for outcome in Dialer(client, ledger=ledger).run(plan):
                print(outcome)

    Args:
        client: What calls. Its creates pass before those of a run.
        ledger: What remembers. Without one, a temporary ledger lasts as long as this object.
        deadline: Seconds after which a run starts no more calls. What is left stays planned.
        retries: How often a target that could not be sent is tried again in the same run, after
            1, 2, 4 … at most 60 seconds. Then it stays planned for the next run.
        redial_unknown: Whether targets whose outcome stayed unknown are called again, with the
            same label. **It can ring a phone twice**, if the first call is already over.
        redial: Whether and when to call again whom a call did not reach; never if not given.
        do_not_call: Addresses to skip: numbers such as ``+15558675310``.
        hours: When targets may be called, in their own time zones. Others wait if their time
            comes before the deadline, and are skipped if not.
        quorum: When enough have joined.
        clock: Returns the time of day as an aware datetime.

    Raises:
        ConfigurationError: A setting is out of bounds, or an entry of `do_not_call` no address.
    """

    def __init__(  # noqa: PLR0913 -- the contract: every setting is a keyword of its own
        self,
        client: ConferenceClient,
        *,
        ledger: LedgerStore | None = None,
        deadline: float | None = None,
        retries: int = 8,
        redial_unknown: bool = False,
        redial: Redial | None = None,
        do_not_call: Iterable[str] = (),
        hours: CallingHours | None = None,
        quorum: Quorum | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.ledger: LedgerStore = Ledger() if ledger is None else ledger
        self._executor = Executor(client=client, ledger=self.ledger, clock=clock)
        self._policy = Policy(
            deadline=deadline,
            retries=retries,
            redial_unknown=redial_unknown,
            redial=redial,
            do_not_call=addresses(do_not_call),
            hours=hours,
            quorum=quorum,
        )
        self._gate = asyncio.Event()
        self._gate.set()
        self._run: Run | None = None

    async def run(self, plan: Plan) -> AsyncGenerator[Outcome, None]:
        """Call the targets of a plan, and yield what becomes of each, as it is known.

        Targets that an earlier run called are passed over; those that it left in doubt are looked
        up by their label first. So a run that was stopped or killed is resumed by running the
        same plan with the same ledger again.

        At most a few calls stand in line, and a bounded number is under way; a slow consumer
        slows the run down. Leaving the loop stops the run: close it with `contextlib.aclosing` to
        wait until what is under way is over. Cancelling is safe: what it leaves in flight is
        ``unknown`` in the ledger, the rest planned.

        Raises:
            ConfigurationError: The plan cannot be read, or this dialler is running already.
            InvalidParameter: The plan has bad rows; nobody was called.
            LedgerError: The ledger is in use, another campaign's, or cannot be written to.
            NotAuthorized: The account may not call.
            ConferenceError: Something else makes all calls impossible.
        """
        total = await plan.check()
        account = self._executor.client.account_sid
        campaign = Campaign(name=plan.name, account_sid=account, total=total)
        async with aclosing(self._outcomes(campaign, lambda run: run.dial(plan))) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def reconcile(self) -> AsyncGenerator[Outcome, None]:
        """Look up what the ledger has as ``sending`` or ``unknown``; nobody is called.

        Yields what becomes of each. Those not found stay ``unknown``, or become it.

        Raises:
            LedgerError: The ledger is in use, another account's, or cannot be written to.
        """
        async with self.ledger:
            campaign = await self.ledger.campaign()
        if campaign is None:
            return
        campaign = Campaign(name=campaign.name, account_sid=self._executor.client.account_sid)
        doubtful = State.SENDING, State.UNKNOWN
        async with aclosing(
            self._outcomes(campaign, lambda run: run.look_up(*doubtful))
        ) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _outcomes(
        self, campaign: Campaign, work: Callable[[Run], Awaitable[None]]
    ) -> AsyncGenerator[Outcome, None]:
        if self._run is not None:
            raise ConfigurationError("this dialler is running already; make another one")
        self._run = run = Run(self._executor, self._policy, self._gate)
        try:
            async with self.ledger:
                await self.ledger.begin(campaign)
                try:
                    async with aclosing(run.outcomes(lambda: work(run))) as outcomes:
                        async for outcome in outcomes:
                            yield outcome
                finally:
                    await self.ledger.end()
        finally:
            self._run = None

    def pause(self) -> None:
        """Start no more calls until `resume`; what is under way goes on."""
        self._gate.clear()
        if self._run is not None:
            self._run.recall()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._gate.set()

    def stop(self) -> None:
        """End the run in good order: start no more calls, finish and write down what is under way.

        The loop over the run ends when that is done. What was not called stays planned.
        """
        if self._run is not None:
            self._run.stop()

    def __repr__(self) -> str:
        state = "idle" if self._run is None else "running" if self._gate.is_set() else "paused"
        return f"<Dialer {state} on {self.ledger!r}>"
