"""Running a campaign against the emulator, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest

from conference_async import ConferenceClient
from conference_async.dialer import Dialer, Ledger, Outcome, Plan, State
from conference_async.emulator import Emulator
from conference_async.models import NewParticipant

OURS = "+15017122661"


def people(number: int) -> list[NewParticipant]:
    """Return requests for so many made-up numbers."""
    return [NewParticipant(from_=OURS, to=f"+1555{each:07d}") for each in range(number)]


def standup(participants: int | Iterable[NewParticipant]) -> Plan:
    """Return a plan that calls people into the stand-up."""
    if isinstance(participants, int):
        participants = people(participants)
    return Plan.from_participants(participants, conference="standup", room_size=200)


async def outcomes(dialer: Dialer, plan: Plan) -> list[Outcome]:
    """Run a plan to its end."""
    return [outcome async for outcome in dialer.run(plan)]


@pytest.mark.looptime
@pytest.mark.parametrize("durable", [False, True])
async def test_300_targets_at_30_cps_take_299_thirtieths(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path, *, durable: bool
) -> None:
    """Every slot of the account is used, with a write to the disk before each call."""
    ledger = Ledger(tmp_path / "campaign.db" if durable else None)

    found = await outcomes(Dialer(client, ledger=ledger), standup(300))

    assert emulator.starts[-1] - emulator.starts[0] == pytest.approx(299 / 30, abs=1e-3)
    assert {outcome.state for outcome in found} == {State.PLACED}
    assert set(emulator.ring_counts.values()) == {1}
    assert len(found) == len(emulator.ring_counts) == 300
