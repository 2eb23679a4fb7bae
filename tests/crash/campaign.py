"""Campaigns in processes of their own, to be killed.

Started once, it reads a line for each campaign (ledger, base URL, account, token, number of
people, where to die, the weather), forks a process that runs it, and prints that process's id,
and its wait status when it is over. So a hundred processes need not import everything a hundred
times.

Where to die is a step (``claim:7:before``: just before the seventh claim is written;
``conclude:7:after``: just after the seventh outcome was, before anybody knows), or ``never``. The
process kills itself there as ``kill -9`` would.

In ``foul`` weather names and the ledger are slow, each request has a connection of its own, and
the loop is uvloop's; otherwise it is ``fair``.
"""

import asyncio
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult

from conference_async import (
    ConferenceClient,
    CreateLimit,
    Credentials,
    Dialer,
    Ledger,
    NewParticipant,
    Outcome,
    Plan,
    RetryPolicy,
    State,
)
from conference_async.dialer import Campaign


class MortalLedger(Ledger):
    """A ledger whose process dies at one of its steps."""

    def __init__(self, path: Path, kill_at: str, slow: float) -> None:
        super().__init__(path)
        self._kill_at = kill_at
        self._slow = slow
        self._steps: Counter[str] = Counter()

    def _reach(self, step: str) -> str:
        self._steps[step] += 1
        name = f"{step}:{self._steps[step]}"
        self._die_at(f"{name}:before")
        return f"{name}:after"

    def _die_at(self, moment: str) -> None:
        if self._kill_at == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    async def begin(self, campaign: Campaign) -> None:
        """Die before or after the campaign is named."""
        after = self._reach("begin")
        await super().begin(campaign)
        self._die_at(after)

    async def enrol(self, targets: Sequence[Outcome]) -> list[Outcome]:
        """Die before or after targets are enrolled."""
        after = self._reach("enrol")
        known = await super().enrol(targets)
        self._die_at(after)
        return known

    async def swap(self, before: Outcome, after: Outcome) -> bool:
        """Die before or after a change is written: a claim, or what the service answered."""
        moment = self._reach("claim" if after.state is State.SENDING else "conclude")
        await asyncio.sleep(random.uniform(0, self._slow))
        swapped = await super().swap(before, after)
        self._die_at(moment)
        return swapped


class Names(AbstractResolver):
    """A resolver that takes its time."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine's address."""
        await asyncio.sleep(random.uniform(0, 0.1))
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Have nothing to close."""


async def campaign(
    ledger: str, base_url: str, account: str, token: str, number: str, kill_at: str, weather: str
) -> None:
    """Run a campaign to its end, or to where it is to die."""
    foul = weather == "foul"
    people = (
        NewParticipant(from_="+15017122661", to=f"+1555{each:07d}") for each in range(int(number))
    )
    plan = Plan.from_participants(people, conference="standup", room_size=200)
    async with AsyncExitStack() as stack:
        session = None
        if foul:
            connector = aiohttp.TCPConnector(
                resolver=Names(), use_dns_cache=False, force_close=True
            )
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            base_url = base_url.replace("127.0.0.1", "service.test")
        client = await stack.enter_async_context(
            ConferenceClient(
                Credentials(account, token),
                base_url=base_url,
                session=session,
                limit=CreateLimit(30),
                retry=RetryPolicy(base=0.02, lookups=3, settled=0),
            )
        )
        mortal = MortalLedger(Path(ledger), kill_at, slow=0.1 if foul else 0)
        async for _ in Dialer(client, ledger=mortal).run(plan):
            pass


def serve() -> None:
    """Fork a process for each line of the standard input, one after the other."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                settings = line.rstrip("\n").split("\t")
                run = uvloop.run if settings[-1] == "foul" else asyncio.run
                run(campaign(*settings))
                status = 0
            finally:
                os._exit(status)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
