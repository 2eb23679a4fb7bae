"""An aiohttp.web server: dial people in, take the service's callbacks, show who is in the room.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1… PUBLIC_URL=https://example.com
    python aiohttp_app.py

    curl -d to=+15558675310 -d label=alice localhost:8000/rooms/standup
    curl -N localhost:8000/conferences/CF…/live

Whoever reaches it can dial phones at your expense: put your own authentication in front.
"""

import json
import os
from collections.abc import AsyncIterator

from aiohttp import web

from conference_async import ConferenceClient, ConferenceError
from conference_async.webhooks import Calls, Keys, Receiver, Roster, aiohttp_handler

HOOKS = "/hooks/twilio"
FROM = os.environ["FROM_NUMBER"]
PORT = int(os.environ.get("PORT", "8000"))
URL = os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{PORT}") + HOOKS

receiver = Receiver(Keys(os.environ["TWILIO_AUTH_TOKEN"]), public_url=URL)
roster, calls = Roster(), Calls(URL)
receiver.listen(roster.apply)
receiver.listen(calls.apply)
CLIENT = web.AppKey("CLIENT", ConferenceClient)


async def dial(request: web.Request) -> web.Response:
    """Dial somebody into a room: ``to``, and a ``label`` to call them by."""
    form = await request.post()
    to, label = str(form.get("to", "")), str(form.get("label", "guest"))
    room = request.app[CLIENT].conferences(request.match_info["room"])
    callbacks = calls.callbacks(label, conference=room.name)
    try:
        placed = await room.participants.create(from_=FROM, to=to, label=label, **callbacks)
    except ConferenceError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    shown = {"call_sid": placed.call_sid, "conference_sid": placed.conference_sid}
    return web.json_response(shown, status=201)


async def live(request: web.Request) -> web.StreamResponse:
    """Send the people in a conference now, and again whenever something changes."""
    sid = request.match_info["sid"]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with roster.changes() as changes:
        await response.write(picture(sid))
        async for change in changes:
            if change.conference_sid in {sid, None}:
                await response.write(picture(sid))
    return response


def picture(sid: str) -> bytes:
    """Return who is in a conference, as a server-sent event."""
    view = roster.room(sid)
    people = [{"label": one.label, "muted": one.muted} for one in view.participants] if view else []
    return f"data: {json.dumps(people)}\n\n".encode()


async def connected(app: web.Application) -> AsyncIterator[None]:
    """Keep one client open while the server runs."""
    async with ConferenceClient() as app[CLIENT]:
        yield


app = web.Application()
app.cleanup_ctx.append(connected)
app.router.add_post("/rooms/{room}", dial)
app.router.add_get("/conferences/{sid}/live", live)
app.router.add_route("*", HOOKS, aiohttp_handler(receiver))

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=PORT, shutdown_timeout=1)
