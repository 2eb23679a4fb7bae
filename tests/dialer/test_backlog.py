"""The jobs that a run has yet to do: in order, in time, and bounded."""

import asyncio

import pytest

from conference_async import Outcome
from conference_async.dialer import Target
from conference_async.dialer.local.backlog import LATER, READY, Backlog, Job
from conference_async.models import NewParticipant

TEMPLATE = NewParticipant(from_="+15017122661", to="client:alice")


def job(number: int) -> Job:
    """Return a job that can be told from others."""
    key = f"#{number}"
    target = Target(key=key, to="client:alice", conference="standup", row=number, template=TEMPLATE)
    return Job(target=target, outcome=Outcome(target=key, to="client:alice", conference="standup"))


async def row(backlog: Backlog) -> int:
    """Return the row of the next job."""
    taken = await backlog.take()
    assert taken is not None
    return taken.target.row


@pytest.mark.looptime
async def test_jobs_are_taken_in_order_and_in_time() -> None:
    """A job that is put back comes first; one that is put off comes when it is due, not before."""
    backlog, loop = Backlog(), asyncio.get_running_loop()
    for number in range(3):
        await backlog.add(job(number))
    backlog.fed()
    first, second = await backlog.take(), await backlog.take()
    assert first is not None
    assert second is not None
    backlog.back(first, delay=10)
    backlog.back(second)

    assert [await row(backlog), await row(backlog)] == [1, 2]
    assert loop.time() == 0
    assert await row(backlog) == 0
    assert loop.time() == 10


@pytest.mark.looptime
async def test_a_moment_shorter_than_a_tick_is_not_waited_for() -> None:
    """A loop's clock may never get there, and it would be asked without end."""
    backlog = Backlog()
    await backlog.add(job(1))
    under_way = await backlog.take()
    assert under_way is not None
    backlog.back(under_way, delay=3e-7)

    assert await backlog.take() is under_way


@pytest.mark.looptime
async def test_the_end_comes_when_nothing_is_under_way() -> None:
    """A job that is under way may come back."""
    backlog = Backlog()
    await backlog.add(job(1))
    backlog.fed()
    under_way = await backlog.take()
    assert under_way is not None
    last = asyncio.create_task(backlog.take())
    await asyncio.sleep(1)
    assert not last.done()
    backlog.back(under_way)
    assert await last is under_way
    ended = asyncio.create_task(backlog.take())
    await asyncio.sleep(1)
    backlog.done()

    assert await ended is None


@pytest.mark.looptime
async def test_no_more_is_read_than_there_is_room_for() -> None:
    """However long the plan, and however many are put off."""
    backlog = Backlog()
    for number in range(READY):
        await backlog.add(job(number))
    waiting = asyncio.create_task(backlog.add(job(READY)))
    await asyncio.sleep(1)
    assert not waiting.done()
    assert await row(backlog) == 0
    await waiting
    while len(backlog._later) < LATER:
        assert backlog.may_defer == (len(backlog._later) < LATER // 2)
        backlog.back(job(1), delay=10)
    await row(backlog)
    waiting = asyncio.create_task(backlog.add(job(1)))
    await asyncio.sleep(1)
    assert not waiting.done()
    for _ in range(READY):
        await row(backlog)

    await waiting
    assert asyncio.get_running_loop().time() == 11
