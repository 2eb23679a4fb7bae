"""One call to one target, where somebody else took its worker for dead meanwhile."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import attrs
import pytest

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    CreateLimit,
    Credentials,
    Journal,
    Ledger,
    NewParticipant,
    Outcome,
    RetryPolicy,
    State,
)
from conference_async.dialer import Campaign
from conference_async.dialer.calling import execution
from conference_async.dialer.calling.contacting import Contacting
from conference_async.dialer.calling.execution import CLAIM_STANDS, Executor, _Execution
from conference_async.dialer.rules.wishes import Wishes
from conference_async.emulator import Emulator, Fault
from conference_async.errors import LedgerError, NotAuthorized, NotSent, TooManyCalls
from conference_async.journal.contacts import hash_of
from conference_async.models import Participant, is_minted

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
TO = "+15558675310"
NEW = NewParticipant(from_="+15017122661", to=TO, label="alice")
PLANNED = Outcome(target="t", to=TO, conference="standup")


@attrs.define
class Clock:
    """A clock that stands still, unless a program is stopped."""

    passed: float = 0.0

    def __call__(self) -> datetime:
        """Return the time of day."""
        return NOW + timedelta(seconds=self.passed)

    def elapsed(self) -> float:
        """Return the seconds of the clock that nobody sets."""
        return 1e6 + self.passed

    def stop(self, seconds: float = CLAIM_STANDS + 1) -> None:
        """Let time pass in which the program does not run: by default, so that it looks dead."""
        self.passed += seconds


@attrs.define
class Desk:
    """An executor with its ledger and one planned target."""

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

    def stopped_after_an_attempt(self, seconds: float = CLAIM_STANDS + 1) -> None:
        """Stop the program between two attempts."""

        def stop(event: AttemptEvent) -> None:
            if event.kind == "create":
                self.clock.stop(seconds)

        view = self.executor.client.with_options(on_attempt=stop)
        self.executor = attrs.evolve(self.executor, client=view)

    def meanwhile(self, change: Callable[[Outcome], Outcome]) -> None:
        """Change what the ledger has while the request is about to leave."""

        async def before_send(_label: str | None, _number: int) -> None:
            claim = await self.known()
            assert await self.ledger.swap(claim, change(claim))

        view = self.executor.client.with_options(before_send=before_send)
        self.executor = attrs.evolve(self.executor, client=view)


@pytest.fixture
async def desk(client: ConferenceClient, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Return a desk at which a campaign of one has begun."""
    async with Ledger() as ledger:
        account_sid = client.account_sid
        await ledger.begin(Campaign(name="c", account_sid=account_sid, total=1))
        await ledger.enrol([PLANNED])
        clock = Clock()
        monkeypatch.setattr(execution, "elapsed", clock.elapsed)
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
@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN, State.SKIPPED])
async def test_a_second_execution_is_noticed(desk: Desk, state: State) -> None:
    """The target is another's, by its token: nothing is written, and nothing more is dialled."""
    desk.meanwhile(lambda claim: attrs.evolve(claim, state=state, token="theirs"))

    with pytest.raises(
        LedgerError, match=r"^another program changed the ledger; nothing more is dialled$"
    ):
        await desk.call()
    assert ((await desk.known()).token, (await desk.known()).state) == ("theirs", state)


@pytest.mark.looptime
async def test_a_bystander_is_not_taken_for_whom_we_called(
    desk: Desk, client: ConferenceClient
) -> None:
    """Somebody sat in the room under that label before the claim; a person decides."""
    await client.conferences("standup").participants.create(NEW)
    await asyncio.sleep(10)
    claim = PLANNED.claimed("ours", "alice", NOW)
    await desk.ledger.swap(PLANNED, claim)

    ((outcome, participant),) = await desk.executor.look_up([claim], again=False)

    assert (outcome.state, participant) == (State.UNKNOWN, None)
    assert outcome == await desk.known()
    assert outcome == claim.unknown(
        "its label belongs to somebody who was in the conference before; give each target a label "
        "of its own, and let a person decide",
        NOW,
    )


