"""A worker that dials a CSV file of people into a conference, and says what became of each.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1…
    python worker.py all-hands people.csv

The file has the columns ``to`` and ``label``. Nothing public is needed: it asks how calls go.
The client keeps the pace; the workers only wait for people, twenty at a time. What was done is
forgotten at the end, and a second run calls everybody again: a campaign that goes on where it was
interrupted is a `Dialer` with a `Ledger`.
"""

import asyncio
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from conference_async import (
    CallOver,
    ConferenceClient,
    ConferenceError,
    ConferenceHandle,
    NewParticipant,
    Polling,
    dial_and_wait,
)

WORKERS = 20


def people(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


async def outcome(room: ConferenceHandle, row: dict[str, str]) -> str:
    """Dial one person; return what became of it."""
    try:
        new = NewParticipant(from_=os.environ["FROM_NUMBER"], to=row["to"], label=row["label"])
        await dial_and_wait(room, new, calls=Polling(room, every=1), timeout=90)
    except CallOver as over:
        return f"gone ({over.status})"
    except ConferenceError as error:
        return str(error)
    return "answered"


async def work(room: ConferenceHandle, queue: asyncio.Queue[dict[str, str]]) -> None:
    """Dial one after the other, until it is cancelled."""
    while True:
        row = await queue.get()
        print(f"{row['label']}: {await outcome(room, row)}", flush=True)
        queue.task_done()


async def main(name: str, path: Path) -> None:
    """Dial everybody in the file."""
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue(maxsize=WORKERS)
    cps = float(os.environ.get("CPS", "1"))
    async with ConferenceClient(cps=cps) as client, asyncio.TaskGroup() as group:
        room = client.conferences(name)
        workers = [group.create_task(work(room, queue)) for _ in range(WORKERS)]
        for row in people(path):
            await queue.put(row)
        await queue.join()
        for worker in workers:
            worker.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
