"""Campaigns: a span for each, one for each target below it, and their outcomes as a count."""

import pytest

from conference_async import Dialer, NewParticipant, Plan, Unpaced
from conference_async.emulator import Emulator, Fault
from tests.telemetry.conftest import Connect, Exported

FROM = "+15017122661"

pytestmark = pytest.mark.looptime


async def test_a_campaign_is_one_trace(
    connect: Connect, exported: Exported, emulator: Emulator
) -> None:
    """Below the span that is current where it is run: its targets, below each its create."""
    people = [
        NewParticipant(from_=FROM, to=f"+1555867531{number}", label=f"guest-{number}")
        for number in range(3)
    ]
    emulator.faults.add(Fault.LABEL_CLASH)
    async with connect(cps=1) as client:
        plan = Plan.from_participants(people, conference="standup")
        with exported.tracers.get_tracer("app").start_as_current_span("click"):
            outcomes = [outcome.state.value async for outcome in Dialer(client).run(plan)]

    (click,), (campaign,) = exported.named("click"), exported.named("run campaign")
    assert campaign.parent == click.context
    targets = exported.children(campaign)
    assert [target.name for target in targets] == ["call target"] * 3
    for target in targets:
        (create, *_) = exported.children(target)
        assert create.name == "create participant"
        for sid in ("conference_async.call_sid", "conference_async.conference_sid"):
            assert (target.attributes or {}).get(sid) == (create.attributes or {}).get(sid)
    assert len({span.context and span.context.trace_id for span in exported.spans}) == 1
    counted = {
        point["conference_async.outcome"]: number
        for point, number in exported.points("conference_async.operations")
        if point["conference_async.operation"] == "target"
    }
    assert counted == {state: outcomes.count(state) for state in outcomes}


async def test_a_run_without_telemetry_has_no_spans(connect: Connect, exported: Exported) -> None:
    """Nothing is watched unless it is asked for."""
    async with connect(telemetry=None, limit=Unpaced()) as client:
        alone = [NewParticipant(from_=FROM, to="+15558675310")]
        plan = Plan.from_participants(alone, conference="standup")
        assert [outcome.state.value async for outcome in Dialer(client).run(plan)] == ["placed"]

    assert exported.spans == ()
