"""What a create costs the emulator in time, and a call in memory: it bounds everybody's tests."""

import asyncio
import os
import sys
import time

import pytest

from conference_async.emulator import Emulator

CREATES = 4000
HELD = 100_000
HOLDER = """
import asyncio, sys
from conference_async.emulator import Emulator

async def main():
    async with Emulator(pace=False, answer_after=None) as emulator:
        command = [sys.executable, "-c", sys.argv[2], str(emulator.port)]
        command += [emulator.account_sid, emulator.auth_token, sys.argv[1]]
        caller = await asyncio.create_subprocess_exec(*command)
        assert await caller.wait() == 0
        pages = int(open("/proc/self/statm").read().split()[1])
        print(sum(call.ended is None for call in emulator.calls), pages)

asyncio.run(main())
"""
CALLER = """
import asyncio, base64, sys

port, sid, token, creates = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
user = base64.b64encode(f"{sid}:{token}".encode()).decode()

async def call(first, last):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(first, last):
        path = f"/2010-04-01/Accounts/{sid}/Conferences/room{number // 200}/Participants.json"
        body = f"From=%2B15017122661&To=%2B1555{number:07}&Label=p{number}&Timeout=600"
        head = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Basic {user}"]
        head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        writer.write("\\r\\n".join([*head, "", body]).encode())
        answer = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
        assert " 201 " in answer.partition("\\r\\n")[0]
        [length] = [line for line in answer.split("\\r\\n") if line.startswith("Content-Length")]
        await reader.readexactly(int(length.partition(":")[2]))
    writer.close()

async def main():
    share = creates // 50
    await asyncio.gather(*(call(n * share, (n + 1) * share) for n in range(50)))

asyncio.run(main())
"""


@pytest.mark.soak
async def test_two_thousand_creates_take_a_second_of_one_core() -> None:
    """Counted on the emulator's own processor time; the caller is a process of its own."""
    async with Emulator(pace=False, answer_after=None) as emulator:
        arguments = (str(emulator.port), emulator.account_sid, emulator.auth_token, str(CREATES))
        begin = time.process_time()
        caller = await asyncio.create_subprocess_exec(sys.executable, "-c", CALLER, *arguments)
        assert await caller.wait() == 0
        seconds = time.process_time() - begin

    assert len(emulator.starts) == CREATES
    assert seconds < CREATES / 2000


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
async def test_a_hundred_thousand_calls_fit_in_300_megabytes() -> None:
    """In a process of its own, interpreter included; nobody picks up, so that all are live."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(HELD), CALLER), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    live, pages = map(int, told.split())

    assert live == HELD
    assert pages * os.sysconf("SC_PAGE_SIZE") < 300_000_000
