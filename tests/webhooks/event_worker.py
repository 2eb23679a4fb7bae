"""One worker of a web application, for the tests that run several: it says what it has heard.

Started as ``uvicorn event_worker:app`` with ``STORE``, ``WHERE`` and ``LOG`` in the environment.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from conference_async import PostgresEvents, RedisEvents, SharedEvents, SQLiteEvents
from conference_async.webhooks import Event, Keys, Receiver, Roster, WebhookApp


def log() -> SharedEvents:
    """Return the log that all workers of a test share."""
    where, name = os.environ["WHERE"], os.environ["LOG"]
    match os.environ["STORE"]:
        case "redis":
            return RedisEvents(where, name=name)
        case "postgres":
            return PostgresEvents(where, name=name)
        case _:
            return SQLiteEvents(where)


@attrs.frozen(kw_only=True)
class Listed:
    """A participant as a list has it."""

    call_sid: str
    status: str = "connected"
    label: str | None = None
    muted: bool | None = False
    hold: bool | None = False
    coaching: bool | None = False
    end_conference_on_exit: bool | None = False
    start_conference_on_enter: bool | None = True


heard: list[tuple[str, float]] = []
events = log()
receiver = Receiver(Keys("token"), public_url="https://example.com/hooks", events=events)
roster = Roster()
took: list[float] = []


def note(event: Event) -> None:
    """Write down which event was heard, and when."""
    heard.append((f"{event.subject} {event.kind} {event.sequence_number}", time.monotonic()))


receiver.listen(roster.apply)
receiver.listen(note)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Be up to date before the first request."""
    begun = time.monotonic()
    async with events, receiver:
        await receiver.up_to_date()
        took.append(time.monotonic() - begun)
        yield


async def say(_: Request) -> JSONResponse:
    """Say what was heard, who is in each room, and how long it took to know the past."""
    rooms = {
        room.conference_sid: sorted(one.call_sid for one in room.participants)
        for room in roster.rooms()
    }
    return JSONResponse({"heard": heard, "rooms": rooms, "took": took[0]})


async def do_nothing(_: Request) -> Response:
    """Answer, so that it can be seen what an answer takes without a log."""
    return Response(status_code=204)


async def seed(request: Request) -> JSONResponse:
    """Take the list of everybody in each room."""
    for sid, people in (await request.json()).items():
        await roster.seed(sid, [Listed(call_sid=each) for each in people])
    return JSONResponse({})


app = Starlette(
    routes=[
        Route("/hooks", WebhookApp(receiver)),
        Route("/heard", say),
        Route("/nothing", do_nothing),
        Route("/seed", seed, methods=["POST"]),
    ],
    lifespan=lifespan,
)
