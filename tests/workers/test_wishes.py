"""The wishes of a campaign, kept by workers as by the local dialler, but for all of them."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async import CallingHours, Outcome, Plan, Quorum, State
from conference_async.dialer import Campaign
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers import jobs
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.dialer.workers.standing import Standing
from conference_async.emulator import Script
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.workers.conftest import People, Scene

pytestmark = pytest.mark.timeout(300)
FIRST = "+15558670000"


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts, and our test start processes."""
    no_blocking_calls.deactivate()


@pytest.fixture(autouse=True)
def looking_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look for what is missing, and for who has joined, more often."""
    monkeypatch.setattr(jobs, "LOOK_EVERY", 1.0)


async def outcomes(scene: "Scene", plan: Plan) -> dict[str, Outcome]:
    """Return what the ledger has, by address."""
    async with PostgresLedger(scene.dsn, name=plan.name) as ledger:
        return {outcome.to: outcome async for outcome in ledger.outcomes()}


async def put_off(scene: "Scene", plan: Plan) -> int:
    """Return how many targets of a campaign are to be called later than now."""
    async with await AsyncConnection.connect(scene.dsn) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM conference_async_outcome"
            " WHERE ledger = %s AND state = 'planned' AND not_before > now() + interval '1 hour'",
            (plan.name,),
        )
        (count,) = await cursor.fetchone() or (0,)
        return int(count)


async def test_who_is_on_the_list_is_left_out(scene: "Scene", people: "People") -> None:
    """It is said as a local run says it, and holds until the plan is submitted without it."""
    plan = people(3)
    assert await scene.dialer.submit(plan, do_not_call=["+1 555 867 0000"]) == 2
    async with scene.working(), SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        assert (await scene.done(plan))[State.PLACED] == 2
        await campaign.cancel()
        await campaign.resume()
        assert (await outcomes(scene, plan))[FIRST].reason == "it is on the do-not-call list"
        assert scene.emulator.rings(FIRST) == 0

        assert await scene.dialer.submit(plan) == 1
        await scene.until(lambda: scene.emulator.rings(FIRST))
    assert set(scene.emulator.ring_counts.values()) == {1}


async def test_who_is_listed_later_is_left_out_as_well(scene: "Scene", people: "People") -> None:
    """Another submit asks again about everybody who was not called yet."""
    plan = people(3)
    assert await scene.dialer.submit(plan) == 3
    assert await scene.dialer.submit(plan, do_not_call=[FIRST]) == 0
    async with scene.working():
        assert (await scene.done(plan))[State.SKIPPED] == 1
    assert scene.emulator.rings(FIRST) == 0


async def test_a_deadline_ends_a_campaign(scene: "Scene", people: "People") -> None:
    """Targets left at the deadline stay planned; resuming it, or another submit, goes on."""
    plan = people(3)
    await scene.dialer.submit(plan, deadline=1)
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        await scene.until_it_stands(campaign, Standing.ENDED)
        async with scene.working():
            other = people(2)
            await scene.dialer.submit(other)
            await scene.done(other)  # so the worker was at it
            assert (await scene.counts(plan))[State.PLANNED] == 3

            await campaign.resume()
            assert (await scene.done(plan))[State.PLACED] == 3
    assert set(scene.emulator.ring_counts.values()) == {1, 2}  # both plans have these numbers


async def test_who_sleeps_is_called_later(scene: "Scene", tmp_path: Path) -> None:
    """A target outside calling hours waits in the queue; one that is never in them is skipped."""
    zones, noon = {}, datetime.now(UTC)
    for offset in range(-11, 12):
        hour = (noon + timedelta(hours=offset)).hour
        zones[hour] = f"Etc/GMT{-offset:+d}"
    awake = next(zone for hour, zone in zones.items() if 3 <= hour < 9)
    asleep = next(zone for hour, zone in zones.items() if 15 <= hour < 21)
    rows = [f"+155586700{n:02},{zone}" for n, zone in enumerate([awake, asleep, "", awake])]
    people = tmp_path / "people.csv"
    people.write_text("\n".join(["to,time_zone", *rows]))
    plan = Plan.from_csv(people, conference=tmp_path.name, from_="+15017122661")
    morning = CallingHours(time(0), time(12))
    await scene.dialer.submit(plan, hours=morning)
    async with scene.working():
        await scene.until(lambda: len(scene.emulator.ring_counts) == 2)
        assert await put_off(scene, plan) == 1
        await scene.dialer.submit(plan, hours=morning, deadline=3600)
        counts = await scene.done(plan)
    found = await outcomes(scene, plan)
    assert counts[State.PLACED] == 2
    assert (found["+15558670001"].reason or "").startswith("outside calling hours until")
    assert scene.emulator.rings("+15558670001") == 0


async def test_a_quorum_ends_a_campaign(scene: "Scene", people: "People") -> None:
    """When enough have joined, the others' phones are silent, and nobody else is called."""
    for number in range(2, 40):
        scene.emulator.script(f"+1555867{number:04d}", Script(after=3600))
    plan = people(40)
    await scene.dialer.submit(plan, quorum=Quorum(joined=2))
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign, scene.working():
        await scene.until_it_stands(campaign, Standing.ENDED)
        await scene.until(
            lambda: (
                {call.status for call in scene.emulator.participants("standup")} == {"connected"}
            )
        )
        _, reason = await campaign.standing() or ("", "")
    assert reason == "enough have joined, or nobody else can"
    taken_down = [
        one for one in (await outcomes(scene, plan)).values() if "taken down" in (one.reason or "")
    ]
    assert len(taken_down) == (await scene.counts(plan))[State.PLACED] - 2