@pytest.mark.looptime
async def test_what_was_placed_since_the_claim_is_ours(
    desk: Desk, client: ConferenceClient
) -> None:
    """By the time that has passed on the clock of the run."""
    claim = PLANNED.claimed("ours", "alice", NOW)
    await desk.ledger.swap(PLANNED, claim)
    call = await client.conferences("standup").participants.create(NEW)
    desk.clock.stop(10)
    await asyncio.sleep(10)

    ((outcome, participant),) = await desk.executor.look_up([claim], again=False)

    assert (outcome.state, outcome.call_sid) == (State.PLACED, call.call_sid)
    assert participant is not None
    assert participant.reconciled


@pytest.mark.looptime
async def test_a_label_that_is_kept_finds_the_first_call(
    desk: Desk, client: ConferenceClient, emulator: Emulator
) -> None:
    """Unknown, called again a minute later, refused for its label: the first call was placed."""
    first = PLANNED.claimed("first", "alice", NOW)
    await desk.ledger.swap(PLANNED, first)
    call = await client.conferences("standup").participants.create(NEW)
    unknown = first.unknown("no answer", NOW)
    again = unknown.again("as asked for")
    await desk.ledger.swap(first, unknown)
    await desk.ledger.swap(unknown, again)
    desk.clock.stop(60)
    await asyncio.sleep(60)

    outcome, _ = await desk.executor.call(again, NEW, lambda: None)

    assert (outcome.state, outcome.call_sid) == (State.PLACED, call.call_sid)
    assert (outcome.attempts, outcome.sent_at) == (2, NOW)
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_a_clash_with_nobody_is_for_a_person(desk: Desk, emulator: Emulator) -> None:
    """What the service refused for its label is not called with it again, and again, by itself."""
    emulator.faults.add(Fault.LABEL_CLASH)
    planned = attrs.evolve(PLANNED, caller=NEW.from_, label="alice", sent_at=NOW, attempts=1)
    await desk.ledger.swap(PLANNED, planned)
    view = desk.executor.client.with_options(retry_unknown="when-absent")
    desk.executor = attrs.evolve(desk.executor, client=view)

    outcome, _ = await desk.executor.call(planned, NEW, lambda: None)

    assert outcome.state is State.UNKNOWN
    assert (outcome.reason or "").startswith("nothing was placed")


@pytest.mark.looptime
@pytest.mark.parametrize("again", [True, False])
async def test_all_in_doubt_are_looked_for_some_at_a_time(
    desk: Desk,
    client: ConferenceClient,
    monkeypatch: pytest.MonkeyPatch,
    again: bool,
) -> None:
    """What is to be called again is the run's, and not said; all else is."""
    monkeypatch.setattr(execution, "_TOGETHER", 3)
    standup = client.conferences("standup").participants
    for number in range(5):
        new = attrs.evolve(NEW, to=f"+1555867000{number}", label=f"guest-{number}")
        planned = Outcome(target=f"{number}", to=new.to, conference="standup", caller=new.from_)
        await desk.ledger.enrol([planned])
        await desk.ledger.swap(planned, planned.claimed("ours", new.label, NOW))
        if number in {0, 3}:
            await standup.create(new)
    retry = RetryPolicy(settled=3)
    view = client.with_options(retry_unknown="when-absent", retry=retry)
    loop = asyncio.get_running_loop()
    began = loop.time()
    executor = attrs.evolve(
        desk.executor,
        client=view,
        clock=lambda: NOW + timedelta(seconds=loop.time() - began),
    )

    found = [each async for each in executor.look_up_all(State.SENDING, again=again)]

    absent = State.PLANNED if again else State.UNKNOWN
    states = [State.PLACED, absent, absent, State.PLACED, absent]
    assert [each.state async for each in desk.ledger.outcomes()][1:] == states
    told = [(str(number), state) for number, state in enumerate(states)]
    assert [(each.target, each.state) for each in found] == [
        each for each in told if each[1] is not State.PLANNED
    ]
    if again:  # whoever had them in hand is gone: twice the call log is waited for
        assert loop.time() - began == pytest.approx(2 * 3, abs=0.1)


@pytest.mark.looptime
async def test_a_claim_of_long_ago_is_asked_after(desk: Desk, emulator: Emulator) -> None:
    """Before each repeated request, where much time has passed; it still stands."""
    emulator.faults.add(Fault.TOO_MANY, times=2)
    desk.stopped_after_an_attempt()

    assert (await desk.call()).state is State.PLACED
    assert emulator.rings(TO) == 1


