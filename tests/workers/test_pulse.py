"""The line a minute that a worker says of itself, in virtual time."""

import asyncio
import logging
from collections.abc import AsyncIterator

import attrs
import pytest
from blockbuster import BlockBuster

from conference_async import ConferenceClient, CreateLimit, Credentials, Outcome, State
from conference_async.dialer.workers.cluster_dialer import ClusterDialer
from conference_async.dialer.workers.pulse import Pulse

TARGET = Outcome(target="t", to="+15558675310", conference="standup")


@pytest.fixture
async def client() -> AsyncIterator[ConferenceClient]:
    """Return a client that calls nobody."""
    limit = CreateLimit(5)
    async with ConferenceClient(Credentials("AC" + "0" * 32, "token"), limit=limit) as client:
        yield client


def become(state: State, reason: str | None = None) -> Outcome:
    """Return a target in a state."""
    return attrs.evolve(TARGET, state=state, reason=reason)


@pytest.mark.looptime
async def test_a_worker_says_every_minute_what_it_did(
    client: ConferenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    """In that minute, and nothing twice; whoever was refused or is in doubt has a line at once."""
    caplog.set_level(logging.INFO, "conference_async.dialer")
    pulse = Pulse([client], lambda: 7)
    beat = asyncio.create_task(pulse._beat())
    await asyncio.sleep(59)
    pulse.note("monday", 1, become(State.PLACED))
    pulse.note("monday", 2, become(State.PLACED))
    pulse.note("monday", 3, become(State.REFUSED, "+15558675310 is\nno number"))
    pulse.note("monday", 4, become(State.UNKNOWN))
    at_once = list(caplog.records)
    caplog.clear()
    await asyncio.sleep(62)
    beat.cancel()
    first, second = (vars(record) for record in caplog.records)

    assert [(each.levelname, vars(each)["event"], vars(each)["row"]) for each in at_once] == [
        ("INFO", "target.refused", 3),
        ("WARNING", "target.unknown", 4),
    ]
    assert at_once[0].getMessage() == (
        r"row 3 of the campaign 'monday' is refused: ***5310 is\nno number"
    )
    assert first["event"] == second["event"] == "worker.pulse"
    assert [first[state] for state in ("placed", "refused", "unknown", "planned")] == [2, 1, 1, 0]
    assert [second[state] for state in ("placed", "refused", "unknown", "planned")] == [0] * 4
    assert (first["seconds"], first["in_hand"], first["cps"]) == (60, 7, 5)
    assert caplog.messages == [
        "in 60 s 2 placed, 1 refused, 1 unknown; 7 in hand; at 5 per second",
        "in 60 s nothing; 7 in hand; at 5 per second",
    ]


async def test_a_dialler_that_does_not_work_is_not_ready(
    client: ConferenceClient, no_blocking_calls: BlockBuster
) -> None:
    """It says so without asking anybody."""
    no_blocking_calls.deactivate()  # psycopg imports its parts
    dialer = ClusterDialer(client, "postgresql://127.0.0.1/calls")

    assert await dialer.why_not_ready() == "it is not at work"
