"""A tour in ten seconds, without an account and without phones."""

import asyncio
import csv
from importlib.resources import files
from typing import Annotated

from cyclopts import Parameter

from conference_async.cli.emulation import rehearsal
from conference_async.cli.output import PARTICIPANTS, PLAIN, Output
from conference_async.cli.progress import DialProgress
from conference_async.conferences import ConferenceHandle
from conference_async.models import NewParticipant, ParticipantStatus

_CALLER = "+15017122661"
_RINGS = 0.1
"""Seconds between two looks whether everybody has picked up."""


async def demo(
    *,
    cps: Annotated[float, Parameter(help="Calls per second.")] = 5.0,
    output: Output = PLAIN,
) -> None:
    """Dial a dozen people into a conference on an emulator, and move them about.

    Nobody's phone rings: everything happens on this machine.
    """
    async with rehearsal(cps) as (_, client):
        room = client.conferences("standup")
        people = standup()
        tell = not output.json
        if tell:
            print(f"Dialling {len(people)} people into a conference, {cps:g} per second:")
        await call_all(people, room, cps=cps, quiet=not tell)
        await all_joined(room)
        await room.participants("bob").mute()
        await room.participants("carol").hold()
        if tell:
            print("\nAll have joined. After bob was muted and carol put on hold:")
        await output.rows(room.participants.stream(), PARTICIPANTS)
        await room.participants("dave").delete()
        left = await room.participants.list()
        if tell:
            print(f"dave was removed; {len(left)} are left.\n")
            print(_NEXT)


_NEXT = f"""\
Next: put numbers below each other under the heading `to` in people.csv, and try
  conference-async dial people.csv --conference standup \\
    --from {_CALLER} --emulator"""


def standup() -> list[NewParticipant]:
    """Return the dozen people of the demonstration; their numbers are fictitious."""
    text = files("conference_async.cli").joinpath("standup.csv").read_text(encoding="utf-8")
    return [
        NewParticipant(from_=_CALLER, to=row["to"], label=row["label"])
        for row in csv.DictReader(text.splitlines())
    ]


async def all_joined(room: ConferenceHandle) -> None:
    """Wait until nobody's phone rings any more."""
    ringing = True
    while ringing:
        await asyncio.sleep(_RINGS)
        people = await room.participants.list()
        ringing = any(one.status is not ParticipantStatus.CONNECTED for one in people)


async def call_all(
    people: list[NewParticipant], room: ConferenceHandle, *, cps: float, quiet: bool
) -> None:
    """Call people at one pace; if that is cancelled, nobody is left who waits to be called."""
    with DialProgress(len(people), cps=cps, quiet=quiet) as progress:

        async def call(new: NewParticipant) -> None:
            placed = await room.participants.create(new)
            progress.count("placed", queue_time=placed.queue_time or 0)

        await asyncio.gather(*map(call, people))
