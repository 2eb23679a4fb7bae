"""One intent, one ring: whoever comes with a key gets the same participant."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from conference_async import (
    Calls,
    ConferenceClient,
    ConferenceHandle,
    ConfigurationError,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    InvalidParameter,
    Journal,
    LabelInUse,
    LedgerError,
    NewParticipant,
    NotSent,
    OutcomeUnknown,
    PlacedParticipant,
    Polling,
    RetryPolicy,
    State,
    Unpaced,
    dial_and_wait,
)
from conference_async.emulator import Emulator, Fault, Script
from conference_async.sending.intents import Intent, elapsed

FROM, TO = "+15017122661", "+15558675310"


async def ask(client: ConferenceClient, key: str, to: str = TO, **fields: Any) -> PlacedParticipant:
    """Ask for somebody in the room, once."""
    room = client.conferences("standup")
    return await room.participants.create(from_=FROM, to=to, once=key, **fields)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    while not condition():  # noqa: ASYNC110 -- made true in another place
        await asyncio.sleep(0.01)


def intent(client: ConferenceClient, key: str, to: str = TO, **fields: Any) -> Intent:
    """Return the intent of `ask`, before anybody has claimed it."""
    new = NewParticipant(from_=FROM, to=to, **fields)
    return Intent.of(client.account_sid, key, "standup", new)


async def test_all_who_come_at_once_get_the_same(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """One of them dials; those of the same process and of others wait, and are told so."""
    clients = [connect() for _ in range(3)]
    found = await asyncio.gather(*(ask(client, key) for client in clients for _ in range(5)))

    assert len({each.call_sid for each in found}) == 1
    assert sorted(each.repeated for each in found) == [False, *[True] * 14]
    assert emulator.rings(TO) == emulator.count("create") == 1


async def test_whoever_comes_later_gets_the_same(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """In another process, when the call is long over: all that was answered, and that it was."""
    first = await ask(connect(), key, label="alice")
    emulator.hang_up(first.call_sid)
    again = await ask(connect(), key, label="alice")

    assert not first.repeated
    assert attrs.evolve(again, repeated=False) == first
    assert again.repeated
    assert type(again) is PlacedParticipant
    assert again.status is first.status
    assert emulator.rings(TO) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order", "ORDER"),
        ("é", "e\N{COMBINING ACUTE ACCENT}"),
        ("5558675310", "05558675310"),
        ("a b", "a  b"),
    ],
)
async def test_keys_are_compared_as_they_are(
    client: ConferenceClient, emulator: Emulator, one: str, other: str, key: str
) -> None:
    """What looks alike, or differs in case only, names two intents."""
    found = [await ask(client, f"{name} {key}") for name in (one, other, one)]

    assert len({each.call_sid for each in found}) == 2
    assert [each.repeated for each in found] == [False, False, True]
    assert emulator.rings(TO) == 2


async def test_another_request_under_the_key_is_refused(
    client: ConferenceClient, emulator: Emulator, key: str
) -> None:
    """Nobody is dialled, and the error tells no number; the order of words is no difference."""
    events = {"status_callback": "https://example.com"}
    await ask(client, key, status_callback_event="ringing answered", **events)
    assert (await ask(client, key, status_callback_event="answered ringing", **events)).repeated

    room = client.conferences("other").participants
    for other in (
        ask(client, key),
        ask(client, key, to="+15558675311", status_callback_event="ringing answered", **events),
        ask(client, key, status_callback_event="ringing", **events),
        ask(client, key, label="bob", status_callback_event="ringing answered", **events),
        room.create(from_=FROM, to=TO, once=key),
    ):
        with pytest.raises(InvalidParameter, match="was used for another") as raised:
            await other
        assert raised.value.parameter == "once"
        assert "555" not in str(raised.value).replace(key, "")
    assert emulator.count("create") == 1


async def test_what_is_in_flight_is_no_other_request_s(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """The misuse is said at once, not when the first one is through."""
    emulator.latency = 1.0
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    with pytest.raises(InvalidParameter, match="was used for another"):
        await ask(connect(), key, to="+15558675311")

    assert not (await first).repeated


async def test_refused_frees_the_key(
    client: ConferenceClient, emulator: Emulator, books: Any, key: str
) -> None:
    """The next may even send something else."""
    await client.conferences("standup").participants.create(from_=FROM, to=TO, label="alice")
    with pytest.raises(LabelInUse):
        await ask(client, key, label="alice")
    assert books.states() == []

    assert not (await ask(client, key, label="bob")).repeated
    assert emulator.rings(TO) == 2


async def test_all_who_wait_for_what_is_refused_are_refused(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """Each of them asks the service, one after the other, as without a key."""
    await connect().conferences("standup").participants.create(from_=FROM, to=TO, label="alice")
    asked = [ask(connect(), key, label="alice") for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(each) for each in found] == [LabelInUse] * 3
    assert emulator.rings(TO) == 1


async def test_not_sent_frees_the_key(
    client: ConferenceClient, emulator: Emulator, books: Any, key: str
) -> None:
    """No connection could be made: nothing happened."""
    await emulator.stop_listening()
    with pytest.raises(NotSent):
        await ask(client, key)
    assert books.states() == []

    await emulator.start_listening()
    assert not (await ask(client, key)).repeated
    assert emulator.rings(TO) == 1


async def test_a_before_send_that_raises_frees_the_key(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """It is called after the claim, with the label; what it raises stops the create."""

    async def refuse(label: str | None, number: int) -> None:
        assert label is not None
        assert await asyncio.to_thread(books.states) == ["sending"]
        raise LookupError(number)

    with pytest.raises(LookupError, match=r"^1$"):
        await ask(connect(before_send=refuse), key)

    assert books.states() == []
    assert emulator.count("create") == 0


async def test_unknown_keeps_the_key(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """Whoever asks later has it looked for again, and hears the same: nobody is dialled."""
    emulator.faults.add(Fault.RESET_BEFORE)
    with pytest.raises(OutcomeUnknown):
        await ask(connect(), key)
    assert books.states() == ["unknown"]

    with pytest.raises(OutcomeUnknown, match="dials again only as retry_unknown= says") as raised:
        await ask(connect(), key)
    unknown = raised.value
    assert (unknown.conference, unknown.attempts) == ("standup", 1)
    assert unknown.label is not None
    assert unknown.sent_at is not None
    assert emulator.count("create") == 1


async def test_what_was_unknown_is_found_later(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """By its label, as soon as it shows; from then on it is simply known."""
    emulator.faults.add(Fault.INVISIBLE, seconds=3)
    emulator.faults.add(Fault.PLACE_THEN_500)
    with pytest.raises(OutcomeUnknown):
        await ask(connect(), key)
    found = None
    while found is None:
        with suppress(OutcomeUnknown):
            found = await ask(connect(), key)
    again = await ask(connect(), key)

    assert (found.reconciled, found.repeated) == (True, True)
    assert again == found
    assert books.states() == ["placed"]
    assert emulator.rings(TO) == emulator.count("create") == 1


async def test_dialling_again_is_the_caller_s_choice(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """With ``retry_unknown`` the same label goes out again, and all get what that placed."""
    emulator.faults.add(Fault.RESET_BEFORE)
    with pytest.raises(OutcomeUnknown) as raised:
        await ask(connect(), key)
    clients = [connect(retry_unknown=True) for _ in range(3)]
    found = await asyncio.gather(*(ask(each, key) for each in clients))

    assert {each.label for each in found} == {raised.value.label}
    assert len({each.call_sid for each in found}) == 1
    assert emulator.rings(TO) == 1
    assert emulator.count("create") == 2


async def test_dialling_again_only_where_nothing_was_placed(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """With ``when-absent`` the call log decides: of two keys in doubt, one rang already."""
    careful = connect(retry_unknown="when-absent")
    patient = RetryPolicy(attempts=1, base=0.02, lookups=1, settled=0.1)
    emulator.script("+15558675311", Script(outcome="busy", after=0.0))
    for to, fault in ((TO, Fault.RESET_BEFORE), ("+15558675311", Fault.PLACE_THEN_500)):
        emulator.faults.add(fault)
        emulator.faults.add(Fault.FAIL_500, on=None, times=20)  # and nothing can be looked up
        with pytest.raises(OutcomeUnknown):
            await ask(connect(retry=patient), f"{key} {to}", to)
        emulator.faults.clear()
        assert (await ask(careful, f"{key} {to}", to)).call_sid

    assert emulator.ring_counts == {TO: 1, "+15558675311": 1}
    assert emulator.count("create") == 3


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.LABEL_CLASH, None])
async def test_dialling_again_in_vain_leaves_it_unknown(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    books: Any,
    key: str,
    fault: Fault | None,
) -> None:
    """Refused or not sent is true of the second attempt only."""
    emulator.faults.add(Fault.RESET_BEFORE)
    with suppress(OutcomeUnknown):
        await ask(connect(), key)
    if fault is None:
        second = connect(retry_unknown=True, before_send=_refuse)
    else:
        emulator.faults.add(fault)
        second = connect(retry_unknown=True, retry=RetryPolicy(attempts=1, lookups=1, settled=0.1))
    with pytest.raises(OutcomeUnknown):
        await ask(second, key)

    assert books.states() == ["unknown"]
    assert emulator.rings(TO) == 0


async def _refuse(_label: str | None, _number: int) -> None:
    raise LookupError


async def test_a_dead_process_s_call_is_found(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """It died after its request left: the label leads to what was placed."""
    client = connect()
    journal = client.options.journal
    assert journal is not None
    planned = intent(client, key)
    await journal.swap(planned, claim := planned.claimed("dead", "plabel", datetime.now(UTC)))
    room = client.conferences("standup")
    dialled = await room.participants.create(from_=FROM, to=TO, label="plabel")
    asked = asyncio.create_task(ask(client, key))
    await asyncio.sleep(0.4)
    assert not asked.done()  # while it may be alive, it is waited for

    books.kill()
    found = await asked

    assert found.call_sid == dialled.call_sid
    assert found.repeated
    assert await journal.known(claim) != claim
    assert emulator.rings(TO) == 1


async def test_a_process_that_died_before_it_sent(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """Nobody can know: not one of those who come rings."""
    client = connect()
    journal = client.options.journal
    assert journal is not None
    planned = intent(client, key)
    await journal.swap(planned, planned.claimed("dead", "plabel", datetime.now(UTC)))
    books.kill()
    found = await asyncio.gather(
        *(ask(each, key) for each in (connect(), connect())), return_exceptions=True
    )

    assert [type(each) for each in found] == [OutcomeUnknown] * 2
    assert [each.label for each in found if isinstance(each, OutcomeUnknown)] == ["plabel"] * 2
    assert books.states() == ["unknown"]
    assert emulator.count("create") == 0


async def test_a_label_that_was_there_before_frees_nothing(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """That verdict hangs on two clocks: it must not make a phone ring again."""
    client = connect(retry_unknown=False)
    journal = client.options.journal
    assert journal is not None
    await client.conferences("standup").participants.create(from_=FROM, to=TO, label="alice")
    await asyncio.sleep(4)
    planned = intent(client, key, label="alice")
    await journal.swap(planned, planned.claimed("dead", "alice", datetime.now(UTC)))
    books.kill()
    with pytest.raises(OutcomeUnknown, match="was in the conference before"):
        await ask(client, key, label="alice")

    assert books.states() == ["unknown"]


async def test_a_deadline_bounds_the_wait(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """It may have been placed, by somebody else; the first one is not disturbed."""
    emulator.latency = 2.0
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    with pytest.raises(OutcomeUnknown, match="another create with this key is in flight"):
        await ask(connect(deadline=1), key)

    assert not (await first).repeated
    assert emulator.rings(TO) == 1


class Left:
    """A journal in which another process has claimed every key, and is dead or not."""

    def __init__(self, *, held: bool = False) -> None:
        self.held = held
        self.since = datetime.now(UTC)
        self.outcome: PlacedParticipant | None = None
        self.comes_to_life: PlacedParticipant | None = None

    async def known(self, entry: Intent) -> Intent:
        """Return the claim, or what came of it."""
        claim = entry
        if entry.state is State.PLANNED:
            claim = entry.claimed("theirs", "alice", self.since)
        if self.outcome is None:
            return attrs.evolve(claim, held=self.held)
        return attrs.evolve(claim.placed(self.outcome, self.since), participant=self.outcome)

    async def swap(self, before: Intent, after: Intent) -> bool:  # noqa: ARG002 -- the protocol's signature
        """Take note of nothing; whoever comes to life has been quicker."""
        self.outcome = self.comes_to_life
        return self.outcome is None

    async def remembered(self, account_sid: str, numbers: object) -> list[Any]:  # noqa: ARG002 -- the protocol's signature
        """Know of no other create."""
        return []


def beside(left: Left, emulator: Emulator, **options: Any) -> ConferenceClient:
    """Return the client of a process that comes after the one that claimed all keys."""
    return ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Unpaced(),
        journal=left,
        **options,
    )


@pytest.mark.looptime
async def test_a_deadline_bounds_the_search_for_a_call_of_somebody_dead(
    emulator: Emulator, key: str
) -> None:
    """The call log would tell in some minutes; the error knows what to ask it then."""
    why = (
        "alice': whoever claimed the key is gone, and it is not certain what became of the call; "
        "the same key may be asked again"
    )
    async with beside(Left(), emulator, deadline=5) as client:
        with pytest.raises(OutcomeUnknown, match=why) as caught:
            await ask(client, key)

        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=1e-3)
        assert await caught.value.reconcile(client) is None
    assert caught.value.evidence[-1].held == "early"


@pytest.mark.looptime
async def test_a_deadline_bounds_the_wait_for_somebody_who_is_at_it(
    emulator: Emulator, key: str
) -> None:
    """To the instant, between two looks at the key."""
    async with beside(Left(held=True), emulator, deadline=5) as client:
        with pytest.raises(
            OutcomeUnknown, match="alice': another create with this key is in flight;"
        ):
            await ask(client, key)

        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=1e-3)


@pytest.mark.looptime
async def test_somebody_taken_for_dead_who_was_only_slow_has_the_last_word(
    emulator: Emulator, key: str
) -> None:
    """Nothing was found of its call, and then it writes down what it placed."""
    left = Left()
    left.comes_to_life = PlacedParticipant(
        account_sid=emulator.account_sid,
        call_sid="CA" + "1" * 32,
        conference_sid="CF" + "1" * 32,
        label="alice",
    )
    async with beside(left, emulator) as client:
        placed = await ask(client, key)

    assert placed == attrs.evolve(left.comes_to_life, repeated=True)
    assert emulator.count("create") == 0


async def test_an_asker_that_is_cancelled_hurts_nobody(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """Neither the one that dials nor those that wait; and it carries no doubt of its own."""
    emulator.latency = 0.6
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    others = [asyncio.create_task(ask(connect(), key)) for _ in range(2)]
    await asyncio.sleep(0.1)
    others[0].cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await others[0]

    assert raised.value.__cause__ is None
    assert (await others[1]).call_sid == (await first).call_sid
    assert emulator.rings(TO) == 1


async def test_a_claimer_that_is_cancelled_in_flight_leaves_it_to_be_found(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """Its form had left: those who wait find the call, and do not dial."""
    emulator.latency = 0.4
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    other = asyncio.create_task(ask(connect(), key))
    first.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await first

    assert isinstance(raised.value.__cause__, OutcomeUnknown)
    with suppress(OutcomeUnknown):  # it may not be visible yet
        await other
    assert (await ask(connect(), key)).repeated
    assert emulator.rings(TO) == emulator.count("create") == 1


async def test_a_claimer_that_is_cancelled_in_line_leaves_nothing(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """It had no slot yet, so it had claimed nothing: the next one dials."""
    limit = CreateLimit(1)
    client = connect(limit=limit)
    await ask(client, f"{key} before")
    first = asyncio.create_task(ask(client, key))
    await asyncio.sleep(0.1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    assert books.states() == ["placed"]
    assert not (await ask(connect(), key)).repeated


async def test_whoever_waits_takes_no_slot(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """Ten who ask for one key at one call a second cost one slot, and the next waits for one."""
    limit = CreateLimit(1)
    clients = [connect(limit=limit) for _ in range(2)]
    loop = asyncio.get_running_loop()
    await ask(clients[0], f"{key} before")
    begun = loop.time()
    same = [asyncio.create_task(ask(clients[n % 2], key)) for n in range(10)]
    await asyncio.sleep(0.1)
    await ask(clients[0], f"{key} after")
    took = loop.time() - begun
    await asyncio.gather(*same)

    assert emulator.count("create") == 3
    assert took < 9  # a slot each would be eleven


async def test_journals_are_apart(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str, tmp_path: Path
) -> None:
    """The same key in another journal is another intent, also while the first is in line."""
    limit = CreateLimit(0.01)
    await ask(connect(limit=limit), f"{key} before")
    first = asyncio.create_task(ask(connect(limit=limit), key))
    await asyncio.sleep(0.1)
    async with Journal(tmp_path / "other.db") as other:
        assert not (await ask(connect(journal=other), key)).repeated
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
    assert emulator.rings(TO) == 2


async def test_a_deadline_in_line_says_that_nothing_was_sent(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """The one who waits for the one who waits for a slot may simply ask again."""
    client = connect(limit=CreateLimit(0.25))
    await ask(client, f"{key} before")
    first = asyncio.create_task(ask(client, key))
    await asyncio.sleep(0.1)
    with pytest.raises(DeadlineExceeded, match="so nothing was sent; ask again with the same key"):
        await ask(client.with_options(deadline=1), key)

    assert not (await first).repeated


async def test_a_deadline_that_no_slot_can_meet_leaves_the_key_free(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """It is told at once, and the same key dials when there are slots."""
    client = connect(limit=CreateLimit(0.01))
    await ask(client, f"{key} before")
    with pytest.raises(DeadlineExceeded, match="the earliest free slot is"):
        await ask(client.with_options(deadline=60), key)

    assert not (await ask(connect(), key)).repeated
    assert emulator.rings(TO) == 2


class Watched:
    """A journal that notes what is asked of it, and may do something else."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal
        self.swaps: list[tuple[State, State]] = []
        self.before_swap: Callable[[Intent, Intent], Any] | None = None
        self.before_look: Callable[[], Any] | None = None

    async def remembered(self, account_sid: str, numbers: Any) -> Any:
        """Pass it on."""
        return await self.journal.remembered(account_sid, numbers)

    async def known(self, entry: Intent) -> Intent | None:
        """Pass it on."""
        if self.before_look is not None:
            await self.before_look()
        found: Intent | None = await self.journal.known(entry)
        return found

    async def swap(self, before: Intent, after: Intent) -> bool:
        """Note it, and pass it on."""
        if self.before_swap is not None:
            await self.before_swap(before, after)
        swapped: bool = await self.journal.swap(before, after)
        self.swaps.append((before.state, after.state))
        return swapped


