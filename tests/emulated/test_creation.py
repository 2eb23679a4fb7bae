"""Creates against everything that can go wrong: what is reported is what happened."""

import asyncio
import pickle
from typing import Any
from unittest.mock import ANY, AsyncMock, call

import pytest

from conference_async import (
    AttemptEvent,
    AttemptOutcome,
    ConferenceClient,
    ConferenceHandle,
    ConferenceNotActive,
    ConfigurationError,
    ConnectionFailed,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    LabelInUse,
    NewParticipant,
    OutcomeUnknown,
    Participant,
    Priority,
    RetryPolicy,
    TooManyRequests,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault

FROM = "+15017122661"
TO = "+15558675310"

pytestmark = pytest.mark.looptime


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def dial(room: ConferenceHandle, to: str = TO, label: str | None = None) -> Participant:
    """Dial one number."""
    return await room.participants.create(from_=FROM, to=to, label=label)


def paced(emulator: Emulator, cps: float) -> ConferenceClient:
    """Return a client with a pace of its own."""
    return ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=CreateLimit(cps),
    )


async def test_a_create_places_one_call(room: ConferenceHandle, emulator: Emulator) -> None:
    """Answered 201, it is placed once, with a label of ours."""
    participant = await dial(room)

    assert emulator.rings(TO) == 1
    assert participant.label
    assert participant.queue_time == 0
    assert not participant.reconciled


async def test_a_value_may_be_given_instead_of_keywords(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """One definition of the request serves both; None is in place of no value."""
    participant = await room.participants.create(NewParticipant(from_=FROM, to=TO, label="alice"))
    another = await room.participants.create(None, from_=FROM, to=TO, label="bob")

    assert (participant.label, another.label) == ("alice", "bob")
    assert emulator.rings(TO) == 2


@pytest.mark.parametrize(
    "fault", [Fault.RESET_AFTER, Fault.PLACE_THEN_500, Fault.TRUNCATE, Fault.HTML_200_PLACED]
)
async def test_what_was_placed_without_a_readable_answer_is_found(
    fault: Fault, room: ConferenceHandle, emulator: Emulator
) -> None:
    """The label finds it: one ring, reported as placed and reconciled."""
    emulator.faults.add(fault)

    participant = await dial(room)

    assert participant.reconciled
    assert emulator.rings(TO) == 1
    assert emulator.count("create") == 1


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.DELAY])
async def test_an_answer_that_does_not_come_in_time_is_looked_up(
    fault: Fault, client: ConferenceClient, emulator: Emulator
) -> None:
    """The time-out holds to the instant, and what was placed is found."""
    emulator.faults.add(fault, seconds=60)
    begun = now()

    participant = await dial(client.with_options(timeout=7.25).conferences("standup"))

    assert participant.reconciled
    assert now() - begun == pytest.approx(7.25, abs=1e-3)
    assert emulator.rings(TO) == 1


