"""Creates that are cancelled at every one of their steps, on the machine's clock and any loop.

A step is an await at which a create gives way to the loop. It is cancelled there while it waits,
and in the turn in which it would have gone on, where what it waited for is there already.
``CONFERENCE_ASYNC_TEST_STEPS`` is how many steps of each kind of create are tried.
"""

import asyncio
import itertools
import logging
import os
import socket
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from conference_async import (
    ConferenceClient,
    CreateLimit,
    Credentials,
    Ledger,
    NewParticipant,
    Outcome,
    OutcomeUnknown,
    RetryPolicy,
    SQLiteLimit,
    State,
)
from conference_async.dialer import Campaign
from conference_async.dialer.calling.execution import Executor
from conference_async.emulator import Emulator, Fault

STEPS = int(os.environ.get("CONFERENCE_ASYNC_TEST_STEPS", "8"))
CPS = 30.0
FROM, TO = "+15017122661", "+15558675310"

Cancel = Callable[["asyncio.Task[Any]", Any], object]


def waiting(task: "asyncio.Task[Any]", _awaited: object) -> None:
    """Cancel a task while it waits."""
    asyncio.get_running_loop().call_soon(task.cancel)


def woken(task: "asyncio.Task[Any]", awaited: object) -> None:
    """Cancel a task when what it waits for has come, before it can go on."""
    if isinstance(awaited, asyncio.Future):
        awaited.add_done_callback(lambda _: task.cancel())
    else:
        waiting(task, awaited)


@attrs.define
class Steps:
    """Counts the steps of a coroutine, and cancels its task at one of them."""

    at: int | None = None
    cancel: Cancel = waiting
    taken: int = 0

    @types.coroutine
    def through(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run the coroutine to its end."""
        raised: BaseException | None = None
        while True:
            try:
                awaited = coroutine.send(None) if raised is None else coroutine.throw(raised)
            except StopIteration as ended:
                return ended.value
            raised = None
            task = asyncio.current_task()
            if self.taken == self.at and task is not None:
                self.cancel(task, awaited)
            self.taken += 1
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 -- it is the coroutine's
                raised = error


def chosen(count: int) -> list[int]:
    """Return the steps to try, of so many: all, or some that are evenly spread."""
    tried = min(count, STEPS)
    return [number * count // tried for number in range(tried)]


class Names(AbstractResolver):
    """A resolver that takes its time."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine's address."""
        await asyncio.sleep(0.005)
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Have nothing to close."""


async def write_down(_label: str | None, _attempt: int) -> None:
    """Take a while, as a ledger on a slow disk."""
    await asyncio.sleep(0.002)
    await asyncio.sleep(0.002)


@asynccontextmanager
async def service(path: Path | None = None) -> AsyncGenerator[tuple[Emulator, ConferenceClient]]:
    """Open an emulator and a client of one place, with slow names and a connection per request."""
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(pace=False, answer_after=None))
        connector = aiohttp.TCPConnector(resolver=Names(), use_dns_cache=False, force_close=True)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        limit = CreateLimit(CPS) if path is None else SQLiteLimit(path, CPS)
        if isinstance(limit, SQLiteLimit):
            await stack.enter_async_context(limit)
        yield (
            emulator,
            await stack.enter_async_context(
                ConferenceClient(
                    Credentials(emulator.account_sid, emulator.auth_token),
                    session=session,
                    base_url=f"http://service.test:{emulator.base_url.rpartition(':')[2]}",
                    limit=limit,
                    max_concurrency=1,
                    retry=RetryPolicy(base=0.001, lookups=2, settled=0.1),
                    before_send=write_down,
                )
            ),
        )


async def fate_of(create: Awaitable[Any]) -> str:
    """Return what a create's caller is told."""
    try:
        await create
    except asyncio.CancelledError as cancelled:
        return "cancelled" if OutcomeUnknown.behind(cancelled) is None else "unknown"
    except OutcomeUnknown:
        return "unknown"
    return "placed"


RINGS = {"placed": {1}, "unknown": {0, 1}, "cancelled": {0}}


@pytest.mark.sized
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cancel", [waiting, woken])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fault", [None, Fault.RESET_AFTER, Fault.FAIL_503, Fault.TOO_MANY])
@pytest.mark.usefixtures("nothing_left_over")
async def test_a_create_cancelled_at_any_step_is_reported_as_it_was(
    fault: Fault | None,
    *,
    shared: bool,
    cancel: Cancel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What rang is said to have rung; the slot and the place it had serve the next."""
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    numbers = (f"+1555{number:07}" for number in itertools.count())
    async with service(tmp_path / "pace.db" if shared else None) as (emulator, client):

        async def dial(steps: Steps) -> None:
            to = next(numbers)
            if fault is not None:
                emulator.faults.add(fault)
            room = client.conferences("standup")
            create = asyncio.ensure_future(
                steps.through(room.participants.create(from_=FROM, to=to))
            )
            fate = await fate_of(create)
            emulator.faults.clear()
            await room.participants.create(from_=FROM, to=next(numbers))
            assert emulator.rings(to) in RINGS[fate], (steps, fate)
            assert client.limit.snapshot().next_start < 1.5 / CPS, steps
            assert client.limit.snapshot().waiting == 0, steps

        whole = Steps()
        await dial(whole)
        for step in chosen(whole.taken):
            await dial(Steps(step, cancel))

    assert whole.taken > 5, whole
    assert not logged
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.sized
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cancel", [waiting, woken])
async def test_a_call_cancelled_at_any_step_is_in_the_ledger_as_it_was(
    cancel: Cancel, tmp_path: Path
) -> None:
    """The row says planned only if nothing was sent, and never stays in flight."""
    async with service() as (emulator, client):

        async def call(steps: Steps, path: Path) -> None:
            planned = Outcome(target="t", to=TO, conference=path.stem)
            async with Ledger(path) as ledger:
                account = emulator.account_sid
                await ledger.begin(Campaign(name="c", account_sid=account, total=1))
                await ledger.enrol([planned])
                executor = Executor(client=client, ledger=ledger, clock=lambda: datetime.now(UTC))
                before = emulator.rings(TO)
                new = NewParticipant(from_=FROM, to=TO)
                task = asyncio.ensure_future(
                    steps.through(executor.call(planned, new, lambda: None))
                )
                await asyncio.wait([task])
                (left,) = [outcome async for outcome in ledger.outcomes()]
                await ledger.end()
            rang = emulator.rings(TO) - before
            allowed = {State.PLANNED: {0}, State.UNKNOWN: {0, 1}, State.PLACED: {1}}
            assert rang in allowed[left.state], (steps, left)

        whole = Steps()
        await call(whole, tmp_path / "whole.db")
        for step in chosen(whole.taken):
            await call(Steps(step, cancel), tmp_path / f"{step}.db")

    assert whole.taken > 5, whole
