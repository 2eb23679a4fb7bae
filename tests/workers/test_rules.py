"""Contact rules, rows' own times and people, kept by workers for all campaigns of a database."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async import (
    ContactLimit,
    ContactRules,
    NewParticipant,
    Outcome,
    Plan,
    Quorum,
    SharedCampaign,
    State,
)
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers import jobs
from conference_async.dialer.workers.standing import Standing
from conference_async.emulator import Script

if TYPE_CHECKING:
    from tests.workers.conftest import People, Scene

pytestmark = pytest.mark.timeout(300)
ONCE = ContactRules(limits=ContactLimit(1, timedelta(days=1)))
WORKERS = int(os.environ.get("CONFERENCE_ASYNC_TEST_CALLERS", "2"))
WHY = "no more than 1 call in 1 day"


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts, and our test start processes."""
    no_blocking_calls.deactivate()


@pytest.fixture(autouse=True)
def looking_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look for what is missing, and for who has joined, more often."""
    monkeypatch.setattr(jobs, "LOOK_EVERY", 1.0)


async def outcomes(scene: "Scene", plan: Plan) -> list[Outcome]:
    """Return what the ledger has, in its order."""
    async with PostgresLedger(scene.dsn, name=plan.name) as ledger:
        return [outcome async for outcome in ledger.outcomes()]


async def to_do(scene: "Scene", plans: list[Plan]) -> int:
    """Return how many targets are being called, or could be within some minutes."""
    async with await AsyncConnection.connect(scene.dsn) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM conference_async_outcome WHERE ledger = ANY(%s) AND ("
            " state = 'sending'"
            " OR state = 'planned' AND not_before < now() + interval '10 minutes')",
            ([plan.name for plan in plans],),
        )
        (count,) = await cursor.fetchone() or (0,)
        return int(count)


async def test_limits_hold_for_all_campaigns_of_a_database(
    scene: "Scene", people: "People"
) -> None:
    """Whom one has called waits in the other; the next preview says so, and explain says why."""
    first, second = people(5), people(5)
    for plan in (first, second):
        assert await scene.dialer.submit(plan, rules=ONCE) == 5
    async with scene.working():
        await scene.started(5)
        counts = [await scene.counts(plan) for plan in (first, second)]
        while sum(count[State.PLACED] for count in counts) < 5:
            await asyncio.sleep(0.05)
            counts = [await scene.counts(plan) for plan in (first, second)]
        await asyncio.sleep(1.5)  # those who wait were looked at meanwhile
    assert set(scene.emulator.ring_counts.values()) == {1}
    assert sum(count[State.PLANNED] for count in counts) == 5
    async with scene.dialer.staged(people(5), rules=ONCE) as staged:
        assert staged.preview is not None
        assert staged.preview.withheld == {WHY: 5}
    for plan in (first, second):
        async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
            for outcome in await outcomes(scene, plan):
                (found,) = await campaign.explain(outcome.to)
                assert len(found.contacts) == 1
                if outcome.state is State.PLANNED:
                    assert found.why.startswith(f"{WHY} until ")
                    assert found.contacts[0].campaign != plan.name


@pytest.mark.sized
async def test_killed_workers_never_go_over_a_limit(scene: "Scene", people: "People") -> None:
    """Three campaigns of the same people, in the hands of workers of whom one is killed."""
    number = 6 * WORKERS
    plans = [people(number) for _ in range(3)]
    rules = ContactRules(limits=ContactLimit(2, timedelta(hours=1)))
    for plan in plans:
        await scene.dialer.submit(plan, rules=rules)
    await asyncio.gather(*(scene.hire() for _ in range(WORKERS)))
    await scene.started(number // 2)
    scene.workers[0].kill()
    while await to_do(scene, plans):  # noqa: ASYNC110 -- in a database
        await asyncio.sleep(0.1)

    assert max(scene.emulator.ring_counts.values()) <= 2
    # Whoever was claimed, and not called yet, when the worker was killed may have been called.
    doubtful = {
        each.to
        for plan in plans
        for each in await outcomes(scene, plan)
        if each.state is State.UNKNOWN
    }
    assert len({*scene.emulator.ring_counts} | doubtful) == number


async def test_rows_have_their_own_times_and_priorities(scene: "Scene", tmp_path: Path) -> None:
    """Who is not to be called yet waits, who is no more is skipped, the most urgent go first."""
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    file = tmp_path / "people.csv"
    file.write_text(
        "to,not_before,not_after,priority,purpose,id\n"
        f"+15558670000,{later},,,,a\n"
        "+15558670001,,2020-01-01T00:00Z,,,b\n"
        "+15558670002,,,,,c\n"
        "+15558670003,,,9,sales,d\n"
    )
    plan = Plan.from_csv(file, conference="standup", from_="+15017122661", name=tmp_path.name)
    rules = ContactRules(limits=ContactLimit(1, timedelta(days=1), purpose="sales"))
    assert await scene.dialer.submit(plan, rules=rules) == 3
    async with scene.working():
        await scene.started(2)
        while (await scene.counts(plan))[State.PLACED] < 2:  # noqa: ASYNC110 -- in a database
            await asyncio.sleep(0.05)

    found = await outcomes(scene, plan)
    assert [(each.row, each.id, each.state.value) for each in found] == [
        (5, "d", "placed"),
        (2, "a", "planned"),
        (3, "b", "skipped"),
        (4, "c", "placed"),
    ]
    assert found[0].purpose == "sales"
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        whys = {
            each.row: (await campaign.explain(each.to))[0].why
            for each in found
            if each.state is not State.PLACED
        }
        await campaign.pause()
        (paused,) = await campaign.explain("+15558670000")
        assert await campaign.explain("+15558679999") == []
    assert whys[2].startswith("it is not to be called until ")
    assert whys[3].startswith("it was to be called before 01 Jan ")
    assert paused.why == "the campaign is paused"


async def test_a_quorum_of_people_is_not_made_of_machines(scene: "Scene") -> None:
    """Voicemails join first and do not count; who is called without detection does."""
    emulator = scene.emulator
    numbers = [f"+1555867{n:04d}" for n in range(12)]
    for to in numbers[:3]:
        emulator.script(to, Script(answered_by="machine_start"))
    for to in numbers[3:5]:
        emulator.script(to, Script(after=3.0))
    for to in numbers[5:]:
        emulator.script(to, Script(after=3600))
    plan = Plan.from_participants(
        [
            NewParticipant(
                from_="+15017122661",
                to=to,
                machine_detection=None if to == numbers[4] else "Enable",
            )
            for to in numbers
        ],
        conference="standup",
        name=f"people {os.getpid()} {id(scene)}",
    )
    await scene.dialer.submit(plan, quorum=Quorum(humans=2))
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign, scene.working():
        await scene.until_it_stands(campaign, Standing.ENDED)
        await scene.until(
            lambda: {call.status for call in emulator.participants("standup")} == {"connected"}
        )
        _, reason = await campaign.standing() or ("", "")
    assert reason == "enough have joined, or nobody else can"
    there = {call.to for call in emulator.participants("standup")}
    assert there == set(numbers[:5])