async def test_what_becomes_visible_late_is_found_later(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """The look-up is repeated with growing pauses."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.INVISIBLE, seconds=2.0)

    participant = await dial(room)

    assert participant.reconciled
    assert emulator.rings(TO) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.RESET_BEFORE,
        Fault.FAIL_500,
        Fault.FAIL_503,
        Fault.HTML_200,
        Fault.EMPTY_200,
        Fault.REDIRECT,
        Fault.STALL_BEFORE,
    ],
)
async def test_what_was_not_placed_is_said(
    fault: Fault, room: ConferenceHandle, emulator: Emulator
) -> None:
    """It is not sent again by itself, and the error says that the call log holds nothing of it."""
    emulator.faults.add(fault)

    with pytest.raises(OutcomeUnknown, match="Nothing was placed") as caught:
        await dial(room)

    assert emulator.rings(TO) == 0
    assert emulator.count("create") == 1
    assert caught.value.conference == "standup"
    assert caught.value.label
    assert caught.value.attempts == 1
    assert caught.value.absent
    held = [(look.where, look.held) for look in caught.value.evidence]
    assert held == [("label", "nothing"), ("call-log", "absent")]
    assert TO not in str(caught.value)


async def test_what_cannot_be_known_is_reported_as_unknown(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """Where the call log cannot be read either, the error says how to ask later."""
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=None)

    with pytest.raises(OutcomeUnknown, match="may have been placed") as caught:
        await dial(room)

    assert not caught.value.absent
    assert caught.value.evidence[-1].held == "unreadable"
    assert emulator.count("create") == 1


async def test_an_unknown_outcome_can_be_asked_again(
    room: ConferenceHandle, client: ConferenceClient, emulator: Emulator
) -> None:
    """A call that was invisible for long is found by `reconcile` once it is visible."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.INVISIBLE, seconds=100)
    with pytest.raises(OutcomeUnknown) as caught:
        await dial(room)

    assert await caught.value.reconcile(client) is None
    await asyncio.sleep(100)
    found = await caught.value.reconcile(client)

    assert found is not None
    assert found.reconciled
    assert found.label == caught.value.label


@pytest.mark.parametrize("fault", [Fault.FAIL_500, Fault.RESET_BEFORE, Fault.PLACE_THEN_500])
async def test_the_caller_may_choose_to_repeat_what_is_unknown(
    fault: Fault, client: ConferenceClient, emulator: Emulator
) -> None:
    """With `retry_unknown` the same label is sent again, so a live first call answers 16026."""
    emulator.faults.add(fault)
    emulator.faults.add(Fault.INVISIBLE, seconds=60)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=5)

    await dial(client.with_options(retry_unknown=True).conferences("standup"))

    labels = [tuple(each.form["Label"]) for each in emulator.requests if each.kind == "create"]
    assert len(labels) == 2
    assert len(set(labels)) == 1
    assert emulator.rings(TO) == 1


