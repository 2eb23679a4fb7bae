"""Real processes on real stores, by the machine's clock.

The rates are asserted if the machine had the time; on a quiet one they are above 99 %.
"""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Dial = Callable[..., Any]
At = Callable[[float], float]

# Sixteen processes on two busy processors may miss their instants for reasons that are not ours.
pytestmark = pytest.mark.soak

BUSY = 0.95

SECONDS = float(os.environ.get("CONFERENCE_ASYNC_TEST_SECONDS", "4"))
"""How long processes share a pace; with 20 or more, and ``-rP`` to see it, a measurement."""


@pytest.mark.parametrize("priority", ["INTERACTIVE", "BULK"])
@pytest.mark.parametrize(("processes", "cps"), [(4, 10), (4, 30), (16, 10), (16, 30)])
def test_processes_share_one_pace(
    dial: Dial, place: tuple[str, str], processes: int, cps: int, priority: str
) -> None:
    """Together they keep the rate, evenly and fairly, in about one round trip per create."""
    run = dial(place, processes=processes, cps=cps, seconds=SECONDS, priority=priority)

    print(place[0], processes, "processes at", cps, "CPS,", priority, run.told)
    assert not run.errors
    assert run.most_in_a_second <= cps + run.at_most
    if run.calm:
        assert len(run.between(1, SECONDS)) >= (SECONDS - 1) * cps * BUSY - 1
        # One slot more or less than the others is not unfair in a run as short as this.
        assert max(run.shares) - 1 <= 1.5 * (min(run.shares) + 1)
        # Each process holds up to two slots when the run ends, and offers one of them back.
        assert run.trips <= 1.1 * len(run.starts) + 3 * processes


@pytest.mark.parametrize("priority", ["INTERACTIVE", "BULK"])
def test_a_storm_of_cancellations_keeps_the_rate(
    dial: Dial, place: tuple[str, str], priority: str
) -> None:
    """Everybody gives up again and again, and the slots are used all the same."""
    run = dial(
        place,
        processes=4,
        cps=20,
        seconds=SECONDS,
        waiters=25,
        patience=0.3,
        priority=priority,
    )

    print(place[0], "in a storm,", priority, run.told)
    assert not run.errors
    assert run.most_in_a_second <= 20 + run.at_most
    assert len(run.between(1, SECONDS)) >= (SECONDS - 1) * 20 * BUSY - 1 or not run.calm


def test_the_wall_clock_of_a_process_does_not_matter(dial: Dial, place: tuple[str, str]) -> None:
    """One that is three seconds ahead neither takes more nor gets less."""
    run = dial(place, processes=4, cps=20, seconds=SECONDS, wrong_clock=3.0)

    print(place[0], "with a wrong clock:", run.told)
    assert not run.errors
    assert run.most_in_a_second <= 20 + run.at_most
    if run.calm:
        assert len(run.between(1, SECONDS)) >= (SECONDS - 1) * 20 * BUSY - 1
        assert max(run.shares) <= 1.5 * min(run.shares)


def test_a_process_that_was_stopped_uses_no_slot_late(dial: Dial, place: tuple[str, str]) -> None:
    """It loses what it held, two slots at most, and no second sees a start too many."""

    def stop_one(at: At, pids: list[int]) -> None:
        at(1)
        os.kill(pids[0], signal.SIGSTOP)
        at(SECONDS - 1)
        os.kill(pids[0], signal.SIGCONT)

    run = dial(place, processes=4, cps=10, seconds=SECONDS + 1, during=stop_one, stopped=1)

    print(place[0], "with one that was stopped:", run.told)
    assert not run.errors
    assert run.most_in_a_second <= 10 + run.at_most
    assert len(run.starts) >= (SECONDS + 1) * 10 * BUSY - 3 or not run.calm


@pytest.mark.parametrize("server", ["own_redis", "own_postgres"])
def test_a_killed_store_stops_the_creates_and_nothing_else(
    dial: Dial, server: str, request: pytest.FixtureRequest
) -> None:
    """Nothing starts meanwhile but what was reserved; then all go on, within a second."""
    store = request.getfixturevalue(server)
    end = SECONDS + 4
    gone = again = back = 0.0

    def kill(at: At, _: list[int]) -> None:
        nonlocal gone, again, back
        at(1)
        store.kill()
        gone = at(0)
        again = at(SECONDS / 4 + 2)
        store.start()
        back = at(0)

    run = dial(
        (server.removeprefix("own_"), store.where),
        processes=4,
        cps=10,
        seconds=end,
        during=kill,
    )

    print(
        server,
        "killed: first start after",
        f"{run.between(again, end)[0] - back:.2f} s,",
        run.told,
    )
    assert not run.errors
    assert len(run.between(gone + 0.3, again)) <= 8
    if run.calm:
        assert run.between(again, end)[0] <= back + 1
        assert len(run.between(back + 1, end)) >= (end - back - 1) * 10 * BUSY - 1
    assert run.most_in_a_second <= 10 + run.at_most


def test_a_locked_file_stops_the_creates_and_nothing_else(dial: Dial, tmp_path: Path) -> None:
    """Processes wait while another program holds the file for two seconds."""
    path = tmp_path / "pace.db"
    locked = free = freed = 0.0

    def lock(at: At, _: list[int]) -> None:
        nonlocal locked, free, freed
        at(1)
        other = sqlite3.connect(path, isolation_level=None, timeout=1)
        other.execute("BEGIN IMMEDIATE")
        locked = at(0)
        free = at(3)
        other.execute("ROLLBACK")
        freed = at(0)
        other.close()

    run = dial(("sqlite", str(path)), processes=4, cps=10, seconds=5, during=lock)

    assert not run.errors
    assert len(run.between(locked + 0.1, free)) <= 8
    assert not run.calm or run.between(free, 5)[0] <= freed + 1
    assert run.most_in_a_second <= 10 + run.at_most
