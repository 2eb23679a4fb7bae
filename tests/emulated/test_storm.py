"""Ten thousand creates in a storm of every fault: nobody rung twice, nobody lost."""

import asyncio
import os
import random
import socket
from bisect import bisect_left

import aiohttp
import attrs
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from conference_async import (
    AttemptEvent,
    AttemptOutcome,
    ConferenceClient,
    ConferenceHandle,
    CreateLimit,
    Credentials,
    NotSent,
    OutcomeUnknown,
    Priority,
    RequestRefused,
    RetryPolicy,
)
from conference_async.emulator import Emulator, Fault, Injection, Request

FROM = "+15017122661"
CPS = 30.0
CREATES = int(os.environ.get("CONFERENCE_ASYNC_TEST_STORM", "200"))
MANY = 800
"""From so many creates on each fate can be relied upon to be met."""

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


def choose(
    dice: random.Random, request: Request, probability: float, seconds: float = 1.0
) -> Injection | None:
    """Return what goes wrong with a request, if anything; a second lasts so many seconds."""
    if dice.random() >= (probability if request.kind == "create" else probability / 4):
        return None
    fault = dice.choice(FAULTS)
    after = dice.choice([None, 0.5, 1.0]) if fault is Fault.TOO_MANY else None
    return Injection(
        fault=fault,
        seconds=dice.uniform(0, 30) * seconds,
        retry_after=None if after is None else after * seconds,
    )


