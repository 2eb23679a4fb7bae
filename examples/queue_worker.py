"""A worker that dials the people in a queue, in as many processes as you like.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1… REDIS_URL=redis://localhost
    for worker in 1 2 3 4; do python queue_worker.py & done

    redis-cli XADD invitations '*' id order-42 room standup to +15558675310 label alice
    redis-cli XRANGE outcomes - +

The queue is a stream of Redis. Like every queue of its kind it delivers at least once: the messages
of a worker that died are delivered again, to another. The message's ``id`` is the key of the create
(``once=``), so the phone rings once; the journal is a file in the folder ``STATE``, for workers on
several machines a `PostgresJournal`. The pace is shared by the same Redis.

Nothing public is needed: the workers ask how calls go.
"""

import asyncio
import os
import signal
import uuid
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from conference_async import (
    CallOver,
    ConferenceClient,
    ConferenceError,
    Journal,
    LedgerError,
    NewParticipant,
    NotSent,
    OutcomeUnknown,
    Polling,
    RedisLimit,
    dial_and_wait,
)

QUEUE, OUTCOMES, GROUP = "invitations", "outcomes", "diallers"
REDIS = os.environ.get("REDIS_URL", "redis://localhost")
STATE = Path(os.environ.get("STATE", "."))
AT_ONCE = 5
"""How many people one process waits for at a time."""
LEASE = float(os.environ.get("LEASE", "180"))
"""Seconds after which an unfinished message goes to another worker: longer than one takes."""
PATIENCE = 60.0
"""Seconds for which a phone may ring; the wait for a slot, at most as long, comes on top."""


async def outcome(client: ConferenceClient, message: dict[str, str]) -> str | None:
    """Dial the person of a message; return what became of it, or None if it must come again."""
    room = client.conferences(message["room"])
    new = NewParticipant(from_=os.environ["FROM_NUMBER"], to=message["to"], label=message["label"])
    try:
        await dial_and_wait(
            room, new, calls=Polling(room, every=1), timeout=PATIENCE, once=message["id"]
        )
    except (NotSent, LedgerError):
        return None  # nobody was called
    except OutcomeUnknown:
        return None  # delivered again it is looked for once more, and not dialled
    except CallOver as over:
        return f"gone ({over.status})"
    except ConferenceError as error:
        return str(error)
    return "answered"


async def next_message(redis: Redis, name: str) -> tuple[str, dict[str, str]] | None:
    """Take a message that a worker has left, or else a new one; None if none comes."""
    abandoned: Any = await redis.xautoclaim(QUEUE, GROUP, name, int(LEASE * 1000), count=1)
    messages = abandoned[1]
    if not messages:
        found: Any = await redis.xreadgroup(GROUP, name, {QUEUE: ">"}, count=1, block=1000)
        messages = found[0][1] if found else []
    return messages[0] if messages else None


async def consume(redis: Redis, client: ConferenceClient, stopping: asyncio.Event) -> None:
    """Take one message after the other, and acknowledge those that are done."""
    name = uuid.uuid4().hex
    while not stopping.is_set():
        try:
            taken = await next_message(redis, name)
            if taken is None:
                continue
            number, message = taken
            if became := await outcome(client, message):
                await redis.xadd(OUTCOMES, {"label": message["label"], "became": became})
                await redis.xack(QUEUE, GROUP, number)
                print(f"{message['label']}: {became}", flush=True)
        except (RedisError, OSError) as error:
            print(f"the queue is away: {type(error).__name__}", flush=True)
            await asyncio.sleep(1)


async def main() -> None:
    """Work until it is told to stop; what is under way is finished."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    cps = float(os.environ.get("CPS", "1"))
    async with (
        Redis.from_url(REDIS, decode_responses=True) as redis,
        RedisLimit(REDIS, cps) as limit,
        Journal(STATE / "calls.db") as journal,
        ConferenceClient(limit=limit, journal=journal, deadline=PATIENCE) as client,
        asyncio.TaskGroup() as consumers,
    ):
        try:
            await redis.xgroup_create(QUEUE, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # else another worker has made it
                raise
        for _ in range(AT_ONCE):
            consumers.create_task(consume(redis, client, stopping))


if __name__ == "__main__":
    asyncio.run(main())
