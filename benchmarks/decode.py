"""One participant from JSON to value, without a network."""

import asyncio
import json

import orjson
from twilio.base.version import Version
from twilio.rest import Client
from twilio.rest.api.v2010.account.conference.participant import ParticipantInstance

from benchmarks.contenders import OFFICIAL, OURS
from benchmarks.figures import Figure, often, take_turns, times_as_fast
from benchmarks.server import ACCOUNT_SID, ROOM, participant
from conference_async.models import Participant
from conference_async.wire import decode_participant
from conference_async.wire.converter import make_converter

TIMES = 5_000


def _official_version() -> Version:
    return Client(ACCOUNT_SID, "token").api.v2010


def measure(base_url: str, rounds: int) -> list[Figure]:  # noqa: ARG001 -- nothing is sent
    """Return the ratios: of the construction alone, and from the reply's bytes."""
    payload = participant(7)
    body = json.dumps(payload).encode()
    version = _official_version()
    read = make_converter().get_structure_hook(Participant)

    def official(payload: object) -> ParticipantInstance:
        return ParticipantInstance(version, payload, ACCOUNT_SID, ROOM)

    constructing = {
        OURS: often(lambda: read(payload, Participant), times=TIMES),
        OFFICIAL: often(lambda: official(payload), times=TIMES),
    }
    decoding = {
        OURS: often(lambda: decode_participant(body), times=TIMES),
        OFFICIAL: often(lambda: official(json.loads(body.decode())), times=TIMES),
        "orjson": often(lambda: orjson.loads(body), times=TIMES),
    }
    constructed = asyncio.run(take_turns(constructing, rounds=rounds))
    decoded = asyncio.run(take_turns(decoding, rounds=rounds))
    return [
        Figure(
            name=f"participant from a dictionary: vs {OFFICIAL}",
            value=times_as_fast(constructed, OURS, OFFICIAL)["cpu"],
            unit="x",
            goal=4.0,
            guarded=True,
        ),
        Figure(
            name=f"participant from bytes: vs {OFFICIAL}",
            value=times_as_fast(decoded, OURS, OFFICIAL)["cpu"],
            unit="x",
            guarded=True,
        ),
        Figure(
            name="participant from bytes: vs orjson's dictionary alone",
            value=times_as_fast(decoded, OURS, "orjson")["cpu"],
            unit="x",
        ),
    ]
