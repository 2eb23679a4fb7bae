"""The examples that are no servers, each driven from outside."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis

from conference_async.emulator import Emulator, Script

if TYPE_CHECKING:
    from tests.examples.conftest import Start


async def test_worker(start: "Start", emulator: Emulator, tmp_path: Path) -> None:
    """It dials everybody in the file once, and says what became of each."""
    emulator.script("+15558675312", Script(outcome="busy", after=0.1))
    people = tmp_path / "people.csv"
    rows = [f"+1555867531{number},guest-{number}" for number in range(4)]
    people.write_text("\n".join(["to,label", *rows, "nobody,x"]))

    async with start(emulator, "worker.py", "all-hands", str(people)) as process:
        said, _ = await process.communicate()

    assert process.returncode == 0
    outcomes = dict(line.split(": ", 1) for line in said.decode().splitlines())
    assert outcomes.pop("guest-2") == "gone (unknown)"
    assert outcomes.pop("x").startswith("to: ")
    assert outcomes == {"guest-0": "answered", "guest-1": "answered", "guest-3": "answered"}
    assert set(emulator.ring_counts.values()) == {1}


async def test_queue_worker(
    start: "Start",
    placed_in: Callable[[Path], int],
    emulator: Emulator,
    redis_server: str,
    tmp_path: Path,
) -> None:
    """What a killed worker had taken comes again, to another: all answer, nobody rang twice."""
    emulator.answer_after = None
    guests = [f"guest-{number}" for number in range(12)]
    shared = {"REDIS_URL": redis_server, "STATE": str(tmp_path), "LEASE": "4"}
    async with redis.Redis.from_url(redis_server, decode_responses=True) as queue:
        for number, label in enumerate(guests):
            to = f"+155586753{number:02}"
            row: Any = {"id": label, "room": "standup", "to": to, "label": label}
            await queue.xadd("invitations", row)
        async with start(emulator, "queue_worker.py", **shared) as dies:
            while len(emulator.calls) < 5:  # noqa: ASYNC110 -- a process's doing
                await asyncio.sleep(0.02)
            # What is under way when it dies is known half a minute later: it waits for answers.
            while await asyncio.to_thread(placed_in, tmp_path / "calls.db") < 5:  # noqa: ASYNC110 -- the same
                await asyncio.sleep(0.02)
            dies.kill()
            await dies.wait()
        emulator.answer_after = 0.1
        for call in emulator.calls:
            emulator.answer(call.sid)
        async with start(emulator, "queue_worker.py", **shared) as other:
            while await queue.xlen("outcomes") < 12:  # noqa: ASYNC110 -- another process's doing
                await asyncio.sleep(0.1)
        said: Any = await queue.xrange("outcomes")

    assert other.returncode == 0
    assert {row["label"]: row["became"] for _, row in said} == dict.fromkeys(guests, "answered")
    assert set(emulator.ring_counts.values()) == {1}


async def test_bot(start: "Start", emulator: Emulator) -> None:
    """Dial five, wait for three to join, mute the rest."""
    emulator.script("4", Script(after=60))
    emulator.script("3", Script(after=60))
    async with start(emulator, "bot.py", "standup") as process:
        talk = _Talk(process)
        numbers = " ".join(f"+1555867530{number}" for number in range(5))
        assert await talk.say(f"dial {numbers}") == "dialled 5"
        assert await talk.say("wait 3") == "joined: guest-1, guest-2, guest-3"
        assert await talk.say("mute") == "2 done, 0 failed, 0 gone"
        muted = [call.label for call in emulator.participants("standup") if call.muted]
        assert muted == ["guest-4", "guest-5"]
        assert await talk.say("play https://example.com/a.mp3") == "5 done, 0 failed, 0 gone"
        assert await talk.say("remove guest-2") == "removed"
        assert (await talk.say("remove guest-2")).startswith("the service answered 404")
        assert await talk.say("sing") == "try: dial, wait, mute, play, remove"
        assert await talk.say("remove") == "4 done, 0 failed, 0 gone"
        await process.communicate(b"")

    assert process.returncode == 0


class _Talk:
    def __init__(self, process: Process) -> None:
        assert process.stdin
        assert process.stdout
        self._say, self._hear = process.stdin, process.stdout

    async def say(self, line: str) -> str:
        """Say something, and return the answer."""
        self._say.write(f"{line}\n".encode())
        return (await self._hear.readline()).decode().strip()
