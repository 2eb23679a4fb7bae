"""Processes that take slots from one shared limit; run as a script, with its order in JSON.

It forks the processes that it was told to, and prints their identifiers and the instant at which
they begin, on the machine's monotonic clock. Each of them writes a file with its starts.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.postgres import PostgresLimit
from conference_async.pace.redis import RedisLimit
from conference_async.pace.shared import SharedLimit
from conference_async.pace.sqlite import SQLiteLimit

LIMITS: dict[str, Callable[..., SharedLimit]] = {
    "sqlite": SQLiteLimit,
    "redis": RedisLimit,
    "postgres": PostgresLimit,
}


def count_trips(store: Any) -> list[str]:
    """Let a store note its round trips; return where."""
    trips: list[str] = []

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(*args: Any, **values: Any) -> Any:
            trips.append(name)
            return await method(*args, **values)

        return ask

    for name in ("reserve_queued", "give_back", "report"):
        setattr(store, name, counted(name, getattr(store, name)))
    return trips


def make(order: dict[str, Any]) -> SharedLimit:
    """Return the limit that was ordered."""
    options = order.get("options", {})
    return LIMITS[order["store"]](order["where"], order["cps"], account=order["account"], **options)


async def watch(late: list[float]) -> None:
    """Measure by how much this machine is late with what is due, for ever."""
    while True:
        due = time.monotonic() + 0.01
        await asyncio.sleep(0.01)
        late.append(time.monotonic() - due)


async def dial(order: dict[str, Any], number: int) -> dict[str, Any]:
    """Take slots until the time is over; return what happened."""
    limit = make(order)
    trips = count_trips(limit._store)
    priority = Priority[order.get("priority", "INTERACTIVE")]
    starts: list[float] = []
    errors: list[str] = []
    begin, end = order["begin"], order["begin"] + order["seconds"]
    patience = order.get("patience")  # seconds after which a waiter gives up, and another comes

    async def wait_and_start() -> None:
        while time.monotonic() < end:
            try:
                scope = asyncio.timeout(patience and patience * random.uniform(0.5, 1))
                with contextlib.suppress(TimeoutError):
                    async with scope:
                        async with limit.turn(priority, next_ticket()) as turn:
                            await turn.slot()
                        started, now = await turn.start(), time.monotonic()
                        if started and now < end:
                            starts.append(now)
            except Exception as error:  # noqa: BLE001 -- what a caller would see is the finding
                errors.append(repr(error))

    await asyncio.sleep(begin - time.monotonic())
    late = [time.monotonic() - begin]
    async with limit:
        watcher = asyncio.create_task(watch(late))
        waiters = [asyncio.create_task(wait_and_start()) for _ in range(order["waiters"])]
        await asyncio.sleep(end - time.monotonic())
        for waiter in (*waiters, watcher):
            waiter.cancel()
        await asyncio.gather(*waiters, watcher, return_exceptions=True)
    return {
        "number": number,
        "starts": starts,
        "errors": errors,
        "trips": len(trips),
        "late": max(late),
    }


def set_the_clock_wrong(seconds: float) -> None:
    """Let this process believe in another wall-clock time."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + int(seconds * 1e9)


def main() -> None:
    """Fork, dial, report."""
    order = json.loads(sys.argv[1])
    logging.basicConfig(level=order.get("log", "ERROR"))
    make(order)  # so that the store's driver is imported once, before the processes part
    pids = []
    order["begin"] = time.monotonic() + 0.3 + order["processes"] / 50
    for number in range(order["processes"]):
        pid = os.fork()
        if not pid:
            if number == 0 and order.get("wrong_clock"):
                set_the_clock_wrong(order["wrong_clock"])
            found = asyncio.run(dial(order, number))
            Path(order["results"], str(number)).write_text(json.dumps(found))
            os._exit(0)
        pids.append(pid)
    print(json.dumps({"begin": order["begin"], "pids": pids}), flush=True)
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
