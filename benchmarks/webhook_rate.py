"""How many signed callbacks one core verifies, parses and applies to a roster, through ASGI."""

import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from conference_async.webhooks import Keys, Receiver, Roster, WebhookApp, sign

COUNT = 20_000
ROOMS = 50
URL = "https://example.com/hooks/twilio"
TOKEN = "12345"
STEPS = ("join", "mute", "unmute", "speech-start", "speech-stop", "hold", "unhold", "leave")


def event(number: int) -> dict[str, str]:
    """Return what one callback says."""
    step, room = divmod(number, ROOMS)
    return {
        "AccountSid": "AC" + "0" * 32,
        "ConferenceSid": f"CF{room:032}",
        "FriendlyName": f"room {room}",
        "SequenceNumber": str(step),
        "Timestamp": format_datetime(datetime.now(UTC)),
        "StatusCallbackEvent": f"participant-{STEPS[step % len(STEPS)]}",
        "CallSid": f"CA{room:016}{step // len(STEPS):016}",
        "ParticipantLabel": f"agent {step // len(STEPS)}",
        "Muted": "false",
        "Hold": "false",
        "Coaching": "false",
        "EndConferenceOnExit": "false",
        "StartConferenceOnEnter": "true",
    }


def callback(number: int) -> tuple[dict[str, Any], bytes]:
    """Return the scope and the body of one genuine callback."""
    params = event(number)
    headers = {
        "host": "example.com",
        "user-agent": "TwilioProxy/1.1",
        "accept": "*/*",
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        "x-twilio-signature": sign(URL, params, TOKEN),
        "i-twilio-idempotency-token": f"token-{number}",
    }
    scope = {
        "type": "http",
        "method": "POST",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return scope, urlencode(params).encode()


async def serve(callbacks: list[tuple[dict[str, Any], bytes]]) -> float:
    """Return the seconds of processor time that the callbacks take."""
    receiver = Receiver(Keys(TOKEN), public_url=URL)
    roster = Roster()
    receiver.listen(roster.apply)
    events = receiver.events(buffer=COUNT)
    app = WebhookApp(receiver)
    statuses: set[int] = set()
    body = b""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    started = time.process_time()
    for scope, content in callbacks:
        body = content
        await app(scope, receive, send)
    spent = time.process_time() - started
    if statuses != {204} or not events.full or len(roster.rooms()) != ROOMS:
        raise SystemExit("not every callback was taken")
    return spent
