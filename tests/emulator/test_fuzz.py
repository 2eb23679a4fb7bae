"""Requests at random."""

import asyncio
import gc
import logging
import os
import random
from collections import deque
from typing import Any

import pytest

from conference_async.emulator import Emulator, Script

SEED = 20_100_401
REQUESTS = int(os.environ.get("CONFERENCE_ASYNC_TEST_REQUESTS", "200"))

WORDS = (
    *(b"2010-04-01", b"Accounts", b"Conferences", b"Participants", b"Calls", b"standup", b"alice"),
    *(b"", b"%", b"%2F", b"%00", b"%ff", b"\xff", b"..", b"a%0Ab", b";,:@&=", b"\xc3\xa9", b"%20"),
)
NAMES = (
    *(b"To", b"From", b"Label", b"Muted", b"Hold", b"Timeout", b"PageSize", b"Page", b"PageToken"),
    *(b"Status", b"DateCreated>", b"CallSidToCoach", b"MaxParticipants", b"StatusCallbackEvent"),
)
VALUES = (
    *(b"", b"true", b"%2B15558675310", b"-1", b"9" * 30, b"%F0%9F%98%80", b"%", b"\xff", b"a b"),
    *(
        b"1",
        b"10",
        b"2026-01-31",
        b"in-progress",
        b"%D9%A3",
        b"PACA" + b"0" * 32,
        b"CA" + b"a" * 32,
    ),
)
TYPES = (b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain; x", b"")


def pairs(chance: random.Random) -> bytes:
    """Return parameters at random."""
    return b"&".join(
        chance.choice(NAMES) + chance.choice((b"=", b"", b"==")) + chance.choice(VALUES)
        for _ in range(chance.randrange(5))
    )


def request(chance: random.Random, root: bytes, sids: list[bytes]) -> bytes:
    """Return a request at random, most of them nearly right."""
    method = chance.choice((b"GET", b"POST", b"POST", b"DELETE", b"PUT", b"HEAD"))
    below = [b"Conferences", chance.choice([*WORDS, *sids]), b"Participants"]
    below += [chance.choice([*WORDS, *sids])]
    path = root + b"/" + b"/".join(below[: chance.randrange(5)])
    if chance.random() < 0.2:
        path = b"/" + b"/".join(chance.choice(WORDS) for _ in range(chance.randrange(9)))
    target = path + chance.choice((b".json", b"")) + chance.choice((b"", b"?" + pairs(chance)))
    body = b"From=%2B15017122661&To=%2B15558675310&" + pairs(chance)
    body = chance.choice((body, pairs(chance), chance.randbytes(40), b""))
    return (
        method
        + b" "
        + target.replace(b" ", b"+")
        + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: " + chance.choice(TYPES) + b"\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n"
    ) + (b"AUTH\r\n\r\n" + body)


@pytest.mark.sized
@pytest.mark.timeout(300)
async def test_no_request_makes_it_fail_or_grow(
    open_api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Every request is answered at once, never with a server error, and leaves nothing behind."""
    caplog.set_level(logging.CRITICAL, "aiohttp.server")  # which would keep what is not HTTP
    chance = random.Random(SEED)
    sids: list[bytes] = []
    grown: list[int] = []
    async with open_api(pace=False, seed=7, keep_ended=20) as api:
        emulator: Emulator = api.emulator
        emulator.script("", Script(outcome="busy", after=0.0))
        emulator._recorder.requests = deque(maxlen=50)
        authorization = f"Authorization: {api.authorization}".encode()
        for number in range(REQUESTS):
            raw = request(chance, api.root.encode(), sids).replace(b"AUTH", authorization)
            reader, writer = await asyncio.open_connection(emulator.host, emulator.port)
            writer.write(raw)
            async with asyncio.timeout(5):
                answer = await reader.read()
            writer.close()
            status = int(answer.split(b" ", 2)[1])
            assert 200 <= status < 500, (SEED, number, raw, answer)
            sids = [room.sid.encode() for room in emulator.conferences[-3:]]
            sids += [call.sid.encode() for room in emulator.conferences[-3:] for call in room.past]
            if number in (REQUESTS // 2, REQUESTS - 1):
                await writer.wait_closed()
                gc.collect()
                grown.append(len(gc.get_objects()))

        assert emulator.accounts[0].open_requests == 0
        assert emulator.count("create") > REQUESTS // 40
    assert grown[1] - grown[0] < 1000
