"""Whoever waits for a call while a campaign runs: an interactive create passes all bulk ones."""

import asyncio

import pytest

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    Credentials,
    Dialer,
    NewParticipant,
    Plan,
)
from conference_async.emulator import Emulator

OURS = "+15017122661"


@pytest.mark.looptime
@pytest.mark.parametrize("cps", [2, 10, 30])
async def test_a_campaign_never_holds_an_interactive_create_for_more_than_one_slot(
    emulator: Emulator, cps: float
) -> None:
    """One call of it starts before, whenever it is asked for; and the campaign's rate is kept."""
    plan = Plan.from_participants(
        [NewParticipant(from_=OURS, to=f"+1555{each:07d}") for each in range(60)],
        conference="all-hands",
    )
    bulk, urgent = list[AttemptEvent](), list[AttemptEvent]()
    loop = asyncio.get_running_loop()
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token), base_url=emulator.base_url, cps=cps
    ) as client:

        async def campaign() -> None:
            async for _ in Dialer(client.with_options(on_attempt=bulk.append)).run(plan):
                pass

        running = asyncio.create_task(campaign())
        bot = client.with_options(on_attempt=urgent.append).conferences("incident")
        await asyncio.sleep(5 / cps)
        asked: list[float] = []
        for number in range(8):
            await asyncio.sleep((1 + 0.13 * number) / cps)
            asked.append(loop.time())
            await bot.participants.create(from_=OURS, to=f"+1556{number:07d}")
        await running

    for since, event in zip(asked, urgent, strict=True):
        assert sum(since <= each.sent_at < event.sent_at for each in bulk) <= 1
        assert event.sent_at - since < 2 / cps
    assert len(emulator.starts) == 68
    assert emulator.starts[-1] - emulator.starts[0] == pytest.approx(67 / cps, abs=1e-2)
