"""How campaigns of workers stand, and what each command makes of each standing."""

from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster

from conference_async import Plan, State
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers.shared_campaign import SharedCampaign
from conference_async.dialer.workers.standing import Standing, pause_running
from conference_async.errors import LedgerError

if TYPE_CHECKING:
    from tests.workers.conftest import People, Scene

BECOMES: dict[str, dict[str, str | None]] = {
    "running": {
        "pause": "paused",
        "resume": "running",
        "cancel": "cancelled",
        "submit": "running",
    },
    "paused": {
        "pause": "paused",
        "resume": "running",
        "cancel": "cancelled",
        "submit": "paused",
    },
    "cancelled": {
        "pause": None,
        "resume": "running",
        "cancel": "cancelled",
        "submit": None,
    },
    "ended": {
        "pause": "paused",
        "resume": "running",
        "cancel": "cancelled",
        "submit": "running",
    },
}
"""How a campaign stands that stood as given when it was told something; None if that is refused,
and changes nothing."""


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg import its parts."""
    no_blocking_calls.deactivate()


async def make(scene: "Scene", plan: Plan, campaign: SharedCampaign, standing: str) -> None:
    """Submit a campaign, for the first time or again, and let it stand as given."""
    await scene.dialer.submit(plan, deadline=0.001 if standing == "ended" else None)
    match standing:
        case "paused":
            await campaign.pause()
        case "cancelled":
            await campaign.cancel()
        case _:
            await scene.until_it_stands(campaign, Standing(standing))


async def tell(scene: "Scene", plan: Plan, campaign: SharedCampaign, command: str) -> None:
    """Do to a campaign what a command does."""
    match command:
        case "pause":
            assert await campaign.pause() == 0
        case "resume":
            await campaign.resume()
        case "cancel":
            assert await campaign.cancel() == 0
        case _:
            await scene.dialer.submit(plan)


@pytest.mark.parametrize("standing", BECOMES)
async def test_a_command_does_to_each_standing_what_it_says(
    scene: "Scene", people: "People", standing: str
) -> None:
    """What was cancelled is taken up by nobody but who resumes it."""
    for command, expected in BECOMES[standing].items():
        plan = people(2)
        async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
            await make(scene, plan, campaign, standing)
            if expected is None:
                with pytest.raises(LedgerError, match="was cancelled"):
                    await tell(scene, plan, campaign, command)
            else:
                await tell(scene, plan, campaign, command)
            assert await campaign.standing() == (expected or standing, None)
        skipped = (await scene.counts(plan))[State.SKIPPED]
        assert skipped == (2 if (expected or standing) == "cancelled" else 0)


async def test_who_pauses_what_is_paused_keeps_the_reason(scene: "Scene", people: "People") -> None:
    """Workers paused it because the account may not call; whoever resumes it must know."""
    plan = people(1)
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        await make(scene, plan, campaign, "running")
        await pause_running(campaign._ledger.session, plan.name, "the account may not call")
        await campaign.pause()
        assert await campaign.standing() == (Standing.PAUSED, "the account may not call")
        await campaign.resume()
        assert await campaign.standing() == (Standing.RUNNING, None)


@pytest.mark.parametrize("standing", ["cancelled", "ended"])
async def test_nobody_is_to_be_called_again_by_what_is_over(
    scene: "Scene", people: "People", standing: str
) -> None:
    """Who was called stays listed so, with how the call ended."""
    plan = people(1)
    async with SharedCampaign(f"{scene.dsn}#{plan.name}") as campaign:
        await scene.dialer.submit(plan)
        async with scene.working():
            await scene.done(plan)
        await make(scene, plan, campaign, standing)
        async with PostgresLedger(scene.dsn, name=plan.name) as ledger:
            (placed,) = [outcome async for outcome in ledger.outcomes()]
            assert not await campaign.call_again(placed.call_sid or "", because="busy", pause=0)
            assert [outcome async for outcome in ledger.outcomes()] == [placed.noted("busy")]
