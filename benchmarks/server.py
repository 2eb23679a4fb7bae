"""A local server that is never the slowest part: canned replies from a bare protocol on uvloop.

It runs in a process of its own, so that its work is on no contender's bill. The last digits of a
conference's SID say how many participants it has; the conference named ``silence`` never answers.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from subprocess import PIPE, Popen
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

ACCOUNT_SID = "AC" + "0" * 32
ROOM = "CF" + "0" * 32
SILENCE = "silence"
_DAY = "Fri, 18 Feb 2011"
_HEADERS = (
    "Content-Type: application/json;charset=utf-8\r\n"
    "Date: Fri, 18 Feb 2011 21:07:19 GMT\r\n"
    "Connection: keep-alive\r\n"
    "Twilio-Concurrent-Requests: 1\r\n"
    "Twilio-Request-Id: RQ00000000000000000000000000000000\r\n"
    "Twilio-Request-Duration: 0.031\r\n"
    "X-Home-Region: us1\r\n"
    "X-API-Domain: api.twilio.com\r\n"
    "Strict-Transport-Security: max-age=31536000\r\n"
)


def room_of(participants: int) -> str:
    """Return the SID of a conference with so many participants."""
    return f"CF{participants:032d}"


def participant(number: int = 0, *, queued: bool = False) -> dict[str, object]:
    """Return one participant as the service writes it."""
    call_sid = f"CA{number:032x}"
    room = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Conferences/{ROOM}"
    clock = f"{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}"
    return {
        "account_sid": ACCOUNT_SID,
        "call_sid": call_sid,
        "label": None,
        "call_sid_to_coach": None,
        "coaching": False,
        "conference_sid": ROOM,
        "date_created": f"{_DAY} {clock} +0000",
        "date_updated": f"{_DAY} {clock} +0000",
        "end_conference_on_exit": False,
        "muted": False,
        "hold": False,
        "start_conference_on_enter": True,
        "status": "queued" if queued else "connected",
        "queue_time": "0" if queued else None,
        "uri": f"{room}/Participants/{call_sid}.json",
    }


def page(path: str, total: int, size: int, number: int) -> bytes:
    """Return one page of a list of `total` participants, as JSON."""
    first, end = number * size, min(total, (number + 1) * size)
    uri = f"{path}?PageSize={size}&Page={number}"
    following = f"{path}?PageSize={size}&Page={number + 1}&PageToken=PA{end - 1:032x}"
    return json.dumps(
        {
            "first_page_uri": f"{path}?PageSize={size}&Page=0",
            "end": end - 1,
            "previous_page_uri": None,
            "participants": [participant(each) for each in range(first, end)],
            "uri": uri,
            "page_size": size,
            "start": first,
            "next_page_uri": following if end < total else None,
            "page": number,
        }
    ).encode()


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\n{_HEADERS}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_CREATED = _answer("201 Created", json.dumps(participant(queued=True)).encode())


@cache
def _fetched(target: str) -> bytes:
    number = int(target.rpartition("/CA")[2].removesuffix(".json"), 16)
    return _answer("200 OK", json.dumps(participant(number)).encode())


@cache
def _listed(target: str) -> bytes:
    url = urlsplit(target)
    query = parse_qs(url.query)
    total = int(url.path.split("/")[5].removeprefix("CF"))
    size, number = int(query.get("PageSize", ["50"])[0]), int(query.get("Page", ["0"])[0])
    return _answer("200 OK", page(url.path, total, size, number))


class Canned(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        assert self._transport is not None
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, end = self._received[:end], end + 4
            at = head.lower().find(b"content-length:")
            if at >= 0:
                end += int(head[at + 15 :].partition(b"\r\n")[0])
            if len(self._received) < end:
                return
            self._received = self._received[end:]
            method, target, _ = head.decode("latin-1").split(" ", 2)
            if method == "POST":
                if f"/{SILENCE}/" not in target:
                    self._transport.write(_CREATED)
            elif "/Participants.json" in target:
                self._transport.write(_listed(target))
            else:
                self._transport.write(_fetched(target))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Nothing is ever written to its input: it ends with whoever started this.
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()
    server.close()


@contextmanager
def running() -> Iterator[str]:
    """Run the server in its own process; yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    uvloop.run(_serve())
