"""How long an operation waits for a service that cannot be reached."""

from typing import Any

import pytest

from conference_async.errors import ConnectionFailed
from conference_async.pace.line import Priority
from conference_async.sending.congestion import Congestion
from conference_async.sending.messages import Request
from conference_async.sending.operation import Operation
from conference_async.sending.options import Options
from conference_async.sending.retry import RetryPolicy

pytestmark = pytest.mark.looptime

POLICY = RetryPolicy(attempts=2, base=0)


def operation(congestion: Congestion, **options: Any) -> Operation:
    """Return an operation that is never sent."""
    nothing: Any = None
    return Operation(
        Request(kind="list", method="GET", path="/"),
        None,
        transport=nothing,
        congestion=congestion,
        options=Options(retry=POLICY, **options),
    )


async def test_whoever_is_in_a_hurry_fails_after_as_many_failures_as_it_may_make() -> None:
    """They may be others' failures, but only those since it began."""
    congestion = Congestion(8, POLICY)
    congestion.missed()
    hurried = operation(congestion)
    congestion.missed()
    await hurried.enter()  # the next one to try
    hurried.leave()

    congestion.missed()

    with pytest.raises(ConnectionFailed, match="3 times in a row"):
        await hurried.enter()


@pytest.mark.parametrize(
    "options",
    [
        {"priority": Priority.BULK},
        {"priority": Priority.BULK, "deadline": 60},
        {"deadline": 60},
    ],
)
async def test_whoever_said_how_long_to_wait_or_is_in_no_hurry_waits(
    options: dict[str, Any],
) -> None:
    """What others met is no failure of theirs."""
    congestion = Congestion(8, POLICY)
    patient = operation(congestion, **options)
    for _ in range(9):
        congestion.missed()

    await patient.enter()

    assert congestion.busy == 1
