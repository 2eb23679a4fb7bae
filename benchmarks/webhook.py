"""One webhook: verified, parsed and put into the roster, against the official check alone."""

import asyncio
from typing import Any

from twilio.request_validator import RequestValidator

from benchmarks.contenders import OFFICIAL, OURS
from benchmarks.figures import Figure, Work, take_turns, times_as_fast
from benchmarks.webhook_rate import COUNT, TOKEN, URL, callback, event, serve
from conference_async.webhooks.parsing import parse_event
from conference_async.webhooks.roster import Roster
from conference_async.webhooks.signature import sign, verify

TIMES = 1_000
VERIFY = "verify alone"


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- nothing is sent
    """Return the time of one webhook, and the ratios to the official check."""
    bodies = [event(number) for number in range(TIMES)]
    signed = [(body, sign(URL, body, TOKEN)) for body in bodies]
    validator: Any = RequestValidator(TOKEN)

    async def ours() -> None:
        roster = Roster()
        for body, signature in signed:
            assert verify(URL, body, signature, [TOKEN])
            roster.apply(parse_event(body))

    async def ours_verifies() -> None:
        for body, signature in signed:
            assert verify(URL, body, signature, [TOKEN])

    async def official() -> None:
        for body, signature in signed:
            assert validator.validate(URL, body, signature)

    works: dict[str, Work] = {OURS: ours, VERIFY: ours_verifies, OFFICIAL: official}
    spent = asyncio.run(take_turns(works, rounds=rounds))
    return [
        Figure(
            name=f"webhook verified, parsed, in the roster: vs {OFFICIAL} validator alone",
            value=times_as_fast(spent, OURS, OFFICIAL)["cpu"],
            unit="x",
            guarded=True,
        ),
        Figure(
            name=f"webhook verified: vs {OFFICIAL} validator",
            value=times_as_fast(spent, VERIFY, OFFICIAL)["cpu"],
            unit="x",
            guarded=True,
        ),
        Figure(
            name="webhook verified, parsed, in the roster: CPU of one",
            value=min(each.cpu for each in spent[OURS]) / TIMES * 1e6,
            unit="us",
        ),
        Figure(
            name="webhooks through ASGI, deduplicated and handed on: one core",
            value=COUNT / asyncio.run(serve([callback(number) for number in range(COUNT)])),
            unit="per second",
        ),
    ]
