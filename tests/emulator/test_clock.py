"""Time that stands still and is moved on, in a process that runs by the wall clock."""

import asyncio
from typing import Any

import pytest

from conference_async.emulator import Emulator, Fault, Script

pytestmark = pytest.mark.looptime


def statuses(emulator: Emulator) -> list[str]:
    """Return how each call stands, oldest first."""
    return [call.call_status for call in emulator.calls]


async def test_an_hour_passes_at_once(open_api: Any, listener: Any) -> None:
    """Each thing happens at its own instant, in its order, and the loop's time stands."""
    async with open_api(cps=1, answer_after=2, ring_after=0.5) as api:
        emulator: Emulator = api.emulator
        emulator.script("5310", Script(hang_up_after=60))
        for _ in range(3):
            await api.create(
                StatusCallback=listener.url,
                StatusCallbackEvent="initiated ringing answered completed",
            )
        begin, date = asyncio.get_running_loop().time(), emulator.now
        emulator.advance(1.9)
        assert statuses(emulator) == ["ringing", "ringing", "queued"]
        emulator.advance(3600)
        await emulator.callbacks.settled()

        assert statuses(emulator) == ["completed"] * 3
        assert [call.duration for call in emulator.calls] == [60] * 3
        assert (emulator.now - date).total_seconds() == pytest.approx(3601.9, abs=1)
        starts = [call.started_at for call in emulator.calls]
        assert starts == [pytest.approx(begin + n) for n in range(3)]
        assert asyncio.get_running_loop().time() - begin < 1
        assert sorted(listener.events) == sorted(
            ["initiated", "ringing", "in-progress", "completed"] * 3
        )


async def test_time_stands_still_until_it_is_moved(open_api: Any) -> None:
    """Neither calls nor dates go on; afterwards they go on from where they stood."""
    async with open_api(pace=False, answer_after=1) as api:
        emulator: Emulator = api.emulator
        emulator.freeze()
        emulator.freeze()
        await api.create()
        date = emulator.now
        await asyncio.sleep(100)
        assert (statuses(emulator), emulator.now, emulator.frozen) == (["queued"], date, True)
        emulator.advance(0)
        assert statuses(emulator) == ["ringing"]
        emulator.advance(0.999)
        assert statuses(emulator) == ["ringing"]
        emulator.advance(0.001)
        assert statuses(emulator) == ["in-progress"]
        emulator.script("", Script(outcome="busy", after=5))
        await api.create()
        emulator.unfreeze()
        emulator.unfreeze()
        await asyncio.sleep(4.9)
        assert statuses(emulator) == ["in-progress", "ringing"]
        await asyncio.sleep(0.2)
        assert statuses(emulator) == ["in-progress", "busy"]
        assert not emulator.frozen


async def test_a_late_answer_and_late_callbacks_keep_to_the_clock(
    open_api: Any, listener: Any
) -> None:
    """Advancing brings an answer that a fault holds back, and a callback that is late."""
    async with open_api(pace=False, answer_after=None) as api:
        emulator: Emulator = api.emulator
        emulator.freeze()
        emulator.callbacks.delay = 30
        emulator.faults.add(Fault.DELAY, seconds=20)
        creating = asyncio.create_task(
            api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
        )
        await asyncio.sleep(50)
        emulator.advance(10)
        await asyncio.sleep(50)
        assert (creating.done(), listener.events) == (False, [])
        emulator.advance(10)
        assert (await creating).status == 201
        emulator.advance(20)
        await emulator.callbacks.settled()
        assert listener.events == ["initiated"]


async def test_timers_that_came_to_nothing_are_not_kept(open_api: Any) -> None:
    """Calls that are hung up leave no end of their longest talk behind."""
    async with open_api(pace=False, answer_after=None) as api:
        emulator: Emulator = api.emulator
        for _ in range(1200):
            call = emulator.dial_in("standup", "+15550000009")
            emulator.hang_up(call.sid)
        assert len(emulator._clock._timers) < 1100
        await api.create()
        assert statuses(emulator)[-1] == "ringing"


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "1", True, None])
async def test_time_does_not_go_back(open_api: Any, seconds: Any) -> None:
    """Odd seconds are refused by name."""
    async with open_api() as api:
        with pytest.raises((ValueError, TypeError), match="seconds must be"):
            api.emulator.advance(seconds)
