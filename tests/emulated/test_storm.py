"""Ten thousand creates in a storm of every fault: nobody rung twice, nobody lost."""

import asyncio
import os
import random

import aiohttp
import pytest

from conference_async import (
    ConferenceClient,
    ConferenceHandle,
    CreateLimit,
    Credentials,
    NotSent,
    OutcomeUnknown,
    RequestRefused,
    RetryPolicy,
)
from conference_async.emulator import Emulator, Fault, Injection, Request

FROM = "+15017122661"
CPS = 30.0
FAULTS = [
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.PLACE_THEN_500,
    Fault.FAIL_500,
    Fault.FAIL_503,
    Fault.DELAY,
    Fault.STALL,
    Fault.STALL_BEFORE,
    Fault.TRUNCATE,
    Fault.HTML_200,
    Fault.HTML_200_PLACED,
    Fault.EMPTY_200,
    Fault.REDIRECT,
    Fault.TOO_MANY,
    Fault.LABEL_CLASH,
    Fault.INVISIBLE,
]


def number(index: int) -> str:
    """Return the number of one target."""
    return f"+1555{index:07}"


def choose(dice: random.Random, request: Request, probability: float) -> Injection | None:
    """Return what goes wrong with a request, if anything."""
    if dice.random() >= (probability if request.kind == "create" else probability / 4):
        return None
    fault = dice.choice(FAULTS)
    return Injection(
        fault=fault,
        seconds=dice.uniform(0, 30),
        retry_after=dice.choice([None, 0.5, 1.0]) if fault is Fault.TOO_MANY else None,
    )


async def fate_of(room: ConferenceHandle, to: str, cancel_after: float | None) -> str:
    """Dial somebody, and return what the caller is told."""
    task = asyncio.ensure_future(room.participants.create(from_=FROM, to=to))
    if cancel_after is not None:
        asyncio.get_running_loop().call_later(cancel_after, task.cancel)
    try:
        participant = await task
    except asyncio.CancelledError as cancelled:
        return "cancelled" if OutcomeUnknown.behind(cancelled) is None else "unknown"
    except OutcomeUnknown:
        return "unknown"
    except NotSent:
        return "not sent"
    except RequestRefused:
        return "refused"
    return "reconciled" if participant.reconciled else "placed"


async def break_down(emulator: Emulator) -> None:
    """Take the service down, now and then, while the storm goes on."""
    for _ in range(3):
        await asyncio.sleep(10)
        await emulator.restart(downtime=6)


@pytest.mark.looptime
@pytest.mark.timeout(300)
async def test_nobody_is_rung_twice_and_nobody_is_lost_in_ten_thousand_creates() -> None:
    """Each target rings at most once, and what is reported agrees with what rang."""
    count = int(os.environ.get("CONFERENCE_ASYNC_TEST_STORM", "10000"))
    seed = int(os.environ.get("CONFERENCE_ASYNC_TEST_SEED", str(random.randrange(10**6))))
    print(f"storm of {count} creates, CONFERENCE_ASYNC_TEST_SEED={seed}")
    dice = random.Random(seed)
    async with (
        Emulator(cps=CPS, seed=seed, answer_after=None, keep_ended=count) as emulator,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            limit=CreateLimit(CPS),
            timeout=10,
            retry=RetryPolicy(base=0.2, maximum=2, lookups=4),
        ) as client,
    ):
        emulator.faults.plan(lambda request: choose(dice, request, 0.3))
        outages = asyncio.create_task(break_down(emulator))

        def room_of(index: int) -> ConferenceHandle:
            hurried = dice.random() < 0.05
            view = client.with_options(deadline=dice.uniform(0.1, count / CPS) if hurried else None)
            return view.conferences(f"room {index // 200}")

        fates = await asyncio.gather(
            *(
                fate_of(
                    room_of(index),
                    number(index),
                    dice.uniform(0, count / CPS) if dice.random() < 0.05 else None,
                )
                for index in range(count)
            )
        )

        rings = emulator.ring_counts
        wrong = [
            (number(index), fate, rings.get(number(index), 0))
            for index, fate in enumerate(fates)
            if rings.get(number(index), 0) not in EXPECTED_RINGS[fate]
        ]
        assert not wrong
        assert {"placed", "reconciled", "unknown", "not sent", "cancelled"} <= set(fates)

        await outages
        emulator.faults.clear()
        await asyncio.sleep(60)
        before = len(emulator.starts)
        await asyncio.gather(
            *(fate_of(client.conferences("calm"), f"+1556{i:07}", None) for i in range(91))
        )
        calm = emulator.starts[before:]
        assert calm[-1] - calm[0] == pytest.approx(90 / CPS, abs=1e-3)


EXPECTED_RINGS = {
    "placed": {1},
    "reconciled": {1},
    "unknown": {0, 1},
    "not sent": {0},
    "refused": {0},
    "cancelled": {0},
}


@pytest.mark.looptime
async def test_the_same_storm_makes_naive_code_ring_people_twice() -> None:
    """A client that repeats on every error is what the storm is there to catch."""
    dice = random.Random(7)
    credentials = Credentials("AC" + "7" * 32, "token")
    async with (
        Emulator(
            pace=False,
            seed=7,
            answer_after=None,
            account_sid=credentials.account_sid,
            auth_token=credentials.auth_token,
        ) as emulator,
        aiohttp.ClientSession(headers={"Authorization": credentials.authorization}) as session,
    ):
        emulator.faults.plan(lambda request: choose(dice, request, 0.3))
        url = (
            f"{emulator.base_url}/2010-04-01/Accounts/{emulator.account_sid}"
            "/Conferences/standup/Participants.json"
        )

        async def naive(to: str) -> None:
            for _ in range(4):
                try:
                    async with session.post(
                        url,
                        data={"From": FROM, "To": to},
                        timeout=aiohttp.ClientTimeout(10),
                        allow_redirects=False,
                    ) as response:
                        if response.status == 201 and await response.json():
                            return
                except (aiohttp.ClientError, TimeoutError):
                    continue

        await asyncio.gather(*(naive(number(index)) for index in range(200)))

        assert max(emulator.ring_counts.values()) > 1


@pytest.mark.looptime
async def test_an_outage_costs_a_bounded_number_of_requests_and_ends_in_order() -> None:
    """A thousand waiting creates do not storm a service that is down for a minute."""
    async with (
        Emulator(cps=CPS, seed=1, answer_after=None) as emulator,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            limit=CreateLimit(CPS),
        ) as client,
    ):
        attempts: list[str | None] = []
        view = client.with_options(on_attempt=lambda event: attempts.append(event.label))
        await emulator.stop_listening()
        order: list[str] = []

        async def one(index: int) -> str:
            room = view.conferences(f"room {index // 200}")
            fate = await fate_of(room, number(index), None)
            if fate == "placed":
                order.append(number(index))
            return fate

        tasks = [asyncio.create_task(one(index)) for index in range(1000)]
        await asyncio.sleep(60)
        during = len(attempts)
        await emulator.start_listening()
        fates = await asyncio.gather(*tasks)

        assert during <= 40
        assert fates.count("placed") >= 960
        assert set(fates) <= {"placed", "not sent"}
        assert order == sorted(order)
        assert all(emulator.rings(to) == 1 for to in order)
        assert sum(emulator.ring_counts.values()) == len(order)
