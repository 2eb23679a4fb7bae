"""Clients that share a limit, against the local server."""

import asyncio
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from conference_async import (
    AttemptEvent,
    ConferenceClient,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    Limit,
    SQLiteLimit,
)
from conference_async.emulator import Emulator


def client_of(emulator: Emulator, limit: Limit) -> ConferenceClient:
    """Return a client of the local server."""
    credentials = Credentials(emulator.account_sid, emulator.auth_token)
    return ConferenceClient(credentials, base_url=emulator.base_url, limit=limit)


async def create(client: ConferenceClient) -> None:
    """Dial one participant."""
    await client.conferences("standup").participants.create(from_="+15017122661", to="+15558675310")


async def test_two_clients_keep_one_pace_at_the_service(tmp_path: Path) -> None:
    """The service sees the account's rate from both together, so nothing queues there."""
    path = tmp_path / "pace.db"
    async with (
        Emulator(cps=10) as emulator,
        SQLiteLimit(path, 10) as one,
        SQLiteLimit(path, 10) as other,
        client_of(emulator, one) as first,
        client_of(emulator, other) as second,
    ):
        begun = time.monotonic()
        await asyncio.gather(*(create(client) for client in (first, second) for _ in range(6)))

        assert 1.05 <= time.monotonic() - begun < 10  # a busy machine may be late
        assert emulator.count("create") == 12


async def test_while_the_store_is_gone_a_deadline_means_not_sent(tmp_path: Path) -> None:
    """Nothing is dialled without a slot, and the caller may repeat."""
    path = tmp_path / "pace.db"
    async with Emulator() as emulator, SQLiteLimit(path, 10) as limit:
        async with client_of(emulator, limit) as client:
            with closing(sqlite3.connect(path, isolation_level=None)) as hog:
                hog.execute("BEGIN EXCLUSIVE")
                with pytest.raises(DeadlineExceeded):
                    await create(client.with_options(deadline=0.3))

        assert emulator.count("create") == 0


class Names(AbstractResolver):
    """A resolver that answers nobody before it is let."""

    def __init__(self) -> None:
        self.back = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine's address, when names are back."""
        await self.back.wait()
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Have nothing to close."""


def most_in_a_second(found: list[float]) -> int:
    """Return the most instants in any half-open window of one second."""
    return max(sum(first <= each < first + 1 for each in found) for first in found)


def even(starts: list[float], cps: float) -> Any:
    """Return what evenly spaced starts are, from the first one on."""
    return pytest.approx([starts[0] + n / cps for n in range(len(starts))], abs=1e-3)


@pytest.mark.looptime
async def test_after_slow_names_the_creates_leave_one_by_one() -> None:
    """Four seconds without a name are not followed by a second with twenty creates."""
    names = Names()
    async with (
        Emulator(cps=30) as emulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=names)) as session,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            session=session,
            base_url=f"http://service.test:{emulator.base_url.rpartition(':')[2]}",
            limit=CreateLimit(5),
        ) as client,
    ):
        creates = asyncio.gather(*(create(client) for _ in range(24)))
        await asyncio.sleep(4)
        names.back.set()
        await creates

        assert emulator.starts[0] == pytest.approx(4, abs=0.01)
        assert emulator.starts == even(emulator.starts, 5)


@pytest.mark.looptime
async def test_creates_that_are_cancelled_on_their_way_leave_no_trace_in_the_pace() -> None:
    """Creates that never left count for nothing: the next ones leave at once, and evenly."""
    names, attempts = Names(), list[AttemptEvent]()
    async with (
        Emulator(cps=30) as emulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=names)) as session,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            session=session,
            base_url=f"http://service.test:{emulator.base_url.rpartition(':')[2]}",
            limit=CreateLimit(5),
            on_attempt=attempts.append,
        ) as client,
    ):
        for _ in range(5):
            stuck = asyncio.create_task(create(client))
            await asyncio.sleep(0.02)
            stuck.cancel()
            await asyncio.wait([stuck])
        begun = asyncio.get_running_loop().time()
        names.back.set()
        await asyncio.gather(*(create(client) for _ in range(10)))

        assert emulator.starts[0] == pytest.approx(begun, abs=0.01)
        assert emulator.starts == even(emulator.starts, 5)
        assert [event.sent_at for event in attempts] == pytest.approx(emulator.starts, abs=1e-3)


@pytest.mark.looptime
@pytest.mark.parametrize(("seconds", "rate"), [(0.05, 30), (0.3, 30), (2, 25)])
async def test_writing_down_first_costs_no_rate(seconds: float, rate: float) -> None:
    """It is the CPS, or what fifty creates that are under way at once allow."""

    async def write_down(_label: str | None, _attempt: int) -> None:
        await asyncio.sleep(seconds)

    async with (
        Emulator(cps=30) as emulator,
        client_of(emulator, CreateLimit(30)) as client,
    ):
        careful = client.with_options(before_send=write_down)
        await asyncio.gather(*(create(careful) for _ in range(100)))

        assert most_in_a_second(emulator.starts) <= 30
        assert emulator.starts[-1] <= seconds + 99 / rate + 0.01


async def test_a_create_that_is_cancelled_in_the_turn_of_its_slot_logs_nothing() -> None:
    """The timer that wakes it and its cancellation may come in one turn of the loop."""
    loop, logged = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: logged.append(context))
    async with Emulator(cps=30) as emulator, client_of(emulator, CreateLimit(10)) as client:
        for _ in range(3):
            await create(client)
            now = loop.time()
            due = now + client.limit.snapshot().next_start
            # While the loop is held up, both the slot and the time-out come due.
            loop.call_at(due - 0.001, time.sleep, 0.01)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout_at(due - 0.0005):
                    await create(client)
            await asyncio.sleep(0.15)

    assert not logged


@pytest.mark.looptime
async def test_a_deadline_ends_the_wait_at_the_wire() -> None:
    """A create whose slot does not come in time was not sent, and the error says so."""
    names = Names()
    async with (
        Emulator(cps=30) as emulator,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=names)) as session,
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            session=session,
            base_url=f"http://service.test:{emulator.base_url.rpartition(':')[2]}",
            limit=CreateLimit(1),
            timeout=5,
        ) as client,
    ):
        hurried = client.with_options(deadline=7)
        creates = [asyncio.create_task(create(hurried)) for _ in range(6)]
        await asyncio.sleep(4)
        names.back.set()
        done, _ = await asyncio.wait(creates)

        assert emulator.starts == pytest.approx([4, 5, 6], abs=0.01)
        failed = [task.exception() for task in done if task.exception()]
        assert len(failed) == 3
        assert {type(error) for error in failed} == {DeadlineExceeded}