@pytest.fixture
def watched(books: Any) -> Watched:
    """Return a journal that is watched."""
    return Watched(books.open())


async def test_one_commit_more_before_the_request(
    connect: Callable[..., ConferenceClient], emulator: Emulator, watched: Watched, key: str
) -> None:
    """The claim, and nothing else; one more when the answer is there."""
    seen: list[list[tuple[State, State]]] = []

    def look(_request: object) -> None:
        seen.append(list(watched.swaps))

    emulator.faults.plan(look)
    await ask(connect(journal=watched), key)

    assert seen[0] == [(State.PLANNED, State.SENDING)]
    assert watched.swaps[1:] == [(State.SENDING, State.PLACED)]


async def test_without_a_key_the_journal_is_not_asked(
    connect: Callable[..., ConferenceClient], books: Any, watched: Watched
) -> None:
    """Such a create costs what it cost without one: no thread, no file, no connection."""
    watched.journal = None
    client = connect(journal=watched)
    await client.conferences("standup").participants.create(from_=FROM, to=TO)

    assert watched.swaps == []
    if isinstance(books.where, Path):
        assert not await asyncio.to_thread(books.where.exists)


async def test_a_process_that_was_stopped_does_not_dial_late(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    watched: Watched,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped after its claim, it wakes up when others have given it up: it asks, and stays out."""
    client = connect(journal=watched)
    now = elapsed()

    async def stop(_label: str | None, _number: int) -> None:
        """Stand still for a minute, in which somebody else comes."""
        monkeypatch.setattr("conference_async.sending.hold.elapsed", lambda: now + 60)
        claim = await watched.known(intent(client, key))
        assert claim is not None
        assert await watched.swap(claim, claim.unknown("it is gone", datetime.now(UTC)))

    with pytest.raises(NotSent, match="its turn was over"):
        await ask(client.with_options(before_send=stop), key)

    assert emulator.count("create") == 0
    monkeypatch.undo()
    assert not (await ask(connect(), key)).repeated


async def test_a_process_that_was_stopped_leaves_it_to_who_took_over(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    watched: Watched,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else has dialled meanwhile: it gets what they placed."""
    client = connect(journal=watched)
    now = elapsed()
    theirs: list[PlacedParticipant] = []

    async def stop(label: str | None, _number: int) -> None:
        """Stand still for a minute, in which somebody else dials."""
        claim = await watched.known(intent(client, key))
        assert claim is not None
        room = client.with_options(before_send=None).conferences("standup")
        placed = await room.participants.create(from_=FROM, to=TO, label=label)
        other = attrs.evolve(claim, token="theirs").placed(placed, datetime.now(UTC))
        assert await watched.swap(claim, unknown := claim.unknown("gone", datetime.now(UTC)))
        assert await watched.swap(unknown, attrs.evolve(other, participant=placed))
        theirs.append(placed)
        monkeypatch.setattr("conference_async.sending.hold.elapsed", lambda: now + 60)

    ours = await ask(client.with_options(before_send=stop), key)

    assert ours.call_sid == theirs[0].call_sid
    assert ours.repeated
    assert emulator.rings(TO) == emulator.count("create") == 1


async def test_a_process_that_was_stopped_goes_on_if_nobody_came(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    watched: Watched,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks the journal once more before it dials."""
    now = elapsed()
    stops = iter([now + 60])

    async def stop(_label: str | None, _number: int) -> None:
        """Stand still for a minute, once."""
        if (later := next(stops, None)) is not None:
            monkeypatch.setattr("conference_async.sending.hold.elapsed", lambda: later)

    await ask(connect(journal=watched, before_send=stop), key)

    assert watched.swaps == [
        (State.PLANNED, State.SENDING),
        (State.SENDING, State.SENDING),
        (State.SENDING, State.PLACED),
    ]
    assert emulator.rings(TO) == 1


async def test_a_process_that_was_stopped_waits_for_its_journal_until_the_deadline(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    watched: Watched,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A journal that is gone just then holds up nobody beyond it, and nothing is sent."""
    now, silent = elapsed(), asyncio.Event()

    async def stop(_label: str | None, _number: int) -> None:
        """Stand still for a minute."""
        monkeypatch.setattr("conference_async.sending.hold.elapsed", lambda: now + 60)

    async def hang(before: Intent, after: Intent) -> None:
        """Answer no more who asks whether the claim stands."""
        if before.state is after.state:
            await silent.wait()

    watched.before_swap = hang
    client = connect(journal=watched, before_send=stop, deadline=1)
    with pytest.raises(DeadlineExceeded, match="so nothing was sent"):
        await ask(client, key)

    assert emulator.count("create") == 0


async def test_a_claim_is_renewed_while_its_create_is_under_way(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    watched: Watched,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the service takes, nobody takes its process for dead."""
    monkeypatch.setattr("conference_async.sending.hold.RENEWED_EVERY", 0.05)
    emulator.latency = 1.5
    failing = iter([False, True])

    async def fail(before: Intent, after: Intent) -> None:
        if before.state is after.state is State.SENDING and next(failing, False):
            raise LedgerError("the server is gone")

    watched.before_swap = fail
    await ask(connect(journal=watched), key)

    assert watched.swaps.count((State.SENDING, State.SENDING)) > 2
    assert watched.swaps[-1] == (State.SENDING, State.PLACED)
    count = len(watched.swaps)
    await asyncio.sleep(0.2)
    assert len(watched.swaps) == count


async def test_placed_is_placed_whatever_the_journal_says(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    books: Any,
    watched: Watched,
    key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The participant is returned, a warning says so, and the next to ask finds the call."""

    async def fail(_before: Intent, after: Intent) -> None:
        if after.state is State.PLACED:
            raise LedgerError("the disk is full")

    watched.before_swap = fail
    with caplog.at_level(logging.WARNING):
        first = await ask(connect(journal=watched), key)
    assert "the journal does not know how a create ended: the disk is full" in caplog.text

    books.kill()
    assert (await ask(connect(), key)).call_sid == first.call_sid
    assert emulator.rings(TO) == 1


async def test_a_claim_that_fails_sends_nothing(
    connect: Callable[..., ConferenceClient], emulator: Emulator, watched: Watched, key: str
) -> None:
    """The journal cannot be written to: that is the error, whatever may have been written."""

    async def fail(_before: Intent, after: Intent) -> None:
        if after.state is State.SENDING:
            raise LedgerError("the disk is full")

    watched.before_swap = fail
    with pytest.raises(LedgerError, match="the disk is full"):
        await ask(connect(journal=watched), key)

    assert emulator.count("create") == 0


async def test_a_journal_that_is_slow_is_no_reason_to_wait(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    watched: Watched,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was placed is returned after a moment; the writing goes on alone."""
    monkeypatch.setattr("conference_async.sending.once._FAREWELL", 0.1)
    go_on = asyncio.Event()

    async def wait(_before: Intent, after: Intent) -> None:
        if after.state is State.PLACED:
            await go_on.wait()

    watched.before_swap = wait
    first = await ask(connect(journal=watched), key)
    go_on.set()

    assert (await ask(connect(), key)).call_sid == first.call_sid


async def cancelled_at(
    state: State, seconds: float, watched: Watched, creating: Callable[[], Coroutine[Any, Any, Any]]
) -> asyncio.CancelledError:
    """Cancel a create while the journal takes so long to write a state down; return its end."""
    reached = asyncio.Event()

    async def wait(_before: Intent, after: Intent) -> None:
        if after.state is state:
            reached.set()
            await asyncio.sleep(seconds)

    watched.before_swap = wait
    task = asyncio.create_task(creating())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    return raised.value


async def test_cancelled_while_it_is_written_down(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    books: Any,
    watched: Watched,
    key: str,
) -> None:
    """It was placed: the cancellation says that somebody may have been called."""
    client = connect(journal=watched)

    cancelled = await cancelled_at(State.PLACED, 0.2, watched, lambda: ask(client, key))

    assert isinstance(cancelled.__cause__, OutcomeUnknown)
    assert (await ask(connect(), key)).repeated
    assert emulator.rings(TO) == 1


async def test_cancelled_while_it_claims(
    connect: Callable[..., ConferenceClient],
    emulator: Emulator,
    books: Any,
    watched: Watched,
    key: str,
) -> None:
    """The claim is taken back in the order of writing, and nothing was sent."""
    client = connect(journal=watched)

    cancelled = await cancelled_at(State.SENDING, 10, watched, lambda: ask(client, key))

    assert cancelled.__cause__ is None
    assert not (await ask(connect(), key)).repeated
    assert emulator.rings(TO) == 1


async def test_whoever_waits_for_callbacks_may_ask_again(
    client: ConferenceClient, emulator: Emulator, key: str
) -> None:
    """Each create has callbacks of its own, by which it is told from others: no other request."""
    room = client.conferences("standup")

    async def ask_with(calls: Calls) -> bool:
        labelled = calls.labelled("alice", conference=room.name)
        placed = await room.participants.create(from_=FROM, to=TO, once=key, **labelled)
        return placed.repeated

    assert not await ask_with(Calls("https://example.com/hooks"))
    assert await ask_with(Calls("https://example.com/hooks"))
    with pytest.raises(InvalidParameter, match="was used for another"):
        await ask_with(Calls("https://example.com/other"))
    assert emulator.rings(TO) == 1


async def test_dial_and_wait_waits_for_the_call_of_then(
    client: ConferenceClient, emulator: Emulator, key: str
) -> None:
    """Asked again with the key it dials nobody, and hears how the call stands."""
    emulator.script(TO, Script(after=0.1))
    room = client.conferences("standup")
    new = NewParticipant(from_=FROM, to=TO, label="alice")
    views = [
        await dial_and_wait(room, new, calls=Polling(room, every=0.1), timeout=5, once=key)
        for _ in range(2)
    ]

    assert views[0].call_sid == views[1].call_sid
    assert emulator.rings(TO) == 1


async def test_a_visit_has_the_participant_of_then(
    client: ConferenceClient, emulator: Emulator, key: str
) -> None:
    """A block that is run again with the same key rings nobody, and hangs up on whoever is left."""
    room = client.conferences("standup")
    placed = await ask(client, key)
    async with room.participant(from_=FROM, to=TO, once=key) as alice:
        assert alice.key == placed.call_sid
        assert _live(room, emulator) == 1

    assert _live(room, emulator) == 0
    assert emulator.rings(TO) == 1


def _live(room: ConferenceHandle, emulator: Emulator) -> int:
    return len(emulator.participants(room.name)) if emulator.conferences else 0


async def test_a_visit_that_is_cancelled_in_flight_takes_back_its_own(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """It hangs up on whom it dialled, and the key says that there was a call."""
    emulator.latency = 0.2
    room = connect().conferences("standup")

    async def visit() -> None:
        async with room.participant(from_=FROM, to=TO, once=key):
            await asyncio.sleep(60)

    task = asyncio.create_task(visit())
    await until(lambda: emulator.count("create"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert _live(room, emulator) == 0
    assert books.states() == ["placed"]
    assert (await ask(connect(), key)).repeated


async def test_a_visit_that_only_waited_takes_nothing_back(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """The call is another's, who is still at it."""
    emulator.latency = 0.5
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    room = connect().conferences("standup")

    async def visit() -> None:
        async with room.participant(from_=FROM, to=TO, once=key):
            await asyncio.sleep(60)

    task = asyncio.create_task(visit())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not (await first).repeated
    assert _live(room, emulator) == 1


async def test_a_call_that_was_over_at_once_stays_unknown_or_is_found(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """Whatever the ladder of evidence finds of a call that was busy, nobody is dialled again."""
    emulator.script(TO, Script(outcome="busy", after=0.0))
    emulator.faults.add(Fault.PLACE_THEN_500)
    found = await asyncio.gather(*(ask(connect(), key) for _ in range(3)), return_exceptions=True)

    assert {type(each) for each in found} <= {OutcomeUnknown, PlacedParticipant}
    assert emulator.count("create") == 1


async def test_a_client_that_mints_no_labels(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """The key holds all the same; what is in doubt cannot be looked up by a label."""
    client = connect(mint_labels=False)
    first = await ask(client, key)
    assert (await ask(client, key)).call_sid == first.call_sid
    emulator.faults.add(Fault.RESET_BEFORE)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as raised:
            await ask(client, f"{key} other")
        assert raised.value.label is None

    assert emulator.count("create") == 2


@pytest.mark.parametrize("journal", ["calls.db", Path("calls.db"), object()])
async def test_a_journal_is_no_path(emulator: Emulator, journal: Any) -> None:
    """It is said when the client is made, and not when the first key comes."""
    with pytest.raises(ConfigurationError, match=r"as in Journal\('calls.db'\), not"):
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token), journal=journal, limit=Unpaced()
        )


async def test_a_key_needs_a_journal(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """Without one it is refused, and not ignored, on every road."""
    client = connect(journal=None)
    room = client.conferences("standup")
    with pytest.raises(ConfigurationError, match="once= needs a journal"):
        await ask(client, key)
    with pytest.raises(ConfigurationError, match="once= needs a journal"):
        async with room.participant(from_=FROM, to=TO, once=key):
            pass
    new = NewParticipant(from_=FROM, to=TO)
    with pytest.raises(ConfigurationError, match="once= needs a journal"):
        await dial_and_wait(room, new, calls=Polling(room), timeout=1, once=key)

    assert emulator.count("create") == 0


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("", "must not be empty"),
        (" ", "must not be empty"),
        ("a" * 256, "has 256 characters; at most 255"),
        ("a\nb", "printable characters only"),
        ("a\0b", "printable characters only"),
        ("\ud800", "printable characters only"),
        (42, "must be text, not int"),
    ],
)
async def test_what_can_be_no_key(
    connect: Callable[..., ConferenceClient], emulator: Emulator, wrong: Any, problem: str
) -> None:
    """It is refused with the bound that it breaks."""
    with pytest.raises(InvalidParameter, match=problem) as raised:
        await ask(connect(), wrong)

    assert raised.value.parameter == "once"
    assert emulator.count("create") == 0


async def test_a_call_of_another_intent_is_not_taken_for_ours(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """Two keys, one number: the one that was never sent does not claim the other one's call."""
    client = connect()
    journal = client.options.journal
    assert journal is not None
    planned = intent(client, key)
    await journal.swap(planned, planned.claimed("dead", "pdead", datetime.now(UTC)))
    elsewhere = connect(base_url=emulator.base_url.replace("127.0.0.1", "localhost"))
    theirs = await ask(elsewhere, f"{key} other")
    emulator.hang_up(theirs.call_sid)
    books.kill()
    with pytest.raises(OutcomeUnknown) as raised:
        await ask(client, key)

    assert raised.value.evidence[-1].where == "call-log"
    assert emulator.rings(TO) == 1


async def test_the_log_finds_a_call_that_is_over(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """Its process died, and nobody picked up: the key leads to that call, and rings no other."""
    client = connect()
    journal = client.options.journal
    assert journal is not None
    planned = intent(client, key)
    await journal.swap(planned, planned.claimed("dead", "pdead", datetime.now(UTC)))
    elsewhere = connect(base_url=emulator.base_url.replace("127.0.0.1", "localhost"))
    room = elsewhere.conferences("standup")
    dialled = await room.participants.create(from_=FROM, to=TO, label="pdead")
    emulator.hang_up(dialled.call_sid)
    books.kill()
    found = await ask(client, key)

    assert (found.call_sid, found.evidence) == (dialled.call_sid, "call-log")
    assert found.repeated
    assert await ask(connect(), key) == found
    assert emulator.rings(TO) == 1


async def test_a_clock_that_was_set_back(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """The log is asked about times, and these cannot be trusted: it is not asked, nobody rings."""
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.script(TO, Script(outcome="busy", after=0.0))
    client = connect(retry_unknown="when-absent")
    journal = client.options.journal
    assert journal is not None
    planned = intent(client, key)
    await journal.swap(planned, planned.claimed("dead", "pdead", datetime.now(UTC)))
    books.run(
        "UPDATE conference_async_intent SET sent_at = sent_at + 3600, "
        "changed_at = changed_at + 3600, held_until = 0 WHERE ACCOUNT"
    )
    async with asyncio.timeout(10):
        with pytest.raises(OutcomeUnknown):
            await ask(client, key)

    assert emulator.count("create") == 0


async def test_only_slow_is_not_dead(
    connect: Callable[..., ConferenceClient], emulator: Emulator, books: Any, key: str
) -> None:
    """Taken for dead while its request was under way, its answer has the last word."""
    emulator.latency = 1.0
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    await asyncio.to_thread(books.kill)
    emulator.latency = 0.0
    with suppress(OutcomeUnknown):
        await ask(connect(), key)
    placed = await first
    again = await ask(connect(), key)

    assert again.call_sid == placed.call_sid
    assert books.states() == ["placed"]
    assert emulator.rings(TO) == emulator.count("create") == 1


async def test_cancelled_at_any_moment(
    connect: Callable[..., ConferenceClient], emulator: Emulator, key: str
) -> None:
    """Whenever it happens, whoever asks next gets the one call there is, or hears of the doubt."""
    client = connect()
    rung = 0
    for step in range(40):
        to = f"+1555867{step:04}"
        task = asyncio.create_task(ask(client, f"{key} {step}", to))
        await asyncio.sleep(step * 0.0007)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(OutcomeUnknown):
            placed = await ask(client, f"{key} {step}", to)
            assert emulator.call(placed.call_sid).to == to
            rung += 1

    assert set(emulator.ring_counts.values()) == {1}
    assert rung > 20


async def test_a_journal_that_falls_silent_while_another_dials(
    connect: Callable[..., ConferenceClient], emulator: Emulator, watched: Watched, key: str
) -> None:
    """At the deadline it may have rung, whatever the journal does not say; before, it has not."""
    emulator.latency = 3.0
    first = asyncio.create_task(ask(connect(), key))
    await until(lambda: emulator.count("create"))
    looks = iter([False])

    async def fall_silent() -> None:
        if next(looks, True):
            await asyncio.sleep(60)

    watched.before_look = fall_silent
    view = connect(journal=watched, deadline=1)
    with pytest.raises(OutcomeUnknown, match="another create with this key is in flight"):
        await ask(view, key)
    with pytest.raises(DeadlineExceeded, match="the journal did not answer within the deadline"):
        await ask(view, f"{key} other")

    await first
    assert emulator.count("create") == 1
