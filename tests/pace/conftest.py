"""Real processes that share a pace on real servers."""

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

CALM = 0.03
"""Seconds by which a machine may be late that is not busy: a slot that is used later is lost."""

CALLERS = Path(__file__).with_name("callers.py")


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return the name of each store in turn, and where it is."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "pace.db")
    return request.param, request.getfixturevalue(f"{request.param}_server")


@attrs.frozen(kw_only=True)
class Run:
    """The starts of all processes; instants are seconds since they began."""

    starts: list[float]
    shares: list[int]
    errors: list[str]
    cps: float
    trips: int
    late: float
    """The most seconds by which the machine was late, but for a process that a test stops."""

    @property
    def calm(self) -> bool:
        """Whether the machine had the time for what is asserted of the rate."""
        return self.late < CALM

    @property
    def at_most(self) -> float:
        """The starts too many that a second may seem to have, as they are noted late."""
        return 1 + self.late * self.cps

    @property
    def told(self) -> str:
        """The figures of the run, for a person who measures."""
        return (
            f"{self.rate:.2f} per second, at most {self.most_in_a_second} in one, "
            f"{self.trips / len(self.starts):.3f} round trips each, shares of {min(self.shares)} "
            f"to {max(self.shares)}, machine late by {self.late * 1000:.0f} ms"
        )

    @property
    def rate(self) -> float:
        """Starts per second from the first to the last."""
        return (len(self.starts) - 1) / (self.starts[-1] - self.starts[0])

    @property
    def most_in_a_second(self) -> int:
        """The most starts in any half-open window of one second."""
        return max(sum(at <= each < at + 1 for each in self.starts) for at in self.starts)

    def between(self, first: float, last: float) -> list[float]:
        """Return the starts between two instants."""
        return [each for each in self.starts if first < each <= last]


At = Callable[[float], float]
"""Waits for an instant, if it is not over; returns the one that it is then."""

During = Callable[[At, list[int]], None]
"""What happens meanwhile; it is given a way to wait for an instant, and the process numbers."""


def dial_together(
    place: tuple[str, str],
    *,
    processes: int,
    cps: float,
    seconds: float,
    waiters: int = 6,
    during: During | None = None,
    stopped: int = 0,
    **order: Any,
) -> Run:
    """Let real processes take slots for some seconds.

    Args:
        place: The store's name, and where it is.
        processes: How many.
        cps: What each is told.
        seconds: For how long.
        waiters: How many stand in line in each of them.
        during: What happens meanwhile.
        stopped: How many of them are stopped meanwhile.
        order: What else `callers.py` is told.
    """
    with tempfile.TemporaryDirectory() as results:
        order |= {"processes": processes, "cps": cps, "seconds": seconds, "waiters": waiters}
        order |= {"store": place[0], "where": place[1], "results": results}
        order |= {"account": uuid.uuid4().hex}
        with subprocess.Popen(
            [sys.executable, str(CALLERS), json.dumps(order)], stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            told = json.loads(parent.stdout.readline())
            begin: float = told["begin"]

            def at(instant: float) -> float:
                time.sleep(max(0, begin + instant - time.monotonic()))
                return time.monotonic() - begin

            if during is not None:
                during(at, told["pids"])
            assert parent.wait() == 0
        found = [json.loads(each.read_text()) for each in Path(results).iterdir()]
    assert len(found) == processes
    return Run(
        starts=sorted(each - begin for one in found for each in one["starts"]),
        shares=[len(one["starts"]) for one in found],
        errors=[error for one in found for error in one["errors"]],
        trips=sum(one["trips"] for one in found),
        cps=cps,
        late=sorted(one["late"] for one in found)[-1 - stopped],
    )


@pytest.fixture
def dial() -> Callable[..., Run]:
    """Return `dial_together`."""
    return dial_together
