"""Calls the targets of a plan, each of them once, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

import attrs

from conference_async.client import ConferenceClient
from conference_async.dialer.calling.contacting import Contacting
from conference_async.dialer.calling.execution import Executor
from conference_async.dialer.calling.explaining import Explanation, WhyNot, explained
from conference_async.dialer.calling.known import memory_of, row_of
from conference_async.dialer.ledger.outcome import Campaign, LedgerStore, Outcome
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.ledger.sqlite import Ledger
from conference_async.dialer.local.run import Run
from conference_async.dialer.plan.plan import Plan, check_plan
from conference_async.dialer.plan.preview import Preview, Tally
from conference_async.dialer.plan.targets import address_key
from conference_async.dialer.rules.contact_rules import NO_RULES, ContactRules
from conference_async.dialer.rules.hours import CallingHours
from conference_async.dialer.rules.wishes import RETRIES, Quorum, Redial, Wishes, addresses
from conference_async.errors import ConfigurationError
from conference_async.journal.contacts import ContactStore
from conference_async.journal.postgres import PostgresJournal
from conference_async.journal.sqlite import Journal
from conference_async.plain_functions import check_plain
from conference_async.sending.entries import State
from conference_async.sending.observing import observed


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
        rules: Who may be called, when, and how often. Limits hold for all campaigns that share a
            journal: the client's, else the database of a `PostgresLedger`.
        quorum: When enough have joined.
        clock: Returns the time of day as an aware datetime.

    Raises:
        ConfigurationError: A setting is out of bounds, an entry of `do_not_call` no address, or
            there are limits and no journal.
    """

    def __init__(  # noqa: PLR0913 -- the contract: every setting is a keyword of its own
        self,
        client: ConferenceClient,
        *,
        ledger: LedgerStore | None = None,
        deadline: float | None = None,
        retries: int = RETRIES,
        redial_unknown: bool = False,
        redial: Redial | None = None,
        do_not_call: Iterable[str] = (),
        hours: CallingHours | None = None,
        rules: ContactRules = NO_RULES,
        quorum: Quorum | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        check_plain("clock", clock, instead="give it a plain function")
        _check_kinds(client, ledger)
        self.ledger: LedgerStore = Ledger() if ledger is None else ledger
        self._executor: Executor = Executor(client=client, ledger=self.ledger, clock=clock)
        self._wishes = Wishes(
            deadline=deadline,
            retries=retries,
            redial_unknown=redial_unknown,
            redial=redial,
            do_not_call=addresses(do_not_call),
            hours=hours,
            rules=rules,
            quorum=quorum,
        )
        self._contacts = _contact_store(client, self.ledger) if rules.all_limits else None
        self._paused = False
        self._run: Run | None = None

    async def preview(self, plan: Plan) -> Preview:
        """Return what a run of the plan would do now, with those whom the rules withhold.

        Raises:
            ConfigurationError: The plan's source cannot be read, or can be read only once.
            InvalidParameter: Its first line does not name what is needed.
        """
        check_plan(plan)
        now, wishes = self._executor.clock(), self._wishes
        try:
            preview = await plan.preview(WhyNot(wishes, now, self._contacting(plan.name)))
        finally:
            await self._leave_contacts()
        return attrs.evolve(preview, notes=(*preview.notes, *wishes.notes))

    async def explain(self, plan: Plan, to: str) -> list[Explanation]:
        """Return for each target with an address why it is not called at this time, or was not.

        It decides as a run does; nobody is called, and nothing is written.

        Args:
            plan: The plan.
            to: The address, as the plan's targets have it: a number with ``+``.

        Raises:
            ConfigurationError: The plan's source cannot be read, or can be read only once.
            InvalidParameter: Its first line does not name what is needed.
            LedgerError: The ledger, or the calls that were made, cannot be read.
        """
        check_plan(plan)
        asked = address_key(to)
        await plan.preview()
        async with aclosing(plan.counted(Tally(), [])) as batches:
            targets = [
                each async for batch in batches for each in batch if address_key(each.to) == asked
            ]
        keys = {target.key for target in targets}
        async with self.ledger, aclosing(self.ledger.outcomes()) as outcomes:
            known = {each.target: each async for each in outcomes if each.target in keys}
        now, contacting = self._executor.clock(), self._contacting(plan.name)
        try:
            explanations: list[Explanation] = []
            for each in targets:
                row = row_of(each)  # the file may have been edited since the last run
                outcome = attrs.evolve(
                    known.get(each.key, row),
                    purpose=row.purpose,
                    earliest=row.earliest,
                    latest=row.latest,
                )
                zones = await asyncio.to_thread(self._wishes.zones_of, each)
                explanations.append(await explained(outcome, self._wishes, now, zones, contacting))
            return explanations
        finally:
            await self._leave_contacts()

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
        check_plan(plan)

        async def checked() -> Campaign:
            total = await plan.check()
            account = self._executor.client.account_sid
            return Campaign(name=plan.name, account_sid=account, total=total)

        run = self._outcomes(plan.name, checked, lambda run: run.dial(plan))
        async with aclosing(run) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def reconcile(self) -> AsyncGenerator[Outcome, None]:
        """Find out what the ledger has as ``sending`` or ``unknown``; nobody is called.

        They are looked for by their labels and in the account's call log, in few requests: one
        list of participants for each conference, one part of the log for all that one caller
        called at about the same time. It yields what becomes of each. Those that cannot be told
        stay ``unknown``, or become it, with what was looked at as their reason.

        Raises:
            LedgerError: The ledger is in use, another account's, or cannot be written to.
        """
        async with self.ledger:
            campaign = await self.ledger.campaign()
        if campaign is None:
            return
        name = campaign.name

        async def known() -> Campaign:
            return Campaign(name=name, account_sid=self._executor.client.account_sid)

        doubtful = State.SENDING, State.UNKNOWN
        run = self._outcomes(name, known, lambda run: run.look_up(*doubtful))
        async with aclosing(run) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _outcomes(
        self,
        name: str,
        campaign: Callable[[], Awaitable[Campaign]],
        work: Callable[[Run], Awaitable[None]],
    ) -> AsyncGenerator[Outcome, None]:
        if self._run is not None:
            raise ConfigurationError("this dialler is running already; make another one")
        now: object = self._executor.clock()
        if not isinstance(now, datetime) or now.tzinfo is None:
            raise ConfigurationError(f"clock must return an aware datetime, not {now!r}")
        telemetry = self._executor.client.options.telemetry
        executor = attrs.evolve(self._executor, contacting=self._contacting(name))
        self._run = run = Run(executor, self._wishes, paused=self._paused)
        try:
            # A long plan takes its time to be checked, and the run can be stopped from here on.
            begun = await campaign()
            async with self.ledger:
                await self.ledger.begin(begun)
                register, memory = self._executor.client.register, memory_of(self.ledger.called)
                register.add(memory)
                try:
                    watched = partial(observed, telemetry, "campaign", partial(work, run))
                    async with aclosing(run.outcomes(watched)) as outcomes:
                        async for outcome in outcomes:
                            yield outcome
                finally:
                    register.remove(memory)
                    await self.ledger.end()
                    await self._leave_contacts()
        finally:
            self._run = None

    def _contacting(self, campaign: str) -> Contacting | None:
        if self._contacts is None:
            return None
        return Contacting(
            store=self._contacts,
            account_sid=self._executor.client.account_sid,
            campaign=campaign,
            wishes=self._wishes,
        )

    async def _leave_contacts(self) -> None:
        """Close the store of calls if it is nobody else's."""
        store = self._contacts
        if (
            isinstance(store, PostgresJournal)
            and store is not self._executor.client.options.journal
        ):
            await store.aclose()

    def pause(self) -> None:
        """Start no more calls until `resume`; what is under way goes on."""
        self._paused = True
        if self._run is not None:
            self._run.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused = False
        if self._run is not None:
            self._run.resume()

    def stop(self) -> None:
        """End the run in good order: start no more calls, finish and write down what is under way.

        The loop over the run ends when that is done. What was not called stays planned.
        """
        if self._run is not None:
            self._run.stop()

    def __repr__(self) -> str:
        state = "idle" if self._run is None else "paused" if self._paused else "running"
        return f"<Dialer {state} on {self.ledger!r}>"


def _check_kinds(client: object, ledger: object) -> None:
    """Refuse what is no client, or no ledger.

    Raises:
        ConfigurationError: As said.
    """
    if not isinstance(client, ConferenceClient):
        raise ConfigurationError(
            f"a Dialer dials with a ConferenceClient, not with {type(client).__name__}"
        )
    if ledger is not None and not callable(getattr(ledger, "begin", None)):
        raise ConfigurationError(
            "ledger must be Ledger('campaign.db') or PostgresLedger(dsn), not "
            f"{type(ledger).__name__}"
        )


def _contact_store(client: ConferenceClient, ledger: LedgerStore) -> ContactStore:
    """Return what the account's campaigns share, so that limits hold for all of them.

    Raises:
        ConfigurationError: There is nothing.
    """
    journal = client.options.journal
    if isinstance(journal, Journal | PostgresJournal):
        return journal
    if isinstance(ledger, PostgresLedger):
        return PostgresJournal(ledger.session.dsn)
    raise ConfigurationError(
        "limits are kept in a journal that campaigns share: "
        "ConferenceClient(journal=Journal('calls.db')), or --journal on the command line"
    )