@pytest.mark.looptime
async def test_a_claim_that_was_lost_is_not_used(desk: Desk, emulator: Emulator) -> None:
    """Another has decided about the target meanwhile: the request is not repeated."""
    emulator.faults.add(Fault.TOO_MANY)
    desk.stopped_after_an_attempt()
    desk.meanwhile(lambda claim: claim.unknown("its worker is gone", NOW))

    with pytest.raises(LedgerError, match="took the target over"):
        await desk.call()
    assert emulator.rings(TO) == 0
    assert (await desk.known()).state is State.PLANNED  # the service had turned it down


@pytest.mark.looptime
async def test_a_call_that_is_tried_again_late_is_looked_for_from_then_on(
    desk: Desk, emulator: Emulator
) -> None:
    """What the service turned down before is over: this is when it was sent."""
    emulator.faults.add(Fault.TOO_MANY)
    desk.stopped_after_an_attempt(3600)
    asked = list[Outcome]()

    async def before_send(_label: str | None, _number: int) -> None:
        asked.append(await desk.known())

    view = desk.executor.client.with_options(before_send=before_send)
    desk.executor = attrs.evolve(desk.executor, client=view)

    outcome = await desk.call()

    assert (outcome.state, outcome.attempts) == (State.PLACED, 1)
    assert [each.sent_at for each in asked] == [NOW, NOW]
    assert outcome.sent_at == NOW + timedelta(hours=1)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("fault", "state"),
    [(Fault.TOO_MANY, State.PLANNED), (Fault.RESET_BEFORE, State.UNKNOWN)],
)
async def test_a_call_is_not_tried_again_when_the_hour_has_passed(
    desk: Desk, emulator: Emulator, fault: Fault, state: State
) -> None:
    """Whether its time has come is asked again, also if an earlier attempt may have rung."""
    emulator.faults.add(fault)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=None)
    view = desk.executor.client.with_options(retry_unknown=True, retry=RetryPolicy(settled=3))
    desk.executor = attrs.evolve(desk.executor, client=view)
    desk.stopped_after_an_attempt(3600)
    asked = list[float]()

    def leaving() -> None:
        asked.append(desk.clock.passed)
        if len(asked) > 1:
            raise NotSent("the hour passed")

    outcome, _ = await desk.executor.call(PLANNED, NEW, leaving)

    assert asked == [0, 3600]
    assert outcome.state is state
    assert outcome == await desk.known()
    assert emulator.count("create") == 1


@pytest.mark.looptime
async def test_a_repetition_in_doubt_is_looked_for_since_the_first_and_until_now(
    desk: Desk, emulator: Emulator
) -> None:
    """The first may have rung as well as this one."""
    emulator.faults.add(Fault.RESET_BEFORE)
    emulator.faults.add(Fault.STALL_BEFORE)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=None)
    view = desk.executor.client.with_options(retry_unknown=True, retry=RetryPolicy(settled=3))
    desk.executor = attrs.evolve(desk.executor, client=view)
    desk.stopped_after_an_attempt(3600)

    call = asyncio.create_task(desk.call())
    while emulator.count("create") < 2:  # noqa: ASYNC110 -- the emulator tells nobody of it
        await asyncio.sleep(1)
    known = await desk.known()
    call.cancel()
    await asyncio.wait({call})

    assert known.state is State.SENDING
    assert (known.sent_at, known.ended_at) == (NOW, NOW + timedelta(hours=1))


@pytest.mark.looptime
async def test_what_died_twice_is_looked_for_where_it_was_sent_last(
    desk: Desk, client: ConferenceClient, emulator: Emulator
) -> None:
    """Found not to have been placed, it is called again an hour later under the label it had."""
    view = client.with_options(retry_unknown="when-absent", retry=RetryPolicy(settled=3))
    loop = asyncio.get_running_loop()
    began = loop.time()

    def clock() -> datetime:
        return NOW + timedelta(seconds=loop.time() - began)

    executor = attrs.evolve(desk.executor, client=view, clock=clock)
    planned = attrs.evolve(PLANNED, caller=NEW.from_)
    first = planned.claimed("first", "alice", clock())
    await desk.ledger.swap(planned, first)
    await asyncio.sleep(3600)
    ((again, _),) = await executor.look_up([first], again=True)
    second = again.claimed("second", "alice", clock())
    await desk.ledger.swap(again, second)
    call = await client.conferences("standup").participants.create(NEW)
    await asyncio.sleep(1)
    emulator.hang_up(call.call_sid)
    await asyncio.sleep(60)

    ((outcome, _),) = await executor.look_up([second], again=True)

    assert again.state is State.PLANNED
    assert (outcome.state, outcome.call_sid) == (State.PLACED, call.call_sid)


