"""What a create became that got no answer, by its label and by the account's call log."""

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    ConfigurationError,
    Credentials,
    OutcomeUnknown,
    Participant,
    RequestTimeout,
    RetryPolicy,
    TooManyRequests,
    UnexpectedReply,
    Unpaced,
)
from conference_async.emulator import Emulator, Fault, Script
from conference_async.models import mint_label
from conference_async.sending.register import Remembered

FROM = "+15017122661"
TO = "+15558675310"

pytestmark = pytest.mark.looptime


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def dial(client: ConferenceClient, to: str = TO, **fields: Any) -> Participant:
    """Dial a number into one conference."""
    room = client.conferences("standup")
    return await room.participants.create(from_=FROM, to=to, **fields)


async def doubt(client: ConferenceClient, to: str = TO, **fields: Any) -> OutcomeUnknown:
    """Dial a number, and return the error that says that nobody knows."""
    with pytest.raises(OutcomeUnknown) as caught:
        await dial(client, to, **fields)
    return caught.value


def held(error: OutcomeUnknown) -> str:
    """Return what the last look held, which was at the call log."""
    assert error.evidence[-1].where == "call-log"
    return error.evidence[-1].held


def elsewhere(emulator: Emulator) -> ConferenceClient:
    """Return another program's client, of which ours knows nothing."""
    return ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url.replace("127.0.0.1", "localhost"),
        limit=Unpaced(),
    )


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (Script(outcome="busy", after=0), "busy"),
        (Script(outcome="failed", after=0), "failed"),
        (Script(outcome="no_answer"), "no-answer"),
        (Script(after=0, hang_up_after=0), "complete"),
    ],
)
async def test_a_call_that_is_over_is_found_with_its_end(
    script: Script, status: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """The label is nobody's any more; the log says which call it was and how it ended."""
    emulator.script("5310", script)
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.INVISIBLE, seconds=99)
    policy = RetryPolicy(settled=80)

    placed = await dial(client.with_options(retry=policy))

    assert (placed.reconciled, placed.evidence, placed.status) == (True, "call-log", status)
    assert placed.call_sid
    assert emulator.call(placed.call_sid).label == placed.label
    assert emulator.rings(TO) == 1


async def test_what_lives_is_found_by_its_label_and_what_was_answered_by_its_reply(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The evidence says which rung of the ladder it was."""
    answered = await dial(client)
    emulator.faults.add(Fault.PLACE_THEN_500)
    found = await dial(client, "+15558675311")

    assert (answered.evidence, answered.reconciled) == ("reply", False)
    assert (found.evidence, found.reconciled) == ("label", True)
    assert emulator.count("calls.list") == 0


async def test_the_log_is_asked_once_the_call_must_be_in_it(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Thirty seconds after the attempt ended, however early the label is given up."""
    emulator.call_log_lag = 29.9
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.PLACE_THEN_500)

    placed = await dial(client.with_options(retry=RetryPolicy(lookups=1)))

    assert now() == pytest.approx(30, abs=1e-3)
    assert placed.evidence == "call-log"
    asked = [each.query for each in emulator.requests if each.kind == "calls.list"]
    assert [query["From"] for query in asked] == [[FROM]] * 3


