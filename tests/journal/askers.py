"""Processes that ask for the same keys, to be killed; run as a script, with its order in JSON.

It forks as many processes as it is told to, and another one in the place of each that is killed.
It prints the identifier of each when it begins. Each writes down what it is answered, line by
line: a key and a Call SID, or the name of an error.
"""

import asyncio
import json
import os
import random
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from conference_async import ConferenceClient, ConferenceError, Credentials, RetryPolicy, Unpaced
from conference_async.journal import rows
from conference_async.journal.place import journal_at
from conference_async.sending import hold


def number_of(key: int) -> str:
    """Return the number that a key's create calls."""
    return f"+1555{key:07}"


async def stand_still(_label: str | None, _number: int) -> None:
    """Stop, after the claim and before the request leaves, until somebody lets it go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


async def ask(order: dict[str, Any], place: int) -> None:
    """Ask for all keys, in an order of one's own, and again for what was not sent."""
    journal = journal_at(order["where"] if "://" in order["where"] else Path(order["where"]))
    dice = random.Random(f"{order['seed']} {place} {os.getpid()}")
    keys = dice.sample(range(order["keys"]), order["keys"])
    answers = Path(order["answers"]) / f"{os.getpid()}"
    async with (
        journal,
        ConferenceClient(
            Credentials(order["account_sid"], order["auth_token"]),
            base_url=order["base_url"],
            limit=Unpaced(),
            journal=journal,
            timeout=1.0,
            before_send=stand_still if order["stops"] else None,
            retry=RetryPolicy(base=0.05, maximum=0.5, lookups=3, settled=1.0),
        ) as client,
    ):
        participants = client.conferences("standup").participants

        async def ask_for(key: int) -> None:
            while True:
                try:
                    placed = await participants.create(
                        from_="+15017122661", to=number_of(key), once=f"{order['prefix']} {key}"
                    )
                    answer = placed.call_sid
                except ConferenceError as error:
                    answer = type(error).__name__
                with answers.open("a") as file:
                    file.write(f"{key} {answer}\n")
                if order["stops"] or answer not in {"ConnectionFailed", "NotSent"}:
                    return

        at_once = asyncio.Semaphore(order["at_once"])

        async def in_turn(key: int) -> None:
            async with at_once:
                await ask_for(key)

        await asyncio.gather(*map(in_turn, keys))


def leases(lease: float) -> dict[str, float]:
    """Return what lets whoever is killed be taken for dead sooner: constants, and their values."""
    return {
        f"{rows.__name__}.LEASE": lease,
        f"{hold.__name__}.STANDS": lease * 2 / 3,
        f"{hold.__name__}.RENEWED_EVERY": lease / 3,
    }


def hasten(lease: float) -> None:
    """Let whoever is killed be taken for dead sooner."""
    for name, value in leases(lease).items():
        module, _, constant = name.rpartition(".")
        setattr(sys.modules[module], constant, value)


def start(order: dict[str, Any], place: int) -> int:
    """Fork a process, and return its identifier."""
    child = os.fork()
    if child:
        print(child, flush=True)
        return child
    try:
        asyncio.run(ask(order, place))
    except BaseException:  # noqa: BLE001 -- said, and seen by the exit code
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Start them all, replace those that are killed, and end when all are done."""
    order = json.loads(sys.argv[1])
    hasten(order["lease"])
    places = {start(order, place): place for place in range(order["processes"])}
    failed = 0
    while places:
        child, status = os.wait()
        place = places.pop(child)
        if os.WIFSIGNALED(status):
            places[start(order, place)] = place
        else:
            failed += status != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
