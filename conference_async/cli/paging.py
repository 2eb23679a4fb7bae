"""Ringing people in waves until enough of them are in a conference, as a command."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Group, Parameter

from conference_async.cli import plans, problems
from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.emulation import service
from conference_async.cli.interrupts import on_interrupt
from conference_async.cli.output import PLAIN, Output
from conference_async.cli.plans import PlanOptions
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from conference_async.dialer.calling.waves import Bridge
    from conference_async.dialer.plan.plan import Plan
    from conference_async.dialer.plan.targets import Target
    from conference_async.models import NewParticipant

_MOST = 250


@Parameter(name="*", negative="", show_default=False, group=Group("Waves", sort_key=2))
@attrs.frozen(kw_only=True)
class WaveOptions:
    """How people are rung."""

    wave_size: int | None = None
    """Ring so many at once, in the order of the file, and the next ones if they do not suffice;
    all at once if not given."""

    wave_every: float = 20.0
    """Seconds between two waves; 20 if not given."""

    deadline: float = 300.0
    """Seconds after which it ends without enough people; 300 if not given."""

    machine_detection: bool = False
    """Let the service tell people from voicemails, which it charges for. Without, whatever picks
    up counts as a person."""

    cps: float = 1.0
    """The account's calls per second, more than 0 and at most 30; 1 if not given."""

    yes: bool = False
    """Do not ask before phones ring."""

    emulator: bool = False
    """Rehearse: ring an emulator on this machine instead of phones."""


_ROWS = PlanOptions()
_WAVES = WaveOptions()


async def page(
    file: Annotated[
        Path,
        Parameter(
            help="CSV whose first line names the columns, or JSON Lines (.jsonl), those to be rung "
            "first at the top; `to` alone suffices."
        ),
    ],
    /,
    *,
    humans: Annotated[int, Parameter(help="How many people to bring together.")],
    rows: PlanOptions = _ROWS,
    waves: WaveOptions = _WAVES,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> int:
    """Ring people until so many of them are in a conference, such as those on call.

    As soon as they are there, the phones that still ring are hung up on; so they are on Ctrl-C.
    Nobody is rung twice. Nothing is remembered: the same command rings everybody again.
    """
    from conference_async.dialer.calling.waves import bridge

    plan = rows.plan(file)
    async with service(account, emulated=waves.emulator, cps=waves.cps) as client:
        preview = await plan.preview()
        plans.refuse_bad(preview, rows)
        people = await _people(plan, waves)
        if not output.json:
            print(f"to ring      up to {preview.good}, through {client.base_url}")
        if plans.phones_ring(client, yes=waves.yes) and not plans.confirmed(
            f"Ring up to {preview.good} phones through {client.base_url}?"
        ):
            return problems.say("nobody was rung", problems.INTERRUPTED)
        room = client.conferences(people[0].conference)
        size = waves.wave_size or len(people)
        requests = [_request(target, waves) for target in people]
        ringing = asyncio.create_task(
            bridge(
                room,
                [requests[first : first + size] for first in range(0, len(requests), size)],
                humans=humans,
                wave_every=waves.wave_every,
                deadline=waves.deadline,
            )
        )
        with on_interrupt(ringing.cancel):
            try:
                found = await ringing
            except asyncio.CancelledError:
                said = "stopped; phones that rang were hung up on"
                return problems.say(said, problems.INTERRUPTED)
    _show(found, output)
    return problems.DONE if found.enough else problems.SOME_FAILED


async def _people(plan: "Plan", waves: WaveOptions) -> "list[Target]":
    """Return those who may be rung, all of them for one conference.

    Raises:
        ConfigurationError: They are too many for one, or for several.
    """
    if waves.wave_size is not None and waves.wave_size < 1:
        raise ConfigurationError(f"--wave-size must be 1 or more, not {waves.wave_size}")
    people: list[Target] = []
    async with aclosing(plan.batches()) as batches:
        async for batch in batches:
            people += batch
            if len(people) > _MOST:
                raise ConfigurationError(
                    f"the file must have at most {_MOST} people; to call more, use the command dial"
                )
            if len({one.conference for one in people}) > 1:
                raise ConfigurationError(
                    "all must be for one conference; give the rows the same one, no --room-size, "
                    "or use the command dial"
                )
    return people


def _request(target: "Target", waves: WaveOptions) -> "NewParticipant":
    new = target.new
    if waves.machine_detection and new.machine_detection is None:
        return attrs.evolve(new, machine_detection="Enable")
    return new


def _show(found: "Bridge", output: Output) -> None:
    """Print who came, and why others did not."""
    names = {
        what: [view.label or view.call_sid for view in views]
        for what, views in (
            ("machines", found.machines),
            ("undecided", found.undecided),
            ("people", found.people),
        )
    }
    if output.json:
        not_reached = [
            {"to": each.to, "label": each.label, "why": str(each.error)}
            for each in found.not_reached
        ]
        facts = {"enough": found.enough, "waves": found.waves, "not_reached": not_reached}
        print(output.dumped(facts | names))
        return
    for each in found.not_reached:
        output.line(f"not reached  {each.label or each.to}: {each.error}")
    for what, those in names.items():
        if those:
            output.line(f"{what:<12} {', '.join(those)}")
    output.line(f"enough       {output.text(found.enough)}, after {found.waves} waves")