async def test_without_labels_the_call_log_is_all_there_is(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It finds a call that was placed; what it cannot find is looked up by numbers alone."""
    unlabelled = client.with_options(mint_labels=False).conferences("standup")
    emulator.faults.add(Fault.PLACE_THEN_500)

    placed = await dial(unlabelled)
    emulator.faults.add(Fault.FAIL_500)
    with pytest.raises(OutcomeUnknown) as caught:
        await dial(unlabelled, to="+15558675311")

    assert (placed.reconciled, placed.evidence, placed.label) == (True, "call-log", None)
    assert caught.value.label is None
    travelled = pickle.loads(pickle.dumps(caught.value))
    with pytest.raises(ConfigurationError, match="carried no label"):
        await travelled.reconcile(client)
    assert await travelled.reconcile(client, to="+15558675311", from_=FROM) is None
    assert travelled.evidence[-1].held == "early"  # no clock of another process is trusted so far


async def test_another_account_is_not_asked_what_became_of_a_create(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Its call log is empty, which would pass for proof that nobody was called."""
    emulator.visibility_lag = emulator.call_log_lag = 3600
    emulator.faults.add(Fault.PLACE_THEN_500)
    with pytest.raises(OutcomeUnknown) as caught:
        await dial(client.with_options(deadline=2).conferences("standup"))
    travelled = pickle.loads(pickle.dumps(caught.value))
    async with Emulator() as another:
        stranger = ConferenceClient(
            Credentials(another.account_sid, another.auth_token), base_url=another.base_url
        )
        async with stranger:
            for error in (caught.value, travelled):
                with pytest.raises(ConfigurationError, match="ask with a client of that account"):
                    await error.reconcile(stranger, to=TO, from_=FROM)
                assert not error.absent

    assert travelled.account_sid == emulator.account_sid
    assert emulator.rings(TO) == 1


async def test_a_refusal_is_a_refusal(client: ConferenceClient, emulator: Emulator) -> None:
    """The service's answer is kept: code, help page, request id; nobody was dialled."""
    with pytest.raises(ConferenceNotActive) as caught:
        await dial(client.conferences("CF" + "0" * 32))

    assert caught.value.status == 400
    assert caught.value.code == 16022
    assert caught.value.request_id
    assert caught.value.more_info
    assert emulator.rings(TO) == 0


async def test_a_label_of_somebody_else_is_the_callers_clash(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """16026 on a first attempt is refused, not taken for ours."""
    await dial(room, label="alice")

    with pytest.raises(LabelInUse):
        await dial(room, to="+15558675311", label="alice")

    assert emulator.rings("+15558675311") == 0


async def test_a_label_that_was_there_before_is_not_taken_for_an_unanswered_create(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """A participant older than the create has the label: the create placed nothing."""
    await dial(room, label="alice")
    await asyncio.sleep(60)
    emulator.faults.add(Fault.FAIL_500)

    with pytest.raises(LabelInUse, match="was in the conference before"):
        await dial(room, to="+15558675311", label="alice")

    assert emulator.rings("+15558675311") == 0


async def test_a_clash_with_a_label_that_only_we_know_is_looked_up(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """A request doubled below us (by a proxy, say) is not reported as refused."""
    emulator.faults.add(Fault.LABEL_CLASH)

    with pytest.raises(OutcomeUnknown):
        await dial(room)


async def test_429_is_repeated_after_the_time_the_service_asks_for(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """It was never processed, so it is safe; Retry-After is obeyed exactly."""
    emulator.faults.add(Fault.TOO_MANY, retry_after=3)
    begun = now()

    participant = await dial(room)

    assert not participant.reconciled
    assert now() - begun == pytest.approx(3, abs=1e-3)
    assert emulator.rings(TO) == 1


async def test_429_without_end_is_refused(room: ConferenceHandle, emulator: Emulator) -> None:
    """After the attempts are spent the caller hears of it; nothing was dialled."""
    emulator.faults.add(Fault.TOO_MANY, times=None)

    with pytest.raises(TooManyRequests):
        await dial(room)

    assert emulator.count("create") == RetryPolicy().attempts
    assert emulator.rings(TO) == 0


async def test_one_429_slows_everybody_on_the_client(
    room: ConferenceHandle, client: ConferenceClient, emulator: Emulator
) -> None:
    """Other requests wait out the same back-off instead of finding out for themselves."""
    await dial(room)
    emulator.faults.add(Fault.TOO_MANY, on="list", retry_after=5)
    begun = now()
    listing = asyncio.create_task(client.conferences("standup").participants.list())
    await asyncio.sleep(0.1)

    await dial(room, to="+15558675311")

    assert now() - begun == pytest.approx(5, abs=1e-3)
    await listing


async def test_a_dead_service_means_not_sent(room: ConferenceHandle, emulator: Emulator) -> None:
    """A refused connection is repeated, then reported as never sent."""
    await emulator.stop_listening()

    with pytest.raises(ConnectionFailed, match="nothing was sent"):
        await dial(room)

    await emulator.start_listening()
    assert emulator.rings(TO) == 0


async def test_a_service_that_comes_back_is_found(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A create that could not be sent is sent once the service is there again."""
    await emulator.stop_listening()
    patient = client.with_options(retry=RetryPolicy(attempts=9, base=1))
    task = asyncio.create_task(dial(patient.conferences("standup")))
    await asyncio.sleep(2)
    await emulator.start_listening()

    await task

    assert emulator.rings(TO) == 1


async def test_a_deadline_that_no_slot_can_meet_fails_before_dialling(emulator: Emulator) -> None:
    """The error tells the estimate, at once."""
    async with paced(emulator, 1) as client:
        room = client.conferences("standup")
        waiting = [asyncio.create_task(dial(room, to=f"+1555867{i:04}")) for i in range(5)]
        await asyncio.sleep(0.5)
        begun = now()

        with pytest.raises(DeadlineExceeded) as caught:
            await dial(client.with_options(deadline=2).conferences("standup"))

        assert now() == begun
        assert caught.value.estimate == pytest.approx(4.5)
        await asyncio.gather(*waiting)
    assert emulator.rings(TO) == 0


async def test_a_slot_that_does_not_come_in_time_fails_at_the_deadline(emulator: Emulator) -> None:
    """Interactive creates that pass a bulk one can cost it its deadline; nothing is sent."""
    async with paced(emulator, 1) as client:
        room = client.conferences("standup")
        first = [asyncio.create_task(dial(room, to=f"+1555868{i:04}")) for i in range(2)]
        await asyncio.sleep(0.1)
        bulk = client.with_options(deadline=2.5, priority=Priority.BULK).conferences("standup")
        task = asyncio.create_task(dial(bulk))
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(dial(room, to=f"+1555867{i:04}")) for i in range(3)]

        with pytest.raises(DeadlineExceeded) as caught:
            await task

        assert now() == pytest.approx(2.6, abs=1e-3)
        assert caught.value.estimate
        assert str(caught.value) == (
            "create: its slot did not come within the deadline of 2.5 s, so nothing was sent; "
            "raise deadline=, or send fewer creates at this CPS"
        )
        await asyncio.gather(*first, *others)
    assert emulator.rings(TO) == 0


async def test_a_slot_that_does_not_come_in_time_at_the_wire_sends_nothing(
    emulator: Emulator,
) -> None:
    """The way took five seconds of late, so all set out at once; the last slot is too late."""

    async def slow(_label: str | None, _attempt: int) -> None:
        await asyncio.sleep(5)

    async with paced(emulator, 1) as client:
        view = client.with_options(before_send=slow)
        await dial(view.conferences("standup"))
        assert now() == pytest.approx(5, abs=1e-3)
        room = view.conferences("standup")
        others = [asyncio.create_task(dial(room, to=f"+1555867{i:04}")) for i in range(2)]
        await asyncio.sleep(0)
        task = asyncio.create_task(dial(view.with_options(deadline=6.5).conferences("standup")))

        with pytest.raises(DeadlineExceeded):
            await task

        assert now() == pytest.approx(11.5, abs=1e-3)
        await asyncio.gather(*others)
    assert emulator.starts == pytest.approx([5, 10, 11], abs=1e-3)
    assert emulator.rings(TO) == 1


async def test_a_deadline_in_flight_leaves_the_outcome_unknown(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It covers the exchange and the look-ups; what may have rung is not called unsent."""
    emulator.faults.add(Fault.STALL_BEFORE)
    begun = now()

    with pytest.raises(OutcomeUnknown):
        await dial(client.with_options(deadline=4).conferences("standup"))

    assert now() - begun == pytest.approx(4, abs=1e-3)


async def test_a_deadline_holds_after_a_wait_at_the_wire(emulator: Emulator) -> None:
    """That wait counts for no time-out, but the whole call ends when its caller said."""

    async def slow(_label: str | None, _attempt: int) -> None:
        await asyncio.sleep(5)

    async with paced(emulator, 1) as client:
        view = client.with_options(before_send=slow)
        await dial(view.conferences("standup"))
        emulator.faults.add(Fault.STALL_BEFORE, to=TO)
        room = view.conferences("standup")
        others = [asyncio.create_task(dial(room, to=f"+1555867{i:04}")) for i in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(OutcomeUnknown):
            await dial(view.with_options(deadline=7.5).conferences("standup"))

        assert now() == pytest.approx(12.5, abs=1e-3)
        await asyncio.gather(*others)
    assert emulator.starts == pytest.approx([5, 10, 11], abs=1e-3)


async def test_a_deadline_cuts_reconciliation_short(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Looking up does not go on beyond it."""
    emulator.faults.add(Fault.FAIL_500)
    begun = now()

    with pytest.raises(OutcomeUnknown):
        await dial(client.with_options(deadline=1).conferences("standup"))

    assert now() - begun == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.STALL_BEFORE])
async def test_cancelled_in_flight_the_outcome_is_not_lost(
    fault: Fault, room: ConferenceHandle, client: ConferenceClient, emulator: Emulator
) -> None:
    """The cancellation is honoured at once and carries what to ask later."""
    emulator.faults.add(fault)
    task = asyncio.create_task(dial(room))
    await asyncio.sleep(1)
    task.cancel()
    begun = now()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    assert now() == begun
    unknown = OutcomeUnknown.behind(caught.value)
    assert unknown is not None
    found = await unknown.reconcile(client)
    assert (found is not None) is (emulator.rings(TO) == 1)


async def test_a_time_out_of_the_callers_carries_it_too(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """asyncio.timeout turns the cancellation into a TimeoutError with the same cause."""
    emulator.faults.add(Fault.STALL)

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(2):
            await dial(room)

    assert OutcomeUnknown.behind(caught.value) is not None


async def test_cancelled_before_it_left_there_is_nothing_to_ask(emulator: Emulator) -> None:
    """In line, at its front, or waiting for the slot: nothing was sent, no slot is lost."""
    async with paced(emulator, 1) as client:
        room = client.conferences("standup")
        await dial(room, to="+15558675311")
        tasks = [asyncio.create_task(dial(room)) for _ in range(3)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        await dial(room, to="+15558675312")

        cancelled = [each for each in results if isinstance(each, asyncio.CancelledError)]
        assert len(cancelled) == 3
        assert all(OutcomeUnknown.behind(each) is None for each in cancelled)
    assert emulator.rings(TO) == 0
    assert emulator.starts[1] - emulator.starts[0] == pytest.approx(1, abs=1e-3)


async def test_cancelled_during_reconciliation_the_outcome_is_not_lost(
    room: ConferenceHandle, emulator: Emulator
) -> None:
    """The label was on its way to be looked up: the error still carries it."""
    emulator.faults.add(Fault.FAIL_500)
    task = asyncio.create_task(dial(room))
    await asyncio.sleep(2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    assert OutcomeUnknown.behind(caught.value) is not None


async def test_what_is_written_down_before_sending_can_stop_it(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """`before_send` gets the label and attempt number; its exception means nothing was sent."""
    noted: list[tuple[str | None, int]] = []

    async def note(label: str | None, attempt: int) -> None:
        noted.append((label, attempt))
        if len(noted) == 2:
            raise RuntimeError("the disk is full")

    room = client.with_options(before_send=note).conferences("standup")
    participant = await dial(room)
    with pytest.raises(RuntimeError, match="disk"):
        await dial(room, to="+15558675311")

    assert noted[0] == (participant.label, 1)
    assert emulator.rings("+15558675311") == 0


async def test_a_plain_before_send_has_done_its_work(client: ConferenceClient) -> None:
    """It should be async; that it is not must stop no create whose label it has written down."""
    seen: list[tuple[str | None, int]] = []

    def note(*what: Any) -> Any:
        seen.append(what)

    participant = await dial(client.with_options(before_send=note).conferences("standup"))

    assert seen == [(participant.label, 1)]


async def test_what_else_a_before_send_is_does_not_matter(client: ConferenceClient) -> None:
    """It may be an object with attributes of any name, as a mock is: it is only called."""
    note = AsyncMock()

    await dial(client.with_options(before_send=note).conferences("standup"))

    assert note.mock_calls == [call(ANY, 1)]


@pytest.mark.parametrize("cps", [0.05, 1])
async def test_writing_down_slowly_delays_a_create_and_no_more(
    emulator: Emulator, cps: float
) -> None:
    """However long `before_send` takes, it is awaited once per attempt, and the slot is used."""
    written_down: list[tuple[str | None, int]] = []

    async def slow(label: str | None, attempt: int) -> None:
        written_down.append((label, attempt))
        await asyncio.sleep(2.2)

    async with paced(emulator, cps) as client:
        participant = await dial(client.with_options(before_send=slow).conferences("standup"))

    assert written_down == [(participant.label, 1)]
    assert emulator.starts == [pytest.approx(2.2, abs=1e-3)]


async def test_a_repeated_attempt_is_written_down_again(emulator: Emulator) -> None:
    """It leaves at a slot of its own, and `before_send` is given its number."""
    written_down: list[int] = []

    async def slow(_label: str | None, attempt: int) -> None:
        written_down.append(attempt)
        await asyncio.sleep(0.4)

    emulator.faults.add(Fault.TOO_MANY, retry_after=3)
    async with paced(emulator, 1) as client:
        await dial(client.with_options(before_send=slow).conferences("standup"))

    assert written_down == [1, 2]
    assert emulator.starts == [pytest.approx(0.4 + 3 + 0.4, abs=1e-3)]


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
async def test_a_limit_that_fails_to_learn_loses_no_call(
    error: type[BaseException], emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A placed participant is returned, and the limit's mistake logged."""

    class Forgetful(Unpaced):
        def observe(self, queue_time: int) -> None:
            raise error(queue_time)

    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    async with ConferenceClient(
        credentials, base_url=emulator.base_url, limit=Forgetful()
    ) as client:
        participant = await dial(client.conferences("standup"))

    assert participant.call_sid
    logged = [each for each in caplog.records if each.name == "conference_async.sending"]
    assert [each.message for each in logged] == ["the limit's observe() raised; the call goes on"]
    assert f"{error.__name__}: 0\n" in caplog.text


async def test_a_limit_that_is_slow_to_hand_on_its_line_costs_no_place(emulator: Emulator) -> None:
    """A create that is cancelled meanwhile leaves its slot and its place to the next."""

    class Slow(Unpaced):
        given_back = 0

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(1)

        def give_back(self) -> None:
            self.given_back += 1

    limit = Slow()
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=limit,
        max_concurrency=1,
    ) as client:
        task = asyncio.create_task(dial(client.conferences("standup")))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        assert limit.given_back == 1
        async with asyncio.timeout(10):
            await dial(client.conferences("standup"))

    assert now() == pytest.approx(1.5, abs=1e-3)
    assert emulator.rings(TO) == 1


async def test_every_attempt_is_reported(
    client: ConferenceClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """One frozen value each, to the callback and the log, without a phone number."""
    events: list[AttemptEvent] = []
    emulator.faults.add(Fault.TOO_MANY, retry_after=1)
    caplog.set_level("DEBUG", logger="conference_async")

    await dial(client.with_options(on_attempt=events.append).conferences("standup"))

    first, second = events
    assert (first.kind, first.number, first.status, first.verdict) == ("create", 1, 429, "retry")
    assert (first.code, first.outcome) == (20429, AttemptOutcome.TOO_MANY)
    assert (second.number, second.status, second.verdict) == (2, 201, "return")
    assert second.queue_wait == pytest.approx(1, abs=1e-3)
    assert second.request_id
    assert second.request_id.startswith("RQ")
    assert second.concurrent_requests == 1
    assert second.label == first.label
    assert TO not in caplog.text
    assert "TOO_MANY" in caplog.text


async def test_a_callback_that_fails_loses_no_call(
    client: ConferenceClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The mistake is logged and the participant returned."""

    def broken(_event: AttemptEvent) -> None:
        raise ZeroDivisionError

    await dial(client.with_options(on_attempt=broken).conferences("standup"))

    assert "on_attempt raised" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert emulator.rings(TO) == 1


@pytest.mark.parametrize("error", [asyncio.CancelledError, ZeroDivisionError, TimeoutError])
async def test_a_callback_may_raise_anything(
    error: type[BaseException], client: ConferenceClient, emulator: Emulator
) -> None:
    """Asking a cancelled future for its result, say, does not cancel a create that was placed."""

    def broken(_event: AttemptEvent) -> None:
        raise error

    placed = await dial(client.with_options(on_attempt=broken).conferences("standup"))

    assert placed.call_sid
    assert emulator.rings(TO) == 1


async def test_what_ends_the_program_carries_who_was_called(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """An exception that ends the program goes on, with the label of the call that was placed."""

    class Ending(BaseException):
        """Like SystemExit, which asyncio would take for an order to stop the tests."""

    def ending(_event: AttemptEvent) -> None:
        raise Ending

    with pytest.raises(Ending) as caught:
        await dial(client.with_options(on_attempt=ending).conferences("standup"), label="alice")

    unknown = OutcomeUnknown.behind(caught.value)
    assert unknown is not None
    placed = await unknown.reconcile(client)
    assert placed is not None
    assert placed.label == "alice"
    assert emulator.rings(TO) == 1


async def test_an_async_callback_is_refused(client: ConferenceClient) -> None:
    """It would be called and never awaited, so it would report nothing."""

    async def report(_event: AttemptEvent) -> None: ...

    with pytest.raises(ConfigurationError, match="on_attempt"):
        client.with_options(on_attempt=report)  # type: ignore[arg-type]  # what a checker says, too


async def test_an_unreadable_reply_is_the_cause(room: ConferenceHandle, emulator: Emulator) -> None:
    """The error chain says what stood in the reply's place."""
    emulator.faults.add(Fault.HTML_200)

    with pytest.raises(OutcomeUnknown) as caught:
        await dial(room)

    assert isinstance(caught.value.__cause__, UnexpectedReply)