@asynccontextmanager
async def connecting(
    desk: Desk, emulator: Emulator, meanwhile: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Do something while a request of the desk is on its way: whenever a connection stands."""
    trace = aiohttp.TraceConfig()

    async def connected(*_: object) -> None:
        await meanwhile()

    trace.on_connection_create_end.append(connected)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            limit=CreateLimit(30),
            session=session,
        ) as client,
    ):
        desk.executor = attrs.evolve(desk.executor, client=client)
        yield


@pytest.mark.looptime
async def test_a_program_that_was_stopped_on_the_way_to_the_wire_asks_again(
    desk: Desk, emulator: Emulator
) -> None:
    """Nobody came meanwhile: it is called over that connection, and known to be sent now.

    So it is where each connection takes that long.
    """
    connections = list[float]()

    async def stop() -> None:
        desk.clock.stop(3600)
        connections.append(desk.clock.passed)

    async with connecting(desk, emulator, stop):
        outcome = await desk.call()

    assert connections == [3600]

    assert (outcome.state, outcome.attempts) == (State.PLACED, 1)
    assert outcome.sent_at == NOW + timedelta(hours=1)
    assert emulator.rings(TO) == emulator.count("create") == 1


@pytest.mark.looptime
async def test_a_program_that_was_stopped_on_the_way_to_the_wire_does_not_ring_again(
    desk: Desk, emulator: Emulator
) -> None:
    """Another has found that nothing was placed, and has the target: nothing is sent."""

    async def stop() -> None:
        desk.clock.stop()
        claim = await desk.known()
        absent = claim.unknown("nothing was placed", NOW)
        assert await desk.ledger.swap(claim, absent)
        assert await desk.ledger.swap(absent, absent.again("again").claimed("theirs", "alice", NOW))

    async with connecting(desk, emulator, stop):
        with pytest.raises(LedgerError, match="another program changed the ledger"):
            await desk.call()

    assert emulator.count("create") == 0
    assert (await desk.known()).token == "theirs"


@pytest.mark.looptime
async def test_a_program_that_was_stopped_until_the_hour_had_passed_calls_nobody(
    desk: Desk, emulator: Emulator
) -> None:
    """Whether its time has come is asked again, and the target stays planned."""
    asked = list[float]()

    def leaving() -> None:
        asked.append(desk.clock.passed)
        if len(asked) > 1:
            raise ZeroDivisionError

    async def stop() -> None:
        desk.clock.stop(3600)

    async with connecting(desk, emulator, stop):
        with pytest.raises(ZeroDivisionError):
            await desk.executor.call(PLANNED, NEW, leaving)

    assert asked == [0, 3600]
    assert emulator.count("create") == 0
    known = await desk.known()
    assert (known.state, known.attempts, known.sent_at) == (State.PLANNED, 0, None)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("in_doubt", "left"),
    [
        (False, attrs.evolve(PLANNED, reason="its turn came too late")),
        (True, PLANNED.claimed("ours", "alice", NOW).unknown("its worker is gone", NOW)),
    ],
)
async def test_only_a_turn_that_came_too_late_after_none_leaves_it_planned(
    desk: Desk, in_doubt: bool, left: Outcome
) -> None:
    """Guessed unknown by another, it stays so if an earlier attempt may have rung."""
    one = _Execution(desk.executor, PLANNED, lambda: None)
    await one("alice", 1)
    claim = await desk.known()
    await desk.ledger.swap(claim, claim.unknown("its worker is gone", NOW))
    desk.clock.stop()
    one.in_doubt = in_doubt

    with pytest.raises(
        LedgerError, match=r"^another program took the target over; it is not called from here$"
    ):
        await one("alice", 1 + in_doubt)
    known = await desk.known()
    assert known == attrs.evolve(left, token=known.token)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        (None, State.PLACED, None),
        (Fault.RESET_AFTER, State.PLACED, "found by its label"),
        (Fault.LABEL_CLASH, State.REFUSED, "the service answered 400, error 16026"),
        (
            Fault.RESET_BEFORE,
            State.UNKNOWN,
            "create in 'standup' with label '.*Nothing was placed",
        ),
        ("gone", State.PLANNED, "create: .*nothing was sent"),
    ],
)
async def test_what_the_service_did_is_written_down_whole(
    desk: Desk, emulator: Emulator, fault: Fault | str | None, state: State, reason: str | None
) -> None:
    """The ledger holds the instant, the label, the SIDs and the reason."""
    if fault == "gone":
        await emulator.stop_listening()
    elif isinstance(fault, Fault):
        emulator.faults.add(fault)
    retry = RetryPolicy(attempts=1, lookups=2)
    view = desk.executor.client.with_options(retry=retry, mint_labels=False, deadline=0.001)
    desk.executor = attrs.evolve(desk.executor, client=view)
    emulator.latency = 0.01  # more than the client's deadline, which is not the campaign's
    # Without a label of its own, the campaign mints one all the same.
    label = "alice" if fault is Fault.LABEL_CLASH else None

    outcome, participant = await desk.executor.call(
        PLANNED, attrs.evolve(NEW, label=label), lambda: None
    )

    assert outcome.state is state
    assert re.match(f"(?s){reason}", outcome.reason or "None")
    assert (participant is not None) == (state is State.PLACED)
    if state is State.PLANNED:
        assert outcome == attrs.evolve(PLANNED, reason=outcome.reason)
        return
    assert outcome == await desk.known()
    assert len(outcome.token or "") == 16
    assert outcome.label == label or is_minted(outcome.label or "")
    assert (outcome.attempts, outcome.sent_at, outcome.ended_at) == (1, NOW, NOW)
    if participant is not None:
        assert outcome.call_sid == participant.call_sid
        assert outcome.conference_sid == participant.conference_sid


@pytest.mark.looptime
async def test_what_is_not_found_is_for_a_person(desk: Desk, emulator: Emulator) -> None:
    """Nobody knows who called: the label is looked for among the living, and that is all."""
    claim = PLANNED.claimed("ours", "alice", NOW)
    await desk.ledger.swap(PLANNED, claim)
    retry = RetryPolicy(settled=3)
    view = desk.executor.client.with_options(retry=retry, deadline=0.001)
    desk.executor = attrs.evolve(desk.executor, client=view)
    emulator.latency = 0.01  # more than the client's deadline, which is not the campaign's
    began = asyncio.get_running_loop().time()

    ((found, participant),) = await desk.executor.look_up([claim], again=True)

    assert participant is None
    assert found == await desk.known()
    assert (found.state, found.ended_at) == (State.UNKNOWN, NOW)
    assert re.fullmatch(
        r"it may have been called: looked for its label at \S+: no live participant has it; looked "
        r"for it in the call log at \S+: it can be searched for phone numbers in E.164 only, such "
        r"as \*\*\*5310; look yourself, or let a person decide",
        found.reason or "",
    )
    assert asyncio.get_running_loop().time() - began == pytest.approx(3, abs=0.1)
    assert emulator.count("conferences.list") == 2 * 2  # in progress or about to be, at either end


@pytest.mark.looptime
@pytest.mark.parametrize("again", [True, False])
async def test_what_was_not_placed_is_called_again_where_that_was_chosen(
    desk: Desk, emulator: Emulator, again: bool
) -> None:
    """With the label that it had, and only by whoever knows that nobody has it in hand."""
    planned = attrs.evolve(PLANNED, caller=NEW.from_)
    claim = planned.claimed("ours", "alice", NOW)
    await desk.ledger.swap(PLANNED, claim)
    view = desk.executor.client.with_options(retry_unknown="when-absent")
    desk.executor = attrs.evolve(desk.executor, client=view)

    ((found, participant),) = await desk.executor.look_up([claim], again=again)

    assert participant is None
    assert found == await desk.known()
    assert (found.reason or "").startswith("nothing was placed")
    assert (found.state, found.label) == (State.PLANNED if again else State.UNKNOWN, "alice")
    assert found.ended_at == NOW


@pytest.mark.looptime
async def test_the_call_log_is_read_when_it_must_show_what_had_ended(desk: Desk) -> None:
    """So long after the end of what is unknown, not of the longest time that it could take."""
    planned = attrs.evolve(PLANNED, caller=NEW.from_)
    unknown = planned.claimed("ours", "alice", NOW).unknown("no answer", NOW + timedelta(seconds=5))
    await desk.ledger.swap(PLANNED, unknown)
    view = desk.executor.client.with_options(retry=RetryPolicy(settled=3))
    desk.executor = attrs.evolve(desk.executor, client=view)
    began = asyncio.get_running_loop().time()

    ((found, _),) = await desk.executor.look_up([unknown], again=False)

    assert (found.reason or "").startswith("nothing was placed: ")
    assert asyncio.get_running_loop().time() - began == pytest.approx(5 + 3, abs=0.1)


@pytest.mark.looptime
async def test_what_another_decided_while_it_was_looked_for_stands(desk: Desk) -> None:
    """Nothing is written over it, and the run stops."""
    claim = PLANNED.claimed("ours", "alice", NOW)
    theirs = PLANNED.claimed("theirs", "alice", NOW)
    await desk.ledger.swap(PLANNED, theirs)

    with pytest.raises(
        LedgerError, match=r"^another program changed the ledger; nothing more is dialled$"
    ):
        await desk.executor.look_up([claim], again=False)
    assert await desk.known() == theirs


@pytest.mark.looptime
@pytest.mark.parametrize(("failures", "state"), [(1, State.PLACED), (6, State.SENDING)])
async def test_a_look_that_fails_is_repeated_and_decides_nothing(
    desk: Desk, client: ConferenceClient, emulator: Emulator, failures: int, state: State
) -> None:
    """A service that is away for all looks leaves the target as it was."""
    claim = PLANNED.claimed("ours", "alice", NOW)
    await desk.ledger.swap(PLANNED, claim)
    await client.conferences("standup").participants.create(NEW)
    emulator.faults.add(Fault.FAIL_503, on="conferences.list", times=failures)
    view = client.with_options(retry=RetryPolicy(lookups=3, base=0.1))
    desk.executor = attrs.evolve(desk.executor, client=view)

    ((found, participant),) = await desk.executor.look_up([claim], again=False)

    assert found.state is (await desk.known()).state is state
    assert (participant is None) == (state is State.SENDING)
    if state is State.PLACED:
        assert (found.reason, found.ended_at) == ("found by its label", NOW)
    else:
        assert (found.reason or "").startswith("it could not be looked up: ")
        assert attrs.evolve(found, reason=None) == claim
        assert emulator.count("conferences.list") == 4  # one request for each look


@pytest.mark.looptime
async def test_a_kept_label_is_sent_again(desk: Desk, emulator: Emulator) -> None:
    """A label in the ledger counts, not the plan's, so that a first call would clash with it."""
    kept = attrs.evolve(PLANNED, label="kept", sent_at=NOW - timedelta(hours=1), attempts=1)

    outcome, _ = await desk.executor.call(kept, NEW, lambda: None)

    assert emulator.call(outcome.call_sid or "").label == outcome.label == "kept"
    assert outcome.sent_at == NOW - timedelta(hours=1)


@pytest.mark.looptime
async def test_a_hook_sees_the_label_and_the_number_of_the_attempt(
    desk: Desk, emulator: Emulator
) -> None:
    """The caller's own, as in a create without a campaign."""
    seen = list[tuple[str | None, int]]()

    async def look(label: str | None, number: int) -> None:
        seen.append((label, number))

    emulator.faults.add(Fault.TOO_MANY)
    view = desk.executor.client.with_options(before_send=look)
    desk.executor = attrs.evolve(desk.executor, client=view)

    assert (await desk.call()).state is State.PLACED
    assert seen == [("alice", 1), ("alice", 2)]


@pytest.mark.looptime
async def test_a_claim_is_trusted_for_a_while(desk: Desk, emulator: Emulator) -> None:
    """Ten seconds, the last one included: until then nobody is taken for dead."""
    emulator.faults.add(Fault.TOO_MANY)
    desk.stopped_after_an_attempt(CLAIM_STANDS)
    desk.meanwhile(lambda claim: claim.unknown("its worker is gone", NOW))

    assert (await desk.call()).state is State.PLACED


@pytest.mark.looptime
async def test_what_is_decided_when_the_slot_is_there_calls_nobody(
    desk: Desk, emulator: Emulator
) -> None:
    """It is raised as it is, and nothing is written."""

    def leaving() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await desk.executor.call(PLANNED, NEW, leaving)
    assert await desk.known() == PLANNED
    assert emulator.count("create") == 0


@pytest.mark.looptime
async def test_what_cannot_be_sent_yet_stays_as_it_was(desk: Desk) -> None:
    """With the reason, and nothing is written: there is nothing new to know."""

    def leaving() -> None:
        raise NotSent("the store of the pace is gone")

    outcome, participant = await desk.executor.call(PLANNED, NEW, leaving)

    assert outcome == attrs.evolve(PLANNED, reason="the store of the pace is gone")
    assert participant is None
    assert await desk.known() == PLANNED


@pytest.mark.looptime
async def test_a_row_that_changed_before_the_claim_is_not_called(
    desk: Desk, emulator: Emulator
) -> None:
    """Another program has it: this one stops, and says why."""
    await desk.ledger.swap(PLANNED, PLANNED.claimed("theirs", None, NOW))

    with pytest.raises(
        LedgerError, match=r"^another program changed the ledger; nothing more is dialled$"
    ):
        await desk.executor.call(PLANNED, NEW, lambda: None)
    assert emulator.count("create") == 0


@pytest.mark.looptime
async def test_cancelled_in_flight_it_is_unknown(desk: Desk, emulator: Emulator) -> None:
    """And before it has its slot, nothing is written."""
    emulator.faults.add(Fault.STALL)
    call = asyncio.create_task(desk.call())
    await asyncio.sleep(1)
    call.cancel()
    await asyncio.wait({call})

    assert call.cancelled()
    known = await desk.known()
    assert (known.state, known.ended_at) == (State.UNKNOWN, NOW)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("what", "counted"), [("placed", 1), ("not sent", 0), ("stalls", 1), ("is held", 0)]
)
async def test_only_what_may_have_rung_counts_as_a_call(
    desk: Desk, emulator: Emulator, tmp_path: Path, what: str, counted: int
) -> None:
    """Also where the run was cancelled while the request was under way, or was about to be."""

    async def hold(_label: str | None, _number: int) -> None:
        await asyncio.sleep(60)

    if what == "not sent":
        await emulator.stop_listening()
    elif what == "stalls":
        emulator.faults.add(Fault.STALL)
    view = desk.executor.client.with_options(
        retry=RetryPolicy(attempts=1), before_send=hold if what == "is held" else None
    )
    account_sid = view.account_sid
    async with Journal(tmp_path / "calls.db") as journal:
        contacting = Contacting(
            store=journal, account_sid=account_sid, campaign="c", wishes=Wishes()
        )
        executor = attrs.evolve(desk.executor, client=view, contacting=contacting)
        call = asyncio.create_task(executor.call(PLANNED, NEW, lambda: None))
        await asyncio.wait({call}, timeout=5)
        call.cancel()
        await asyncio.wait({call})
        assert len(await journal.contacts(account_sid, [hash_of(account_sid, TO)])) == counted


@pytest.mark.looptime
async def test_whoever_calls_hears_that_there_was_no_room(desk: Desk, emulator: Emulator) -> None:
    """With the error, which says what is full; the target is planned as before."""
    emulator.max_live = 0
    heard = list[Exception]()

    outcome, _ = await desk.executor.call(PLANNED, NEW, lambda: None, heard.append)

    (error,) = heard
    assert isinstance(error, TooManyCalls)
    assert outcome == await desk.known() == attrs.evolve(PLANNED, reason=str(error))


@pytest.mark.looptime
async def test_an_account_that_may_not_call_says_so_and_leaves_it_planned(
    desk: Desk, emulator: Emulator
) -> None:
    """It is the account's fault, not the target's."""
    wrong = Credentials(emulator.account_sid, "wrong")
    async with ConferenceClient(wrong, base_url=emulator.base_url) as client:
        desk.executor = attrs.evolve(desk.executor, client=client)
        with pytest.raises(NotAuthorized):
            await desk.call()
    assert (await desk.known()).state is State.PLANNED