async def test_a_deadline_that_comes_first_leaves_it_to_be_asked_later(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The error says that the log was not asked yet; `reconcile` asks it when it is time."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.PLACE_THEN_500)

    unknown = await doubt(client.with_options(deadline=5))

    assert now() == pytest.approx(5, abs=1e-3)
    assert held(unknown) == "early"
    assert await unknown.reconcile(client) is None
    assert held(unknown) == "early"
    await asyncio.sleep(25)
    found = await unknown.reconcile(client)
    assert found is not None
    assert (found.status, found.evidence) == ("busy", "call-log")


async def test_an_unreadable_log_leaves_it_unknown(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It is read again a few times; then the error says why it could not be."""
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.HTML_200, on="calls.list", times=None)

    unknown = await doubt(client)

    assert held(unknown) == "unreadable"
    assert now() == pytest.approx(37.5, abs=1e-3)
    assert "not the JSON of a page of calls" in str(unknown)
    emulator.faults.clear()
    assert await unknown.reconcile(client) is None
    assert unknown.absent


async def test_a_label_that_cannot_be_looked_for_is_said(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The last look at each place is told, with its time and what stood in the way."""
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.HTML_200, on="conferences.list", times=None)

    unknown = await doubt(client)

    label, log = unknown.evidence
    assert (label.where, label.held) == ("label", "unreadable")
    assert label.detail.startswith("the reply is not the JSON of a page of conferences")
    assert (log.where, log.held, log.detail) == ("call-log", "absent", "")
    assert label.at.tzinfo is log.at.tzinfo is UTC


async def test_a_deadline_does_not_hide_that_the_log_was_unreadable(
    client: ConferenceClient, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It was asked in time, and could not be read; the debug log says so, too."""
    caplog.set_level(logging.DEBUG, "conference_async")
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.HTML_200, on="calls.list", times=None)

    unknown = await doubt(client.with_options(deadline=30.2), label="alice")

    assert now() == pytest.approx(30.2, abs=1e-3)
    assert held(unknown) == "unreadable"
    why = unknown.evidence[-1].detail
    assert f"looking for label alice failed: {why}" in [each.message for each in caplog.records]


async def test_what_must_be_visible_is_looked_for_at_once(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Nothing is waited for where all that was placed can be seen."""
    emulator.script("5310", Script(outcome="busy", after=0))
    sent = datetime.now(UTC)
    await dial(client)
    found = await client.with_options(retry=RetryPolicy(settled=0, lookups=1)).find_placed(
        "standup", "bob", sent_at=sent, ended_at=sent, to=TO, from_=FROM, wait=True
    )

    assert found is None
    assert now() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("ours_rang", [True, False])
async def test_two_calls_that_could_be_it_leave_it_unknown(
    ours_rang: bool, client: ConferenceClient, emulator: Emulator
) -> None:
    """Other software dials that number for the account; nobody can tell whose call is whose."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.PLACE_THEN_500 if ours_rang else Fault.FAIL_500)
    create = asyncio.create_task(doubt(client))
    await asyncio.sleep(1)
    async with elsewhere(emulator) as others:
        for _ in range(1 if ours_rang else 2):
            await dial(others)

    assert held(await create) == "several"


async def test_a_call_long_after_the_answer_was_due_is_not_taken_for_ours(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Nothing was placed, and another program dials the number ten seconds later."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    create = asyncio.create_task(doubt(client))
    await asyncio.sleep(10)
    async with elsewhere(emulator) as others:
        await dial(others)

    assert held(await create) == "untimely"


async def test_a_call_of_before_is_not_taken_for_ours(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """What another program dialled before is out of the question, so nothing was placed."""
    emulator.script("5310", Script(outcome="busy", after=0))
    async with elsewhere(emulator) as others:
        await dial(others)
    await asyncio.sleep(4)
    emulator.faults.add(Fault.FAIL_500)

    assert (await doubt(client)).absent


@pytest.mark.parametrize("label", ["alice", None])
async def test_a_call_in_another_conference_is_not_taken_for_ours(
    label: str | None, client: ConferenceClient, emulator: Emulator
) -> None:
    """It goes on, and the conference does not show it: it may be another program's."""
    emulator.faults.add(Fault.FAIL_500)
    fields = {} if label is None else {"label": label}
    create = asyncio.create_task(doubt(client, **fields))
    await asyncio.sleep(1)
    async with elsewhere(emulator) as others:
        await others.conferences("party").participants.create(from_=FROM, to=TO)

    assert held(await create) == "elsewhere"


async def test_somebody_else_in_our_conference_is_not_taken_for_ours(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Their label shows it, so that nothing else is left that could be ours."""
    emulator.faults.add(Fault.FAIL_500)
    create = asyncio.create_task(doubt(client))
    await asyncio.sleep(1)
    async with elsewhere(emulator) as others:
        await dial(others, label="bob")

    assert (await create).absent


async def test_calls_of_other_creates_here_are_not_taken_for_ours(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Another client of the account in this process called it, and knows its call."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    create = asyncio.create_task(doubt(client))
    await asyncio.sleep(1)
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url=emulator.base_url,
        limit=Unpaced(),
    ) as other:
        await dial(other)

    assert (await create).absent


async def test_two_creates_in_doubt_do_not_take_the_same_call(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The same number twice at once: one of them was placed, and nobody knows which."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.PLACE_THEN_500)

    both = await asyncio.gather(doubt(client), doubt(client))

    assert [held(error) for error in both] == ["shared", "shared"]
    assert [await error.reconcile(client) for error in both] == [None, None]


async def test_a_call_from_another_caller_is_not_taken_for_ours(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The log is asked for both numbers."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    create = asyncio.create_task(doubt(client))
    await asyncio.sleep(1)
    async with elsewhere(emulator) as others:
        room = others.conferences("standup")
        await room.participants.create(from_="+15558675399", to=TO)

    assert (await create).absent


async def test_a_caller_that_is_shown_instead_counts_too(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The log may have either number of a create that gives both."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.PLACE_THEN_500)
    create = asyncio.create_task(doubt(client, caller_id="+15558675399"))
    await asyncio.sleep(1)
    async with elsewhere(emulator) as others:
        room = others.conferences("standup")
        await room.participants.create(from_="+15558675399", to=TO)

    assert held(await create) == "several"


@pytest.mark.parametrize("to", ["5558675310", "sip:bob@example.com", "client:bob"])
async def test_what_the_log_may_spell_another_way_is_not_searched_for(
    to: str, client: ConferenceClient, emulator: Emulator
) -> None:
    """Nothing found under one spelling would be no proof, so it stays unknown, at once."""
    emulator.faults.add(Fault.FAIL_500)

    unknown = await doubt(client, to)

    assert held(unknown) == "unsearchable"
    assert await unknown.reconcile(client) is None
    assert held(unknown) == "unsearchable"
    assert now() == pytest.approx(7.5, abs=1e-3)
    assert emulator.count("calls.list") == 0


async def test_the_whole_log_is_read_page_by_page(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A call on a later page counts as one on the first: here it makes two that could be ours."""
    emulator.script("5310", Script(outcome="busy", after=0))
    async with elsewhere(emulator) as others:
        create = asyncio.create_task(dial(client))
        emulator.faults.add(Fault.STALL)
        await asyncio.sleep(1)
        rooms = [others.conferences(f"room {number}") for number in range(5)] * 201
        await asyncio.gather(
            *(room.participants.create(from_=FROM, to=TO) for room in rooms[:1001])
        )
        with pytest.raises(OutcomeUnknown) as caught:
            await create

    assert held(caught.value) == "several"
    pages = [each for each in emulator.requests if "PageToken" in each.query]
    assert len(pages) == 1


async def test_when_absent_sends_again_with_the_same_label(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Only after the log was read; what failed three times rings once."""
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.RESET_BEFORE)
    emulator.faults.add(Fault.LABEL_CLASH)
    attempts: list[AttemptEvent] = []
    view = client.with_options(retry_unknown="when-absent", on_attempt=attempts.append)

    placed = await dial(view)

    creates = [each for each in attempts if each.kind == "create"]
    assert [each.verdict for each in creates] == ["reconcile", "reconcile", "reconcile", "return"]
    assert len({each.label for each in creates}) == 1
    assert [round(each.sent_at) for each in creates] == [0, 30, 60, 90]
    assert (placed.reconciled, emulator.rings(TO)) == (False, 1)


async def test_a_call_between_two_attempts_is_not_taken_for_ours(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The first is known to have placed nothing when another program calls, before the second."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.plan(
        lambda request: Fault.FAIL_500 if request.form.get("Label") == ["ours"] else None
    )

    async def slowly(_label: str | None, attempt: int) -> None:
        await asyncio.sleep(20 if attempt > 1 else 0)

    view = client.with_options(retry_unknown="when-absent", before_send=slowly)
    create = asyncio.create_task(doubt(view, label="ours"))
    await asyncio.sleep(40)
    async with elsewhere(emulator) as others:
        await dial(others, label="theirs")

    assert held(await create) == "untimely"
    assert now() == pytest.approx(80, abs=0.1)


async def test_when_absent_sends_nothing_again_that_may_have_rung(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Neither what is found over, nor what cannot be told."""
    emulator.script("5310", Script(outcome="busy", after=0))
    view = client.with_options(retry_unknown="when-absent")
    emulator.faults.add(Fault.PLACE_THEN_500)
    found = await dial(view)
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.FAIL_503, on="calls.list", times=None)
    unknown = await doubt(view, "+15558665310")

    assert found.status == "busy"
    assert not unknown.absent
    assert emulator.count("create") == 2


async def test_what_is_known_to_be_absent_is_sent_again_without_a_budget(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Ten repeats on the mere chance have spent it; one that cannot ring twice costs nothing."""
    policy = RetryPolicy(attempts=20, base=0, lookups=1, settled=0)
    emulator.faults.add(Fault.FAIL_500, times=None)
    for kind in ("conferences.list", "calls.list"):
        emulator.faults.add(Fault.FAIL_503, on=kind, times=None)
    await doubt(client.with_options(retry_unknown=True, retry=policy))
    assert emulator.count("create") == 11
    emulator.faults.clear()
    emulator.faults.add(Fault.FAIL_500)

    await dial(client.with_options(retry_unknown="when-absent", retry=policy))

    assert emulator.count("create") == 13
    assert emulator.rings(TO) == 1


async def test_a_repeat_that_is_refused_is_refused(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The first attempt is known to have placed nothing, so the last one's end is that of all."""
    emulator.faults.add(Fault.FAIL_500)
    view = client.with_options(retry_unknown="when-absent", before_send=only_once)

    with pytest.raises(OSError, match="full"):
        await dial(view)

    assert emulator.rings(TO) == 0


async def only_once(_label: str | None, attempt: int) -> None:
    """Fail before the second attempt."""
    if attempt > 1:
        raise OSError("the disk is full")


@pytest.mark.parametrize("value", ["always", "absent", None, 1.5, 1])
async def test_an_odd_choice_is_refused(value: Any, client: ConferenceClient) -> None:
    """A misspelt word must not mean yes."""
    with pytest.raises(ConfigurationError, match="False, True or 'when-absent'"):
        client.with_options(retry_unknown=value)


async def test_what_is_asked_by_numbers_alone_is_told_when(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Whoever kept the label, the numbers and the time can ask without the error."""
    sent_at = datetime.now(UTC)
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.STALL)
    create = asyncio.create_task(dial(client, label="alice"))
    await asyncio.sleep(1)
    create.cancel()
    await asyncio.wait({create})
    looks: list[str] = []
    policy = RetryPolicy(settled=0)

    found = await client.with_options(retry=policy).find_placed(
        "standup",
        "alice",
        sent_at=sent_at,
        to=TO,
        from_=FROM,
        wait=True,
        looked=lambda look: looks.append(look.held),
    )

    assert found is not None
    assert (found.evidence, found.status, found.label) == ("call-log", "busy", "alice")
    assert set(looks) == {"nothing"}


async def test_a_deadline_bounds_a_look_that_does_not_wait(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It is that of all its requests together, each of which may take its time."""
    emulator.faults.add(Fault.DELAY, on="conferences.list", seconds=4, times=None)
    sent = datetime.now(UTC)

    with pytest.raises(RequestTimeout, match=r"^find: not looked everywhere within .* of 6 s; "):
        await client.with_options(deadline=6).find_placed("standup", "bob", sent_at=sent)

    assert now() == pytest.approx(6, abs=1e-3)
    assert await client.with_options(deadline=9).find_placed("standup", "bob") is None
    assert now() == pytest.approx(14, abs=1e-3)


@pytest.mark.parametrize("failure", [RuntimeError("no"), asyncio.CancelledError()])
async def test_who_is_told_of_looks_does_not_end_the_search(
    failure: BaseException, client: ConferenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises is logged, and what was found out is returned."""

    def looked(_look: object) -> None:
        raise failure

    assert await client.find_placed("standup", "bob", looked=looked) is None
    said = [each.message for each in caplog.records]
    assert said.count("looked raised; the search goes on") == 2  # the label, and the log
    assert f"\n{type(failure).__name__}" in caplog.text.replace("asyncio.exceptions.", "")


async def test_who_is_told_of_looks_is_not_async(client: ConferenceClient) -> None:
    """Nobody would await it."""

    async def looked(_look: object) -> None:
        """Do nothing, once it is awaited."""

    with pytest.raises(ConfigurationError, match=r"^looked calls its function and does not await"):
        await client.find_placed("standup", "bob", looked=looked)


CALL, ROOM = "CA" + "1" * 32, "CF" + "2" * 32


class Desk:
    """A service that says what it is told to say, of one call and who is in one conference."""

    def __init__(self, **states: Any) -> None:
        self.log = {"status": "in-progress", **states}
        self.others: list[dict[str, Any]] = []
        self.now: dict[str, Any] | None = None
        self.inside: dict[str, dict[str, Any]] = {}
        self.live = True

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one look."""
        created = format_datetime(datetime.now(UTC))
        call = {"sid": CALL, "to": TO, "from": FROM, "direction": "outbound-api"}
        call["date_created"] = created
        *_, kind, name = request.path.removesuffix(".json").split("/")
        if name == "Calls":
            calls = [call | self.log, *(call | self.log | other for other in self.others)]
            return web.json_response({"calls": calls, "next_page_uri": None})
        if name == "Conferences":
            rooms = [{"sid": ROOM, "friendly_name": "standup"}] if self.live else []
            return web.json_response({"conferences": rooms, "next_page_uri": None})
        if kind == "Calls":
            return web.json_response(call | self.log | (self.now or {}))
        if kind == "Participants" and name in self.inside:
            seen = {"call_sid": name, "date_created": created, "status": "connected"}
            return web.json_response(seen | self.inside[name])
        return web.json_response({"code": 20404, "message": "no", "status": 404}, status=404)


async def ask(
    desk: Desk, serve: Any, label: str | None
) -> tuple[Participant | None, list[str], list[str]]:
    """Return what was found of a create of just now, what the looks held, and what was asked."""
    looks: list[str] = []
    kinds: list[str] = []
    client = await serve(
        desk,
        retry=RetryPolicy(settled=0),
        on_attempt=lambda event: kinds.append(event.kind),
    )
    sent = datetime.now(UTC)
    found = await client.find_placed(
        "standup",
        label,
        sent_at=sent,
        ended_at=sent,
        to=TO,
        from_=FROM,
        looked=lambda look: looks.append(f"{look.where}: {look.held}"),
    )
    return found, looks, kinds


@pytest.mark.parametrize("theirs", ["alice", " Alice"])
async def test_who_comes_into_sight_while_the_log_is_read_is_told_by_the_label(
    theirs: str, serve: Any
) -> None:
    """The label found nobody; a moment later the call's own participant carries it."""
    desk = Desk()
    desk.inside[CALL] = {"label": theirs, "muted": True}

    found, looks, kinds = await ask(desk, serve, "alice")

    assert found is not None
    assert (found.call_sid, found.label, found.muted) == (CALL, theirs, True)
    assert (found.reconciled, found.evidence) == (True, "call-log")
    assert looks == ["label: nothing"]
    assert set(kinds) == {"conference.list", "fetch", "calls.list"}


@pytest.mark.parametrize("answer", [{"label": "bob"}, {"label": "alice", "to": "+15558675311"}])
async def test_what_a_label_finds_is_compared_with_what_was_sent(
    answer: dict[str, Any], serve: Any
) -> None:
    """A proxy that mixes up its answers has nobody taken for whom we called."""
    desk = Desk(status="busy")
    desk.inside["alice"] = answer

    found, looks, _ = await ask(desk, serve, "alice")

    assert found is not None
    assert found.evidence == "call-log"
    assert looks == ["label: nothing"]


async def test_a_label_of_our_own_needs_no_date(serve: Any) -> None:
    """Nobody else has it, whenever they came."""
    label, desk = mint_label(), Desk()
    desk.inside[label] = {"label": label, "call_sid": CALL, "date_created": None}

    found, looks, _ = await ask(desk, serve, label)

    assert found is not None
    assert (found.call_sid, found.evidence) == (CALL, "label")
    assert looks == []


@pytest.mark.parametrize(("ours", "theirs"), [("alice", "bob"), (None, "bob")])
async def test_a_live_call_of_another_label_is_not_ours(
    ours: str | None, theirs: str, serve: Any
) -> None:
    """Also where ours carried none: then nothing is left that could be it."""
    desk = Desk()
    desk.inside[CALL] = {"label": theirs}

    found, looks, _ = await ask(desk, serve, ours)

    assert found is None
    assert looks[-1] == "call-log: absent"


@pytest.mark.parametrize("label", ["alice", None])
async def test_a_live_call_in_the_conference_without_a_label_is_ours(
    label: str | None, serve: Any
) -> None:
    """The one call to that number, and it is in the conference: so it is told with all it has."""
    desk = Desk()
    desk.inside[CALL] = {"label": None}

    found, _, _ = await ask(desk, serve, label)

    assert found is not None
    assert (found.account_sid, found.call_sid, found.conference_sid, found.label) == (
        "AC" + "1" * 32,
        CALL,
        ROOM,
        label,
    )
    assert (found.reconciled, found.evidence, found.status) == (True, "call-log", "connected")
    assert found.date_created is not None
    assert abs(datetime.now(UTC) - found.date_created) < timedelta(minutes=1)


@pytest.mark.parametrize(("live", "conference_sid"), [(True, ROOM), (False, "")])
async def test_a_call_that_ended_while_the_log_was_read_is_ours(
    live: bool, conference_sid: str, serve: Any
) -> None:
    """Its own record says how; where the conference of the name is over, it has no SID."""
    desk = Desk()
    desk.now, desk.live = {"status": "busy"}, live

    found, looks, kinds = await ask(desk, serve, "alice")

    assert found is not None
    assert (found.call_sid, found.status, found.conference_sid) == (CALL, "busy", conference_sid)
    assert looks == ["label: nothing"]
    assert kinds[-1] == "call.fetch" if live else "call.fetch" in kinds


async def test_a_live_call_that_is_not_in_the_conference_is_elsewhere(serve: Any) -> None:
    """Its own record says that it goes on."""
    found, looks, kinds = await ask(Desk(), serve, "alice")

    assert found is None
    assert looks == ["label: nothing", "call-log: elsewhere"]
    assert "call.fetch" in kinds


async def test_a_log_without_end_is_given_up(serve: Any) -> None:
    """A proxy that serves one page again and again is named as what it may be."""
    pages = 0

    async def answer(request: web.BaseRequest) -> web.Response:
        nonlocal pages
        if "/Calls" not in request.path:
            return web.json_response({"conferences": [], "next_page_uri": None})
        pages += 1
        link = f"/2010-04-01/Accounts/AC{'1' * 32}/Calls.json?Page={pages}"
        return web.json_response({"calls": [], "next_page_uri": link})

    client = await serve(answer, retry=RetryPolicy(settled=0))
    sent = datetime.now(UTC)
    with pytest.raises(
        UnexpectedReply, match=r"^the call log has more than 100 pages of 1000 calls"
    ):
        await client.find_placed("standup", "bob", sent_at=sent, ended_at=sent, to=TO, from_=FROM)

    assert pages == 100


async def test_each_of_several_live_calls_is_asked_about(serve: Any) -> None:
    """What is known of one of them says nothing about the next."""
    desk = Desk()
    desk.others = [{"sid": "CA" + "2" * 32}, {"sid": "CA" + "3" * 32}]

    found, looks, kinds = await ask(desk, serve, "alice")

    assert found is None
    assert looks[-1] == "call-log: several"
    assert kinds.count("call.fetch") == 3


async def test_a_call_that_was_found_is_nobody_elses(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Two creates were written down; the one call is that of the first who asks, again and again.

    The second then knows that it placed nothing.
    """
    emulator.script("5310", Script(outcome="busy", after=0))
    sent = datetime.now(UTC)
    async with elsewhere(emulator) as others:
        call = await dial(others)
    view = client.with_options(retry=RetryPolicy(settled=0))
    looks: list[str] = []

    async def asked(label: str) -> str | None:
        found = await view.find_placed(
            "standup",
            label,
            sent_at=sent,
            ended_at=sent,
            to=TO,
            from_=FROM,
            looked=lambda look: looks.append(look.held),
        )
        return None if found is None else found.call_sid

    assert await asked("alice") == call.call_sid
    assert await asked("bob") is None
    assert looks[-1] == "absent"
    assert await asked("alice") == call.call_sid


async def test_what_was_known_when_it_was_in_doubt_is_known_when_it_is_asked_again(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Calls of other creates are remembered for a quarter of an hour, and in the error for good."""
    emulator.script("5310", Script(outcome="busy", after=0))
    await dial(client)
    emulator.faults.add(Fault.FAIL_500)
    unknown = await doubt(client.with_options(deadline=5))
    await asyncio.sleep(1000)
    await dial(client, "+15558675311")

    assert await unknown.reconcile(client) is None
    assert unknown.absent


async def test_a_create_that_is_asked_for_again_by_its_label_is_the_same(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The doubt of the first is that of the second: the one call is theirs."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.PLACE_THEN_500)
    await doubt(client.with_options(deadline=5), label="alice")

    placed = await dial(client, label="alice")

    assert (placed.evidence, placed.label, placed.status) == ("call-log", "alice", "busy")


async def test_a_create_that_was_turned_down_is_no_reason_to_doubt(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """It left, was refused to the end, and placed nothing: the one call is the next one's."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.TOO_MANY)
    with pytest.raises(TooManyRequests):
        await dial(client.with_options(retry=RetryPolicy(attempts=1)))
    emulator.faults.add(Fault.PLACE_THEN_500)

    placed = await dial(client)

    assert (placed.evidence, placed.status) == ("call-log", "busy")


async def test_what_is_known_to_be_absent_is_no_reason_to_doubt(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The call log showed that the first placed nothing: the one call is the next one's."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    assert (await doubt(client)).absent
    emulator.faults.add(Fault.PLACE_THEN_500)

    placed = await dial(client)

    assert (placed.evidence, placed.status) == ("call-log", "busy")


async def test_a_create_without_a_label_is_looked_for_in_the_log_alone(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """Nothing is waited for before that: no label can come into sight."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.PLACE_THEN_500)
    policy = RetryPolicy(settled=0)

    placed = await dial(client.with_options(mint_labels=False, retry=policy))

    assert (placed.evidence, placed.label) == ("call-log", None)
    assert now() == pytest.approx(0, abs=1e-3)


async def test_a_repeated_attempt_without_a_label_is_no_other_create(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """The doubt of the first attempt is that of the second: the one call is theirs."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    emulator.faults.add(Fault.PLACE_THEN_500)
    emulator.faults.add(Fault.FAIL_503, on="calls.list")
    policy = RetryPolicy(lookups=1, settled=0)

    placed = await dial(client.with_options(mint_labels=False, retry_unknown=True, retry=policy))

    assert (placed.evidence, placed.status) == ("call-log", "busy")
    assert emulator.count("create") == 2


async def test_a_label_that_was_minted_for_a_create_needs_no_date(serve: Any) -> None:
    """Nobody else has it, so whom it finds is who was called."""

    async def answer(request: web.BaseRequest) -> web.Response:
        """Place a call without saying so, and show its participant without a date."""
        *_, name = request.path.removesuffix(".json").split("/")
        if request.method == "POST":
            return web.json_response({"message": "no", "status": 500}, status=500)
        if name == "Conferences":
            rooms = [{"sid": ROOM, "friendly_name": "standup"}]
            return web.json_response({"conferences": rooms, "next_page_uri": None})
        return web.json_response({"call_sid": CALL, "label": name, "date_created": None})

    placed = await dial(await serve(answer))

    assert (placed.call_sid, placed.evidence) == (CALL, "label")


async def test_a_doubt_of_long_ago_is_no_reason_to_doubt(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """What was sent six minutes before can have placed nothing so late."""
    emulator.script("5310", Script(outcome="busy", after=0))
    emulator.faults.add(Fault.FAIL_500)
    await doubt(client.with_options(deadline=5))
    await asyncio.sleep(360)
    emulator.faults.add(Fault.PLACE_THEN_500)

    placed = await dial(client)

    assert (placed.evidence, placed.status) == ("call-log", "busy")


@pytest.mark.parametrize(
    ("remembered", "held"),
    [
        ({"age": -890}, "shared"),
        ({"age": -910}, None),
        ({"age": 1250}, "shared"),
        ({"age": 1270}, None),
        ({"age": None}, "shared"),
        ({"age": 0, "placed": True}, "absent"),
        ({"age": 0, "label": "alice"}, None),
        ({"age": 0, "to": "+15558675311"}, None),
    ],
)
async def test_what_ledgers_and_journals_remember_is_not_taken_for_ours(
    remembered: dict[str, Any],
    held: str | None,
    client: ConferenceClient,
    emulator: Emulator,
) -> None:
    """A create of theirs to that number: its call is not ours, its doubt is ours for a while.

    That is a quarter of an hour before ours was sent, and after it could last have rung.
    """
    emulator.script("5310", Script(outcome="busy", after=0))
    await asyncio.sleep(100)
    sent = datetime.now(UTC)
    async with elsewhere(emulator) as others:
        call = await dial(others)
    age = remembered["age"]

    async def remember(numbers: Collection[str]) -> list[Remembered]:
        assert list(numbers) == [TO]
        return [
            Remembered(
                to=remembered.get("to", TO),
                key=(remembered.get("label", "bob"), "standup"),
                sent_at=None if age is None else sent + timedelta(seconds=age),
                call_sid=call.call_sid if remembered.get("placed") else None,
            )
        ]

    client.register.add(remember)
    await asyncio.sleep(200)  # when it is asked makes no difference
    sent -= timedelta(seconds=200)  # times of day do not go by the loop's clock
    looks: list[str] = []
    found = await client.with_options(retry=RetryPolicy(settled=0)).find_placed(
        "standup",
        "alice",
        sent_at=sent,
        ended_at=sent,
        to=TO,
        from_=FROM,
        looked=lambda look: looks.append(look.held),
    )

    assert found is None if held else found is not None
    assert looks == ["nothing", *([held] if held else [])]
