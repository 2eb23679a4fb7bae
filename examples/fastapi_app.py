"""A FastAPI server: dial people in, wait until they pick up, show who is in the room.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1… PUBLIC_URL=https://example.com
    uvicorn fastapi_app:app --workers 4 --timeout-graceful-shutdown 35

    curl --json '{"to": "+15558675310", "label": "alice"}' localhost:8000/rooms/standup
    curl -N localhost:8000/conferences/CF…/live

A client that may repeat its request sends a header ``Idempotency-Key``, the same each time: then
the phone rings once, whichever worker is asked.

``PUBLIC_URL`` is what the service calls, whatever a proxy makes of it: the proxy leads
``PUBLIC_URL/hooks/twilio`` here, to ``/hooks/twilio``. The workers share the pace, the events and
the keys by files in the folder ``STATE``.

Whoever reaches it can dial phones at your expense: put your own authentication in front.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.routing import Route

from conference_async import (
    CallOver,
    Calls,
    ConferenceClient,
    ConferenceError,
    InvalidParameter,
    Journal,
    LedgerError,
    NotAnswered,
    NotSent,
    OutcomeUnknown,
    Participant,
    RequestRefused,
    SQLiteEvents,
    SQLiteLimit,
)
from conference_async.webhooks import Keys, Receiver, Roster, WebhookApp

HOOKS = "/hooks/twilio"
FROM = os.environ["FROM_NUMBER"]
PORT = int(os.environ.get("PORT", "8000"))
URL = os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{PORT}") + HOOKS
STATE = Path(os.environ.get("STATE", "."))
DEADLINE = float(os.environ.get("DEADLINE", "10"))
"""Seconds in which a phone must begin to ring, or is not called at all."""
PATIENCE = int(os.environ.get("PATIENCE", "30"))
"""Seconds for which a phone may ring."""

events = SQLiteEvents(STATE / "events.db")
receiver = Receiver(Keys(os.environ["TWILIO_AUTH_TOKEN"]), public_url=URL, events=events)
roster, calls = Roster(), Calls(URL)
receiver.listen(roster.apply)
receiver.listen(calls.apply)
limit = SQLiteLimit(STATE / "pace.db", float(os.environ.get("CPS", "1")))
journal = Journal(STATE / "calls.db")
client = ConferenceClient(limit=limit, journal=journal, deadline=DEADLINE)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Keep the client and the receiver open while the server runs."""
    async with limit, journal, client, events, receiver:
        await receiver.up_to_date()  # after a restart, too, the roster is right from here on
        yield


app = FastAPI(lifespan=lifespan, routes=[Route(HOOKS, WebhookApp(receiver))])


class Guest(BaseModel):
    """The person to dial."""

    to: str
    label: str


@app.post("/rooms/{name}", status_code=201)
async def dial(name: str, guest: Guest, request: Request, response: Response) -> dict[str, str]:
    """Dial somebody into a room, and answer when they have picked up."""
    room = client.conferences(name)
    reported = calls.labelled(guest.label, conference=name)
    placed = await room.participants.create(
        from_=FROM,
        to=guest.to,
        timeout=PATIENCE + 5,  # the service ends it where this worker is killed
        once=request.headers.get("Idempotency-Key"),
        **reported,
    )
    try:
        await answered(placed, request)
    except CallOver:
        raise
    except BaseException:  # the phone rings, and nobody waits for it any more: hang up
        if not placed.repeated:  # else another request waits, or has waited
            with suppress(ConferenceError):
                room = client.conferences(placed.conference_sid)
                await room.participants(placed.call_sid).delete()
        raise
    response.status_code = 200 if placed.repeated else 201
    return {"call_sid": placed.call_sid, "conference_sid": placed.conference_sid}


async def answered(placed: Participant, request: Request) -> None:
    """Wait until somebody picks up, but no longer than our own caller waits.

    FastAPI does not cancel a handler whose client is gone: it has to look.
    """
    for left in reversed(range(PATIENCE)):
        try:
            await calls.answered(placed, timeout=1)
        except NotAnswered:
            if await request.is_disconnected():
                raise HTTPException(499, "the client is gone") from None
            if not left:
                raise
        else:
            return


@app.get("/conferences/{sid}")
async def people(sid: str) -> list[dict[str, str | bool | None]]:
    """Return the people in a conference: the same in whichever worker it is asked."""
    view = roster.room(sid)
    return [{"label": one.label, "muted": one.muted} for one in view.participants] if view else []


@app.get("/conferences/{sid}/live")
async def live(sid: str) -> StreamingResponse:
    """Send the people in a conference now, and again whenever something changes."""
    return StreamingResponse(pictures(sid), media_type="text/event-stream")


async def pictures(sid: str) -> AsyncIterator[str]:
    """Yield who is in a conference, as server-sent events."""
    with roster.changes() as changes:
        yield f"data: {json.dumps(await people(sid))}\n\n"
        async for change in changes:
            if change.conference_sid in {sid, None}:
                yield f"data: {json.dumps(await people(sid))}\n\n"


@app.exception_handler(InvalidParameter)
async def invalid(_: Request, error: InvalidParameter) -> JSONResponse:
    """Say which parameter is wrong: nobody was called."""
    return JSONResponse({"parameter": error.parameter, "detail": str(error)}, 422)


@app.exception_handler(NotSent)
@app.exception_handler(LedgerError)
async def not_sent(_: Request, _error: ConferenceError) -> JSONResponse:
    """Say that the same request may come again: nobody was called."""
    return JSONResponse({"detail": "nobody was called; try again"}, 503, {"Retry-After": "5"})


@app.exception_handler(RequestRefused)
async def refused(_: Request, error: RequestRefused) -> JSONResponse:
    """Say what the service said: nobody was called."""
    return JSONResponse({"code": error.code, "detail": error.service_message}, 502)


@app.exception_handler(OutcomeUnknown)
async def unknown(_: Request, error: OutcomeUnknown) -> JSONResponse:
    """Say that a phone may ring: repeating the request may ring it twice."""
    return JSONResponse({"label": error.label, "detail": "it may have rung"}, 500)


@app.exception_handler(CallOver)
async def over(_: Request, error: CallOver) -> JSONResponse:
    """Say how the call ended: busy, no-answer, failed."""
    return JSONResponse({"status": error.status, "detail": "the call ended first"}, 409)


@app.exception_handler(NotAnswered)
async def not_answered(_: Request, _error: NotAnswered) -> JSONResponse:
    """Say that it rang, and that it was hung up."""
    return JSONResponse({"detail": "nobody picked up"}, 504)


if __name__ == "__main__":
    # Longer than a phone may ring, so that callers get their answer at a restart.
    uvicorn.run(app, host="127.0.0.1", port=PORT, timeout_graceful_shutdown=PATIENCE + 5)
