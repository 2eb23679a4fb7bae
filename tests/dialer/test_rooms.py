"""Plans that are spread over rooms and grow: who is called already, and where new people go."""

from collections import Counter
from pathlib import Path

import pytest

from conference_async import ConferenceClient, Dialer, Ledger, NewParticipant, Outcome, Plan, State
from conference_async.emulator import Emulator, Fault


def hall(*numbers: int, size: int) -> Plan:
    """Return a plan that calls numbers into the rooms of a hall."""
    people = [
        NewParticipant(from_="+15017122661", to=f"+1555{each:07d}", label=f"n{each}")
        for each in numbers
    ]
    return Plan.from_participants(people, conference="hall", room_size=size)


async def run(client: ConferenceClient, path: Path, plan: Plan) -> list[Outcome]:
    """Run a plan to its end; return all that the ledger has."""
    async with Ledger(path) as ledger:
        async for _ in Dialer(client, ledger=ledger, retries=0).run(plan):
            pass
        return [outcome async for outcome in ledger.outcomes()]


@pytest.mark.looptime
async def test_new_people_go_where_there_is_place(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """Wherever in the file they stand; the others keep their rooms."""
    first = await run(client, tmp_path / "a", hall(*range(10, 20), size=4))
    before = {each.to: each.conference for each in first}

    found = await run(client, tmp_path / "a", hall(*range(2, 20), size=4))

    rooms = {each.to: each.conference for each in found}
    assert rooms.items() >= before.items()
    assert Counter(rooms.values()) == {
        "hall-1": 4,
        "hall-2": 4,
        "hall-3": 4,
        "hall-4": 4,
        "hall-5": 2,
    }
    assert {name: len(emulator.participants(name)) for name in {*rooms.values()}} == Counter(
        rooms.values()
    )


@pytest.mark.looptime
async def test_twenty_more_before_a_full_room(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """All of them are placed, though the file would have them in a room that is full."""
    await run(client, tmp_path / "a", hall(*range(20, 70), size=50))

    found = await run(client, tmp_path / "a", hall(*range(70), size=50))

    assert {each.state for each in found} == {State.PLACED}
    assert len(emulator.participants("hall-2")) == 20


@pytest.mark.looptime
async def test_who_was_refused_takes_no_place(
    emulator: Emulator, client: ConferenceClient, tmp_path: Path
) -> None:
    """Nobody of that number is in the room."""
    emulator.faults.add(Fault.LABEL_CLASH, to="+15550000010")
    await run(client, tmp_path / "a", hall(10, 11, size=2))

    found = await run(client, tmp_path / "a", hall(10, 11, 12, 13, size=2))

    assert {each.to[-2:]: each.conference for each in found if each.state is State.PLACED} == {
        "11": "hall-1",
        "12": "hall-1",
        "13": "hall-2",
    }
