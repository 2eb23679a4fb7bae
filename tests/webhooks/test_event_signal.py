"""What wakes the processes that share a file of events, wherever its sockets are, or are not."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from conference_async.webhooks import parse_event
from conference_async.webhooks.event_log import signal
from conference_async.webhooks.event_log.contract import Record
from conference_async.webhooks.event_log.sqlite import SQLiteEventStore

Make = Callable[[], SQLiteEventStore]


@pytest.fixture
async def make(short_folder: Path) -> AsyncIterator[Make]:
    """Return what makes one process's view of a file in a folder whose path is short."""
    async with AsyncExitStack() as stack:

        def making() -> SQLiteEventStore:
            store = SQLiteEventStore(short_folder / "events.db")
            stack.push_async_callback(store.aclose)
            return store

        yield making


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder in which a socket has room for its name."""
    with tempfile.TemporaryDirectory(prefix="ca-") as folder:
        yield Path(folder)


def record(number: int) -> Record:
    """Return an event that can be told from others."""
    call = {"CallSid": f"CA{number:032}", "CallStatus": "ringing", "SequenceNumber": "1"}
    return Record(parse_event(call).to_json(), (str(number),))


async def wakes(writer: SQLiteEventStore, reader: SQLiteEventStore) -> bool:
    """Return whether one hears at once what the other appends, and would else wait for long."""
    known = await reader.read("0", most=10, wait=0)
    after = known[-1].position if known else "0"

    async def heard() -> int:
        while not (found := await reader.read(after, most=10, wait=3600)):
            pass
        return len(found)

    waiting = asyncio.create_task(heard())
    await asyncio.sleep(0.2)  # it has looked, and waits
    await writer.append([record(len(known))], keep=60)
    async with asyncio.timeout(60):
        return await waiting == 1


async def test_processes_with_folders_of_their_own_find_each_other(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as containers, or units with ``PrivateTmp=``, that share no more than the file's."""
    writer, reader = make(), make()
    await writer.open()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert await wakes(writer, reader)


async def test_a_cleaner_stops_nobody(make: Make, short_folder: Path) -> None:
    """What it removed is there again when somebody has waited in vain; appending goes on."""
    writer, reader = make(), make()
    assert await wakes(writer, reader)
    await asyncio.to_thread(shutil.rmtree, short_folder / "events.db-wake")

    await writer.append([record(7)], keep=60)
    known = await reader.read("0", most=10, wait=0)
    assert len(known) == 2
    assert await reader.read(known[-1].position, most=10, wait=0.01) == []
    assert await wakes(writer, reader)


async def test_where_there_is_no_room_for_a_folder_another_does(
    make: Make, short_folder: Path
) -> None:
    """Something else has its name."""
    await asyncio.to_thread((short_folder / "events.db-wake").touch)

    assert await wakes(make(), make())


async def test_where_there_are_no_sockets_readers_look_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some shared folders and some systems."""
    monkeypatch.setattr(signal, "_HAS_SOCKETS", False)

    assert await wakes(make(), make())
