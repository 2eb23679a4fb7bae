"""A FastAPI server: dial people in, take the service's callbacks, show who is in the room.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1… PUBLIC_URL=https://example.com
    python fastapi_app.py

    curl --json '{"to": "+15558675310", "label": "alice"}' localhost:8000/rooms/standup
    curl -N localhost:8000/conferences/CF…/live

Whoever reaches it can dial phones at your expense: put your own authentication in front.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.routing import Route

from conference_async import ConferenceClient, ConferenceError
from conference_async.webhooks import Calls, Keys, Receiver, Roster, WebhookApp

HOOKS = "/hooks/twilio"
FROM = os.environ["FROM_NUMBER"]
PORT = int(os.environ.get("PORT", "8000"))
URL = os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{PORT}") + HOOKS

receiver = Receiver(Keys(os.environ["TWILIO_AUTH_TOKEN"]), public_url=URL)
roster, calls = Roster(), Calls(URL)
receiver.listen(roster.apply)
receiver.listen(calls.apply)
client = ConferenceClient()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Keep the client open while the server runs."""
    async with client:
        yield


app = FastAPI(lifespan=lifespan, routes=[Route(HOOKS, WebhookApp(receiver))])


class Guest(BaseModel):
    """Who is to be dialled."""

    to: str
    label: str


@app.post("/rooms/{name}", status_code=201)
async def dial(name: str, guest: Guest) -> dict[str, str | None]:
    """Dial somebody into a room."""
    callbacks = calls.callbacks(guest.label, conference=name)
    try:
        placed = await client.conferences(name).participants.create(
            from_=FROM, to=guest.to, label=guest.label, **callbacks
        )
    except ConferenceError as error:
        raise HTTPException(400, str(error)) from error
    return {"call_sid": placed.call_sid, "conference_sid": placed.conference_sid}


@app.get("/conferences/{sid}/live")
async def live(sid: str) -> StreamingResponse:
    """Send the people in a conference now, and again whenever something changes."""
    return StreamingResponse(pictures(sid), media_type="text/event-stream")


async def pictures(sid: str) -> AsyncIterator[str]:
    """Yield who is in a conference, as server-sent events."""
    with roster.changes() as changes:
        yield picture(sid)
        async for change in changes:
            if change.conference_sid in {sid, None}:
                yield picture(sid)


def picture(sid: str) -> str:
    """Return who is in a conference, as a server-sent event."""
    view = roster.room(sid)
    people = [{"label": one.label, "muted": one.muted} for one in view.participants] if view else []
    return f"data: {json.dumps(people)}\n\n"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, timeout_graceful_shutdown=1)
