"""One call to one target, where somebody else took its worker for dead meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from conference_async import ConferenceClient, Credentials, NewParticipant
from conference_async.dialer import Campaign, Ledger, Outcome, State
from conference_async.dialer.execution import HOLD, Executor, _Execution
from conference_async.emulator import Emulator, Fault
from conference_async.errors import LedgerError, NotAuthorized
from conference_async.models import Participant

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
TO = "+15558675310"
NEW = NewParticipant(from_="+15017122661", to=TO, label="alice")
PLANNED = Outcome(target="t", to=TO, conference="standup")


@attrs.define
class Clock:
    """A clock that moves when it is read."""

    step: float = 0.0
    now: datetime = NOW

    def __call__(self) -> datetime:
        """Return the time, each time later."""
        self.now += timedelta(seconds=self.step)
        return self.now


@attrs.define
class Desk:
    """What calls one target, and what the ledger has of it."""

    executor: Executor
    clock: Clock
    ledger: Ledger

    async def call(self) -> Outcome:
        """Call it; return what is said to have become of it."""
        outcome, _ = await self.executor.call(PLANNED, NEW, lambda: None)
        assert outcome == await self.known()
        return outcome

    async def known(self) -> Outcome:
        """Return what the ledger has."""
        (outcome,) = [outcome async for outcome in self.ledger.outcomes()]
        return outcome

    def meanwhile(self, change: Callable[[Outcome], Outcome]) -> None:
        """Change what the ledger has while the request is about to leave."""

        async def before_send(_label: str | None, _number: int) -> None:
            claim = await self.known()
            assert await self.ledger.swap(claim, change(claim))

        view = self.executor.client.with_options(before_send=before_send)
        self.executor = attrs.evolve(self.executor, client=view)


@pytest.fixture
async def desk(client: ConferenceClient) -> AsyncIterator[Desk]:
    """Return a desk at which a campaign of one has begun."""
    async with Ledger() as ledger:
        account_sid = client.account_sid
        await ledger.begin(Campaign(name="c", account_sid=account_sid, total=1))
        await ledger.enrol([PLANNED])
        clock = Clock()
        yield Desk(Executor(client=client, ledger=ledger, clock=clock), clock, ledger)
        await ledger.end()


@pytest.mark.looptime
async def test_what_it_knows_replaces_what_another_guessed(desk: Desk, emulator: Emulator) -> None:
    """Taken for dead, it was only slow: its answer is the last word."""
    desk.meanwhile(lambda claim: claim.unknown("its worker is gone", NOW))

    outcome = await desk.call()

    assert (outcome.state, outcome.reason) == (State.PLACED, None)
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_what_another_found_out_is_no_contradiction(desk: Desk) -> None:
    """Both say the same of the same call."""
    claim = PLANNED.claimed("ours", "alice", NOW)
    call = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")
    found = claim.placed(call, NOW, "found by its label")
    assert await desk.ledger.swap(PLANNED, claim)
    assert await desk.ledger.swap(claim, found)

    await desk.executor.conclude(claim, claim.placed(call, NOW))

    assert (await desk.known()).call_sid == found.call_sid


@pytest.mark.looptime
async def test_a_second_execution_is_noticed(desk: Desk) -> None:
    """The target is another's: nothing is written, and nothing more is dialled."""
    desk.meanwhile(lambda claim: attrs.evolve(claim, state=State.SKIPPED, token="theirs"))

    with pytest.raises(LedgerError, match="another program changed the ledger"):
        await desk.call()
    assert (await desk.known()).token == "theirs"


@pytest.mark.looptime
async def test_a_claim_of_long_ago_is_asked_after(desk: Desk, emulator: Emulator) -> None:
    """Before a request is repeated, where much time has passed; it still stands."""
    emulator.faults.add(Fault.TOO_MANY)
    desk.clock.step = HOLD + 1

    assert (await desk.call()).state is State.PLACED
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_a_claim_that_was_lost_is_not_used(desk: Desk, emulator: Emulator) -> None:
    """Another has decided about the target meanwhile: the request is not repeated."""
    emulator.faults.add(Fault.TOO_MANY)
    desk.clock.step = HOLD + 1
    desk.meanwhile(lambda claim: claim.unknown("its worker is gone", NOW))

    with pytest.raises(LedgerError, match="took the target over"):
        await desk.call()
    assert emulator.rings(TO) == 0


@pytest.mark.looptime
async def test_a_first_turn_that_came_too_late_leaves_it_planned(desk: Desk) -> None:
    """Guessed unknown by another, and known here not to have been sent."""
    execution = _Execution(desk.executor, PLANNED, lambda: None)
    await execution._before_send("alice", 1)
    claim = await desk.known()
    await desk.ledger.swap(claim, claim.unknown("its worker is gone", NOW))
    desk.clock.step = HOLD + 1

    with pytest.raises(LedgerError, match="took the target over"):
        await execution._before_send("alice", 1)
    assert (await desk.known()).state is State.PLANNED


@pytest.mark.looptime
async def test_cancelled_in_flight_it_is_unknown(desk: Desk, emulator: Emulator) -> None:
    """And before it has its slot, nothing is written."""
    emulator.faults.add(Fault.STALL)
    call = asyncio.create_task(desk.call())
    await asyncio.sleep(1)
    call.cancel()
    await asyncio.wait({call})

    assert call.cancelled()
    assert (await desk.known()).state is State.UNKNOWN


@pytest.mark.looptime
async def test_who_may_not_call_says_so_and_leaves_it_planned(
    desk: Desk, emulator: Emulator
) -> None:
    """It is the account's fault, not the target's."""
    wrong = Credentials(emulator.account_sid, "wrong")
    async with ConferenceClient(wrong, base_url=emulator.base_url) as client:
        desk.executor = attrs.evolve(desk.executor, client=client)
        with pytest.raises(NotAuthorized):
            await desk.call()
    assert (await desk.known()).state is State.PLANNED
