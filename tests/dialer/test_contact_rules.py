"""Contact rules: the calendar on the target's wall, and how often a number is called."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from conference_async import (
    CallingHours,
    ConferenceClient,
    ContactLimit,
    ContactRules,
    Dialer,
    Journal,
    Ledger,
    NewParticipant,
    Outcome,
    Plan,
    Redial,
    State,
)
from conference_async.dialer.rules.contact_rules import (
    NO_RULES,
    UNKNOWN_ZONE,
    Verdict,
    as_json,
    from_json,
)
from conference_async.dialer.rules.hours import Calendar
from conference_async.dialer.rules.presets import PRESETS, preset
from conference_async.dialer.rules.wishes import Wishes
from conference_async.emulator import Emulator, Fault, Script
from conference_async.errors import ConfigurationError
from conference_async.journal.contacts import Contact, hash_of

BERLIN = (ZoneInfo("Europe/Berlin"),)
OURS, HERS = "+15017122661", "+15558675310"
NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)  # a Friday
OFFICE = CallingHours(time(9), time(17), "mon-fri")
ONCE = ContactRules(limits=ContactLimit(1, timedelta(days=1)))


def called(*hours_ago: float, purpose: str | None = None) -> list[Contact]:
    """Return calls that were made before noon."""
    return [
        Contact(
            account_sid="AC",
            number_hash="n",
            campaign="c",
            purpose=purpose,
            at=NOON - timedelta(hours=hours),
        )
        for hours in hours_ago
    ]


def plan_of(*participants: NewParticipant, name: str = "standup") -> Plan:
    """Return a plan of requests; without any, of one to her."""
    people = participants or (NewParticipant(from_=OURS, to=HERS),)
    return Plan.from_participants(list(people), conference="standup", name=name)


async def run(dialer: Dialer, plan: Plan) -> list[Outcome]:
    """Run a plan to its end."""
    return [outcome async for outcome in dialer.run(plan)]


@pytest.fixture
async def sharing(client: ConferenceClient, tmp_path: Path) -> AsyncIterator[ConferenceClient]:
    """Return a client that remembers in a journal of its own."""
    async with Journal(tmp_path / "calls.db") as journal:
        yield client.with_options(journal=journal)


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-01-30T10:00", "2026-01-30T10:00"),
        ("2026-01-30T16:00", "2026-02-02T08:00"),  # Friday evening in Berlin: Monday
        ("2026-12-24T16:00", "2026-12-28T08:00"),  # Christmas, and then a weekend
        ("2026-10-23T16:00", "2026-10-26T08:00"),  # clocks are put back on Sunday
        ("2026-10-22T16:00", "2026-10-23T07:00"),
    ],
)
def test_weekdays_and_holidays_are_those_of_the_target(now: str, opening: str) -> None:
    """By the calendar on its own wall, whatever its clocks do."""
    calendar = Calendar((OFFICE,), frozenset({date(2026, 12, 25)}))
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert calendar.opening(at, BERLIN) == datetime.fromisoformat(opening).replace(tzinfo=UTC)


def test_hours_that_the_clocks_pass_over_come_a_day_later() -> None:
    """Who waits for them in the day before is not given up."""
    calendar = Calendar((CallingHours(time(2, 10), time(2, 50)),))
    at = datetime(2026, 3, 28, 10, tzinfo=UTC)

    assert calendar.opening(at, BERLIN) == datetime(2026, 3, 30, 0, 10, tzinfo=UTC)


def test_there_may_be_several_hours_a_day() -> None:
    """With a pause at noon; and on Saturdays others."""
    rules = ContactRules(
        hours=(
            CallingHours(time(10), time(13), "mon-fri"),
            CallingHours(time(14), time(20), "mon-fri"),
            CallingHours(time(11), time(12), ["sat"]),
        )
    )
    utc = (ZoneInfo("UTC"),)

    def opening(now: datetime) -> datetime | None:
        return rules.verdict(now, utc).opening

    assert opening(NOON.replace(hour=13)) == NOON.replace(hour=14)
    assert opening(NOON.replace(hour=20)) == NOON + timedelta(hours=23)
    assert opening(NOON + timedelta(days=1)) == NOON + timedelta(days=2, hours=22)


def test_a_holiday_alone_keeps_the_day_free() -> None:
    """From midnight to midnight there, and a zone is needed to know when that is."""
    rules = ContactRules(holidays=date(2026, 1, 30))

    assert rules.verdict(NOON, BERLIN) == Verdict(
        opening=datetime(2026, 1, 30, 23, tzinfo=UTC), why="outside calling hours"
    )
    assert rules.verdict(NOON, ()) == Verdict(opening=None, why=UNKNOWN_ZONE)


def test_a_calendar_without_a_day_says_so() -> None:
    """Nobody waits for a day that never comes."""
    days = [date(2026, 1, 30) + timedelta(days=more) for more in range(60)]
    rules = ContactRules(hours=OFFICE, holidays=days)

    assert rules.verdict(NOON, BERLIN).opening is None


@pytest.mark.parametrize(
    ("hours_ago", "opening"),
    [((), 0), ((23,), 0), ((23, 5), 1), ((25, 24), 0), ((30, 23, 5, 1), 19), ((-1, -2), 25)],
)
def test_calls_are_counted_in_any_window(hours_ago: tuple[float, ...], opening: float) -> None:
    """Two in any day: it opens when the last but one is a day old; a clock set back opens none."""
    rules = ContactRules(limits=ContactLimit(2, timedelta(days=1)))

    found = rules.verdict(NOON, (), called(*hours_ago))

    assert found.opening == NOON + timedelta(hours=opening)
    assert found.why == ("no more than 2 calls in 1 day" if opening else "")


def test_limits_may_be_for_a_purpose() -> None:
    """Only its calls count, and only they are held back; a gap is for all."""
    limit = ContactLimit(1, timedelta(days=7), purpose="sales")
    rules = ContactRules(limits=[limit], gap=timedelta(hours=2), purpose="sales")
    sold, other = called(3, purpose="sales"), called(3, purpose="alarm")

    assert rules.verdict(NOON, (), sold, purpose="sales").why == (
        "no more than 1 call of sales in 7 days"
    )
    assert rules.verdict(NOON, (), sold, purpose="alarm").why == ""
    assert rules.verdict(NOON, (), other, purpose="sales").why == ""
    near = rules.verdict(NOON, (), called(1, purpose="alarm"), purpose="sales")
    assert str(near) == "no more than 1 call in 2 hours until 30 Jan 13:00 UTC"
    assert Wishes(rules=rules).purpose_of(Outcome(target="t", to=HERS, conference="c")) == "sales"


def test_the_first_instant_is_that_of_all_rules_together() -> None:
    """When the limit opens it is night: it is called in the morning, unless that is too late."""
    rules = ContactRules(hours=OFFICE, gap=timedelta(hours=6))
    calls = called(1)

    found = rules.verdict(NOON, BERLIN, calls)
    assert str(found) == "no more than 1 call in 6 hours until 02 Feb 08:00 UTC"
    late = rules.verdict(NOON, BERLIN, calls, latest=NOON + timedelta(days=1))
    assert late.opening is None
    assert late.why.endswith("until 02 Feb 08:00 UTC, and it was to be called before that")
    assert rules.verdict(NOON, BERLIN, latest=NOON) == Verdict(
        opening=None, why="it was to be called before 30 Jan 12:00 UTC"
    )
    first = rules.verdict(NOON, BERLIN, earliest=NOON + timedelta(hours=5))
    assert str(first) == "it is not to be called until 02 Feb 08:00 UTC"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"hours": [time(9)]}, "hours must be CallingHours"),
        ({"limits": 3}, "limits must be ContactLimit"),
        ({"holidays": [datetime(2026, 1, 1, tzinfo=UTC)]}, "holidays must be days"),
        ({"holidays": 2026}, "holidays must be days"),
        ({"holidays": [[2026, 1, 1]]}, "holidays must be days"),
        ({"gap": 60}, "gap must be a timedelta"),
        ({"purpose": 5}, "purpose must be text, not 5"),
        ({"assumed_zone": "Mars"}, "assumed_zone: 'Mars' is no time zone"),
    ],
)
def test_rules_that_are_none(wrong: dict[str, Any], words: str) -> None:
    """A mistake is told at once."""
    with pytest.raises(ConfigurationError, match=words):
        ContactRules(**wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((0, timedelta(days=1)), "calls must be"),
        ((1, timedelta()), "within must be"),
        ((1, timedelta(days=367)), "within must be"),
        ((1, timedelta(days=1), ["sales"]), "purpose must be text"),
    ],
)
def test_limits_that_are_none(wrong: tuple[Any, ...], words: str) -> None:
    """None are allowed at all, or for longer than calls are remembered, or for no purpose."""
    with pytest.raises(ConfigurationError, match=words):
        ContactLimit(*wrong)


@pytest.mark.parametrize("days", ["mun", "mon-sun-mon", [], ["mon", 2], 3])
def test_days_that_are_none(days: Any) -> None:
    """Their names are listed."""
    with pytest.raises(ConfigurationError, match="days must be some of mon, tue"):
        CallingHours(time(9), time(17), days)


def test_days_may_go_over_the_week() -> None:
    """Friday to Monday, and a list."""
    assert CallingHours(time(9), time(17), "fri-mon").days == {"fri", "sat", "sun", "mon"}
    assert CallingHours(time(9), time(17), "mon, wed-thu").days == {"mon", "wed", "thu"}


def test_presets_are_data_with_their_source() -> None:
    """And survive a database; hours are given in one place."""
    for name, known in PRESETS.items():
        assert preset(name) is known
        assert from_json(as_json(known.rules)) == known.rules
        assert known.source
        assert known.since < known.read
    with pytest.raises(ConfigurationError, match="rules for us, us-debt, fr, not for 'de'"):
        preset("de")
    with pytest.raises(ConfigurationError, match="not both"):
        Wishes(hours=OFFICE, rules=PRESETS["us"].rules)
    assert from_json(as_json(NO_RULES)) == NO_RULES


async def test_a_number_is_called_as_often_as_all_campaigns_may(
    emulator: Emulator, sharing: ConferenceClient
) -> None:
    """Whoever was called by one is skipped by the next, which says why, as the preview does."""
    first, second = Ledger(), Ledger()
    assert [each.state for each in await run(Dialer(sharing, ledger=first, rules=ONCE), plan_of())]

    dialer = Dialer(sharing, ledger=second, rules=ONCE)
    assert (await dialer.preview(plan_of())).withheld == {"no more than 1 call in 1 day": 1}
    (found,) = await run(dialer, plan_of())
    (explained,) = await dialer.explain(plan_of(), HERS)

    assert found.state is State.SKIPPED
    assert found.reason == explained.why
    assert found.reason is not None
    assert found.reason.startswith("no more than 1 call in 1 day until ")
    assert [each.campaign for each in explained.contacts] == ["standup"]
    assert explained.withheld
    assert emulator.rings(HERS) == 1


async def test_one_number_in_many_rows_is_called_as_often_as_it_may(
    emulator: Emulator, sharing: ConferenceClient, tmp_path: Path
) -> None:
    """Also of one plan, whose rows are under way at the same time."""
    file = tmp_path / "people.csv"
    file.write_text("to,id\n" + "".join(f"{HERS},{n}\n" for n in range(20)))
    plans = [Plan.from_csv(file, conference=f"room {n}", from_=OURS, name=f"{n}") for n in range(3)]
    rules = ContactRules(limits=ContactLimit(2, timedelta(days=1)))

    found = await asyncio.gather(*(run(Dialer(sharing, rules=rules), plan) for plan in plans))

    states = [outcome.state for outcomes in found for outcome in outcomes]
    assert states.count(State.PLACED) == emulator.rings(HERS) == 2
    assert set(states) == {State.PLACED, State.SKIPPED}


@pytest.mark.looptime
@pytest.mark.parametrize("fault", [Fault.LABEL_CLASH, Fault.RESET_BEFORE])
async def test_a_call_that_was_not_made_does_not_count(
    emulator: Emulator, sharing: ConferenceClient, fault: Fault
) -> None:
    """Refused by the service, or never placed: the next campaign may call."""
    emulator.faults.add(fault, to=HERS)
    her = NewParticipant(from_=OURS, to=HERS, label="her")
    await run(Dialer(sharing, rules=ONCE, retries=0), plan_of(her, name="first"))
    (second,) = await run(Dialer(sharing, rules=ONCE), plan_of(name="second"))

    assert second.state is State.PLACED
    assert emulator.rings(HERS) == 1


@pytest.mark.looptime
async def test_a_gap_is_waited_for_until_the_deadline(
    emulator: Emulator, sharing: ConferenceClient
) -> None:
    """A busy phone is called again when the rules allow it, not when the pause is over."""
    emulator.script(HERS, Script(outcome="busy", after=0))
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def busy(_: Any) -> str:
        return "busy"

    dialer = Dialer(
        sharing,
        rules=ContactRules(gap=timedelta(hours=2)),
        redial=Redial(watch=busy, attempts=3, pause=60),
        deadline=86_400,
        clock=lambda: NOON + timedelta(seconds=loop.time() - began),
    )
    (found,) = await run(dialer, plan_of())

    assert found.attempts == 3
    assert [start - emulator.starts[0] for start in emulator.starts] == pytest.approx(
        [0, 7200, 14400], abs=0.1
    )


async def test_limits_need_a_journal(client: ConferenceClient) -> None:
    """Nobody would keep them else."""
    with pytest.raises(ConfigurationError, match="a journal that campaigns share"):
        Dialer(client, rules=ONCE)


async def test_rows_have_their_own_times(client: ConferenceClient, tmp_path: Path) -> None:
    """And purposes; those of higher priority are called first; explain says the same as the run."""
    file = tmp_path / "people.csv"
    file.write_text(
        "to,time_zone,not_before,not_after,purpose,priority\n"
        "+15558675310,Europe/Berlin,2026-01-30T14:00,,,\n"
        "+15558675311,Europe/Berlin,,2026-01-30,,1\n"
        "+15558675312,,,2026-01-29T12:00Z,sales,\n"
        "+15558675313,,2026-01-30T12:00+00:00,,,9\n"
    )
    plan = Plan.from_csv(file, conference="standup", from_=OURS)
    dialer = Dialer(client, clock=lambda: NOON)

    async with aclosing(dialer.run(plan)) as outcomes:
        found = [outcome async for outcome in outcomes]

    placed = sorted(
        (each for each in found if each.state is State.PLACED), key=lambda each: str(each.sent_at)
    )
    assert [each.row for each in sorted(placed, key=lambda each: each.row or 0)] == [3, 5]
    reasons = {each.row: each.reason for each in found if each.state is State.SKIPPED}
    assert reasons == {
        2: "it is not to be called until 30 Jan 13:00 UTC",
        4: "it was to be called before 29 Jan 12:00 UTC",
    }
    async with dialer.ledger as ledger:
        assert [each.row async for each in ledger.outcomes()] == [5, 3, 2, 4]
        assert [each.purpose async for each in ledger.outcomes()][3] == "sales"
    for row, to in ((2, HERS), (4, "+15558675312")):
        (explained,) = await dialer.explain(plan, to)
        assert explained.why == reasons[row]


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("not_before", "soon", "must be a day or an instant"),
        ("not_before", "2026-01-30", "needs an offset"),
        ("not_after", "1026-01-30", "is not within this century"),
        ("priority", "10", "must be a whole number, 0 to 9"),
        ("priority", "high", "must be a whole number, 0 to 9"),
        ("purpose", "\x07", "must be printable text"),
    ],
)
async def test_cells_that_cannot_be_read(
    tmp_path: Path, column: str, cell: str, words: str
) -> None:
    """Make a bad row, with the column's name."""
    file = tmp_path / "people.csv"
    file.write_text(f"to,{column}\n{HERS},{cell}\n")

    preview = await Plan.from_csv(file, conference="standup", from_=OURS).preview()

    assert preview.problems[0].reason.startswith(f"{column}: {words}")


def test_a_number_is_not_given_away() -> None:
    """Nor is it another one with its plus."""
    assert hash_of("AC", HERS) == hash_of("AC", HERS[1:]) != hash_of("AD", HERS)
    assert HERS[1:] not in hash_of("AC", HERS)
    contact = Contact(account_sid="AC", number_hash="n", campaign=f"to {HERS}")
    assert HERS not in repr(contact)
