"""Processes that dial together for an account with few lines: all lines busy, none too many."""

import asyncio
import json
import os
import sys
import time
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import attrs
import pytest
from aiohttp import web

from conference_async import PostgresLimit, RedisLimit, SharedLimit, SQLiteLimit
from conference_async.emulator import Emulator, Script
from conference_async.webhooks import Keys, Receiver
from conference_async.webhooks.aiohttp_web import aiohttp_handler

DIALERS = Path(__file__).with_name("line_dialers.py")
LIMITS: dict[str, Callable[..., SharedLimit]] = {
    "sqlite": SQLiteLimit,
    "redis": RedisLimit,
    "postgres": PostgresLimit,
}
TARGETS = int(os.environ.get("CONFERENCE_ASYNC_TEST_LINE_TARGETS", "18"))
"""How many people each of the processes calls."""

ENOUGH = 8
"""With fewer it ends before anything can be said of the seconds after a process was killed."""

PROCESSES = 4


@attrs.define(kw_only=True)
class Account:
    """An account, the store that its processes share, and what is seen of it meanwhile."""

    emulator: Emulator
    order: dict[str, Any]
    ledgers: Path
    live: list[tuple[float, int]] = attrs.field(factory=list[tuple[float, int]])
    """How many calls were live, at each instant of the machine's clock."""

    async def watch(self) -> None:
        """Note how many calls are live, without end."""
        while True:
            self.live.append((time.time(), self.emulator.accounts[0].live_calls))
            await asyncio.sleep(0.02)

    async def dial(self, number: int) -> Process:
        """Start the process that calls one part of the people, or goes on with it."""
        order = {
            **self.order,
            "first": number * TARGETS,
            "targets": TARGETS,
            "ledger": str(self.ledgers / f"{number}.db"),
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, str(DIALERS), json.dumps(order), stdout=PIPE
        )

    def in_use(self, since: float) -> float:
        """Return the mean share of lines in use from an instant on, while work waits."""
        lines = self.emulator.max_live or 1
        # The last calls have nobody after them.
        full = [at for at, live in self.live if live >= lines]
        found = [live / lines for at, live in self.live if since <= at <= full[-1]]
        return mean(found)


@asynccontextmanager
async def account(
    place: tuple[str, str], ledgers: Path, *, lines: int, asked: int, talk: float, port: int | None
) -> AsyncGenerator[Account]:
    """Open an account with so many lines, whose calls last so long.

    Args:
        place: The name of the store that its processes share, and where it is.
        ledgers: A directory for what they have done.
        lines: How many calls it allows.
        asked: How many the processes are given as `max_live`.
        talk: Seconds from the answer to the end of each call.
        port: Where callbacks say when a call ended, if they do.
    """
    name = uuid.uuid4().hex
    async with Emulator(cps=30, max_live=lines, answer_after=0.5) as emulator:
        emulator.script("", Script(hang_up_after=talk))
        order = {
            "store": place[0],
            "where": place[1],
            "account": name,
            "max_live": asked,
            "account_sid": emulator.account_sid,
            "auth_token": emulator.auth_token,
            "base_url": emulator.base_url,
            "callback": None,
        }
        it = Account(emulator=emulator, order=order, ledgers=ledgers)
        watching = asyncio.create_task(it.watch())
        # Callbacks come to a process of their own, which has created nothing.
        limit = LIMITS[place[0]](place[1], 30, account=name, max_live=asked)
        async with limit:
            runner = None
            if port is not None:
                app = web.Application()
                runner = web.AppRunner(app, shutdown_timeout=0.1)
                url = f"http://127.0.0.1:{port}/hooks"
                receiver = Receiver(Keys(emulator.auth_token), public_url=url)
                receiver.listen(limit.apply)
                app.router.add_post("/hooks", aiohttp_handler(receiver))
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", port).start()
                order["callback"] = url
            try:
                yield it
            finally:
                watching.cancel()
                if runner is not None:
                    await runner.cleanup()


async def told(process: Process) -> dict[str, Any]:
    """Return what a process printed at its end."""
    out, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.soak  # it takes minutes, and both processors
@pytest.mark.skipif(
    TARGETS < ENOUGH, reason=f"asks for {ENOUGH} people a process, and a quiet machine"
)
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("heard", "talk", "asked"),
    [
        pytest.param(True, 2.5, 8, id="callbacks"),
        pytest.param(False, 24.5, 8, id="looks"),
        pytest.param(True, 2.5, 20, id="learned"),
    ],
)
async def test_processes_keep_all_lines_busy_and_take_none_too_many(
    place: tuple[str, str],
    tmp_path: Path,
    free_port: Callable[[], int],
    *,
    heard: bool,
    talk: float,
    asked: int,
) -> None:
    """95 % of the lines are in use, and who is killed gives its lines back.

    Nobody is refused; where the processes were given too many lines, nobody after a second.
    """
    lines = 8
    port = free_port() if heard else None
    async with account(place, tmp_path, lines=lines, asked=asked, talk=talk, port=port) as it:
        began = time.time()
        processes = [await it.dial(number) for number in range(PROCESSES)]
        while it.live[-1][1] < lines:  # noqa: ASYNC110 -- what is waited for is seen by looking
            await asyncio.sleep(0.1)
        await asyncio.sleep(1 + talk / 2)
        processes[0].kill()
        await processes[0].wait()
        killed = time.time()
        processes.append(await it.dial(0))
        found = [await told(process) for process in processes[1:]]

    first = it.live[0][0]
    busy = next(at for at, live in it.live if live == lines)
    before, after = it.in_use(busy), it.in_use(killed + 10)
    refused = [at - busy for one in found for at in one["refused"]]
    print(
        f"{place[0]}, {'callbacks' if heard else 'looks'}: {before:.3f} of the lines in use, "
        f"{after:.3f} from ten seconds after the kill on; refused {refused}; full after "
        f"{busy - began:.2f} s; {it.emulator.count('calls.list') / (time.time() - first):.2f} "
        "requests per second for looks"
    )
    assert max(live for _, live in it.live) <= lines
    assert not refused or (asked > lines and max(refused) <= 1)
    assert set(it.emulator.ring_counts.values()) == {1}
    # One that was about to be sent when its process was killed may not have been: it is unknown.
    unknown = [state for one in found for state in one["states"] if state == "unknown"]
    assert len(unknown) <= 1
    assert len(it.emulator.ring_counts) >= PROCESSES * TARGETS - len(unknown)
    assert before >= 0.95
    assert after >= 0.95