async def test_workers_count_by_themselves(scene: "Scene", people: "People") -> None:
    """A function of the submitter's cannot be asked elsewhere, and is refused."""

    async def count() -> int:
        return 1

    with pytest.raises(ConfigurationError, match="without a count"):
        await scene.dialer.submit(people(1), quorum=Quorum(joined=1, count=count))


async def test_who_was_busy_is_called_again_if_told(scene: "Scene", people: "People") -> None:
    """As often as it may be, and after a pause; telling twice, or of another call, does nothing."""
    plan = people(2)
    await scene.dialer.submit(plan)
    async with scene.working(), SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        await scene.done(plan)
        first = (await outcomes(scene, plan))[FIRST].call_sid or ""
        assert not await campaign.call_again("CA" + "0" * 32, because="busy")
        assert await campaign.call_again(first, because="busy", pause=0.1, attempts=2)
        await scene.until(lambda: scene.emulator.rings(FIRST) == 2)
        counts = await scene.done(plan)
        assert not await campaign.call_again(first, because="busy")
        second = (await outcomes(scene, plan))[FIRST].call_sid or ""
        assert not await campaign.call_again(second, because="no-answer", attempts=2)
    assert counts[State.PLACED] == 2
    assert (await outcomes(scene, plan))[FIRST].reason == "no-answer"
    assert sorted(scene.emulator.ring_counts.values()) == [1, 2]


async def test_a_local_campaign_is_handed_over_to_workers(scene: "Scene", people: "People") -> None:
    """Submitting gives a request to each target that a local run enrolled and did not call."""
    plan = people(3)
    async with PostgresLedger(scene.dsn, name=plan.name) as ledger:
        account = scene.emulator.account_sid
        await ledger.begin(Campaign(name=plan.name, account_sid=account, total=3))
        async for batch in plan.batches():
            rows = [Outcome(target=t.key, to=t.to, conference=t.conference) for t in batch]
            await ledger.enrol(rows)
        await ledger.end()
    assert await scene.dialer.submit(plan) == 3
    async with scene.working():
        assert (await scene.done(plan))[State.PLACED] == 3
