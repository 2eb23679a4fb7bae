"""An aiohttp.web server: dial people in, wait until they pick up, show who is in the room.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1… PUBLIC_URL=https://example.com
    for worker in 1 2 3 4; do python aiohttp_app.py & done

    curl --data-urlencode to=+15558675310 -d label=alice localhost:8000/rooms/standup
    curl -N localhost:8000/conferences/CF…/live

A client that may repeat its request sends a header ``Idempotency-Key``, the same each time: then
the phone rings once, whichever worker is asked.

``PUBLIC_URL`` is what the service calls, whatever a proxy makes of it: the proxy leads
``PUBLIC_URL/hooks/twilio`` here, to ``/hooks/twilio``. The workers listen on one port, and share
the pace, the events and the keys by files in the folder ``STATE``.

Whoever reaches it can dial phones at your expense: put your own authentication in front.
"""

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

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
    RequestRefused,
    SQLiteEvents,
    SQLiteLimit,
)
from conference_async.webhooks import Keys, Receiver, Roster, aiohttp_handler

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
AGAIN = 503
CLIENT = web.AppKey("CLIENT", ConferenceClient)


async def dial(request: web.Request) -> web.Response:
    """Dial ``to`` into a room under a ``label``, and answer when they have picked up."""
    form = await request.post()
    to, label = str(form.get("to", "")), str(form.get("label", ""))
    client = request.app[CLIENT]
    room = client.conferences(request.match_info["room"])
    reported = calls.labelled(label, conference=room.name)
    placed = await room.participants.create(
        from_=FROM,
        to=to,
        timeout=PATIENCE + 5,  # the service ends it where this worker is killed
        once=request.headers.get("Idempotency-Key"),
        **reported,
    )
    try:
        await calls.answered(placed, timeout=PATIENCE)
    except CallOver:
        raise
    except BaseException:  # the phone rings, and nobody waits for it any more: hang up
        if not placed.repeated:  # else another request waits, or has waited
            with suppress(ConferenceError):
                room = client.conferences(placed.conference_sid)
                await room.participants(placed.call_sid).delete()
        raise
    shown = {"call_sid": placed.call_sid, "conference_sid": placed.conference_sid}
    return web.json_response(shown, status=200 if placed.repeated else 201)


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer so that a caller knows whether anybody was called, and whether to try again."""
    said: dict[str, object]
    try:
        return await handler(request)
    except InvalidParameter as error:
        status, said = 422, {"parameter": error.parameter, "detail": str(error)}
    except (NotSent, LedgerError):
        status, said = 503, {"detail": "nobody was called; try again"}
    except RequestRefused as error:
        status, said = 502, {"code": error.code, "detail": error.service_message}
    except OutcomeUnknown as error:
        status, said = 500, {"label": error.label, "detail": "it may have rung"}
    except CallOver as error:
        status, said = 409, {"status": error.status, "detail": "the call ended first"}
    except NotAnswered:
        status, said = 504, {"detail": "nobody picked up"}
    headers = {"Retry-After": "5"} if status == AGAIN else None
    return web.json_response(said, status=status, headers=headers)


async def people(request: web.Request) -> web.Response:
    """Return the people in a conference: the same in whichever worker it is asked."""
    return web.json_response(inside(request.match_info["sid"]))


async def live(request: web.Request) -> web.StreamResponse:
    """Send the people in a conference now, and again whenever something changes."""
    sid = request.match_info["sid"]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with roster.changes() as changes:
        await response.write(f"data: {json.dumps(inside(sid))}\n\n".encode())
        async for change in changes:
            if change.conference_sid in {sid, None}:
                await response.write(f"data: {json.dumps(inside(sid))}\n\n".encode())
    return response


def inside(sid: str) -> list[dict[str, str | bool | None]]:
    """Return who is in a conference."""
    view = roster.room(sid)
    return [{"label": one.label, "muted": one.muted} for one in view.participants] if view else []


async def connected(app: web.Application) -> AsyncIterator[None]:
    """Keep the client and the receiver open while the server runs."""
    async with (
        SQLiteLimit(STATE / "pace.db", float(os.environ.get("CPS", "1"))) as limit,
        Journal(STATE / "calls.db") as journal,
        ConferenceClient(limit=limit, journal=journal, deadline=DEADLINE) as app[CLIENT],
        events,
        receiver,
    ):
        await receiver.up_to_date()  # after a restart, too, the roster is right from here on
        yield


app = web.Application(middlewares=[explained])
app.cleanup_ctx.append(connected)
app.router.add_post("/rooms/{room}", dial)
app.router.add_get("/conferences/{sid}", people)
app.router.add_get("/conferences/{sid}/live", live)
app.router.add_route("*", HOOKS, aiohttp_handler(receiver))

if __name__ == "__main__":
    web.run_app(
        app,
        host="127.0.0.1",
        port=PORT,
        reuse_port=hasattr(socket, "SO_REUSEPORT"),  # so that several may listen
        handler_cancellation=True,  # so that a handler ends whose client is gone
        shutdown_timeout=PATIENCE + 5,  # longer than a phone may ring
    )