class Names(AbstractResolver):
    """A resolver that takes its time, now and then so long that the request gives up."""

    def __init__(self, dice: random.Random, second: float) -> None:
        self.slow = True
        self._dice = dice
        self._second = second

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine's address, sooner or later."""
        seconds = self._dice.choice([0, 0, 0.1, 1, 4, 12]) if self.slow else 0
        await asyncio.sleep(seconds * self._second)
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Have nothing to close."""


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


@attrs.frozen
class Storm:
    """Creates in a storm: faults, outages, slow names, a slow ledger, deadlines, cancellations.

    Attributes:
        count: How many creates.
        second: How long a second lasts, but for those of the pace and of deadlines.
    """

    count: int
    second: float = 1.0
    seed: int = attrs.field(
        factory=lambda: int(
            os.environ.get("CONFERENCE_ASYNC_TEST_SEED", str(random.randrange(10**6)))
        )
    )

    async def rage(self) -> tuple[list[str], dict[str, int], list[float], list[float]]:
        """Return the fates, the rings, when forms left, and the starts of the calm after."""
        print(f"storm of {self.count} creates, CONFERENCE_ASYNC_TEST_SEED={self.seed}")
        dice, count, second = random.Random(self.seed), self.count, self.second
        left: list[float] = []

        def note(event: AttemptEvent) -> None:
            if event.kind == "create" and event.outcome is not AttemptOutcome.NOT_LEFT:
                left.append(event.sent_at)

        async def write_down(_label: str | None, _attempt: int) -> None:
            await asyncio.sleep(dice.choice([0, 0.01, 0.01, 0.1, 1]) * second)

        names = Names(dice, second)
        connector = aiohttp.TCPConnector(resolver=names, use_dns_cache=False)
        async with (
            Emulator(cps=CPS, seed=self.seed, answer_after=None, keep_ended=count) as emulator,
            aiohttp.ClientSession(connector=connector) as session,
            ConferenceClient(
                Credentials(emulator.account_sid, emulator.auth_token),
                session=session,
                base_url=f"http://service.test:{emulator.base_url.rpartition(':')[2]}",
                limit=CreateLimit(CPS),
                timeout=10 * second,
                retry=RetryPolicy(
                    base=0.2 * second, maximum=2 * second, lookups=4, settled=30 * second
                ),
                before_send=write_down,
                on_attempt=note,
            ) as client,
        ):
            emulator.faults.plan(lambda request: choose(dice, request, 0.3, second))
            outages = asyncio.create_task(self._break_down(emulator))

            def room_of(index: int) -> ConferenceHandle:
                hurried = dice.random() < 0.05
                # Bulk creates wait out an outage, in which interactive ones soon give up.
                view = client.with_options(
                    deadline=dice.uniform(0.1, count / CPS) if hurried else None,
                    priority=Priority.INTERACTIVE if dice.random() < 0.1 else Priority.BULK,
                )
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
            await outages
            emulator.faults.clear()
            names.slow = False
            await asyncio.sleep(60 * second)
            before, calm = len(emulator.starts), client.with_options(before_send=None)
            await asyncio.gather(
                *(fate_of(calm.conferences("calm"), f"+1556{i:07}", None) for i in range(91))
            )
            return fates, rings, sorted(left), emulator.starts[before:]

    async def _break_down(self, emulator: Emulator) -> None:
        """Take the service down, now and then, while the storm goes on."""
        for _ in range(3):
            await asyncio.sleep(10 * self.second)
            await emulator.restart(downtime=6 * self.second)


def most_in_a_second(left: list[float]) -> int:
    """Return the most instants, which are in order, in any window of a second."""
    return max(bisect_left(left, first + 1 - 1e-6) - index for index, first in enumerate(left))


def misreported(fates: list[str], rings: dict[str, int]) -> list[tuple[str, str, int]]:
    """Return those whose phone rang more, or less often than their fate allows."""
    return [
        (number(index), fate, rings.get(number(index), 0))
        for index, fate in enumerate(fates)
        if rings.get(number(index), 0) not in EXPECTED_RINGS[fate]
    ]


@pytest.mark.sized
@pytest.mark.looptime
@pytest.mark.timeout(300 + CREATES // 10)
async def test_nobody_is_rung_twice_and_nobody_is_lost_in_a_storm() -> None:
    """Each target rings at most once, and what is reported agrees with what rang."""
    storm = Storm(CREATES)

    fates, rings, left, calm = await storm.rage()

    assert not misreported(fates, rings)
    assert CREATES < MANY or {*EXPECTED_RINGS} - {"refused"} <= set(fates)
    assert most_in_a_second(left) <= CPS
    assert calm[-1] - calm[0] == pytest.approx(90 / CPS, abs=1e-3)


@pytest.mark.sized
@pytest.mark.timeout(300 + CREATES // 10)
async def test_a_storm_on_the_machines_clock_under_uvloop() -> None:
    """The same promises hold on the other loop, where nothing happens at exact instants."""
    import uvloop

    storm = Storm(max(MANY, CREATES) // 10, second=0.04)

    fates, rings, left, calm = await asyncio.to_thread(uvloop.run, storm.rage())

    assert not misreported(fates, rings)
    assert {"placed", "unknown"} <= set(fates)
    assert most_in_a_second(left) <= CPS + 1  # noted just after they left
    # The first may be noted later than the last, where the machine stalls.
    assert calm[-1] - calm[0] >= 90 / CPS - 0.25


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
    """Hundreds of creates that can wait do not storm a service that is down for a minute."""
    async with (
        Emulator(cps=CPS, seed=1, answer_after=None) as emulator,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            limit=CreateLimit(CPS),
        ) as client,
    ):
        attempts: list[str | None] = []
        view = client.with_options(
            on_attempt=lambda event: attempts.append(event.label), priority=Priority.BULK
        )
        await emulator.stop_listening()
        order: list[str] = []

        async def one(index: int) -> str:
            room = view.conferences(f"room {index // 200}")
            fate = await fate_of(room, number(index), None)
            if fate == "placed":
                order.append(number(index))
            return fate

        tasks = [asyncio.create_task(one(index)) for index in range(500)]
        await asyncio.sleep(60)
        during = len(attempts)
        await emulator.start_listening()
        fates = await asyncio.gather(*tasks)

        assert 60 <= during <= 125  # one at a time, at pauses of half a second to a second
        assert fates.count("placed") >= 468  # a probe that fails ends its create
        assert set(fates) <= {"placed", "not sent"}
        assert order[1:] == sorted(order[1:])  # the first was probing when the service came back
        assert all(emulator.rings(to) == 1 for to in order)
        assert sum(emulator.ring_counts.values()) == len(order)
