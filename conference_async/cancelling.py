"""A cancellation that gets through a driver."""

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

T = TypeVar("T")

_AGAIN: Final = 0.02
"""Seconds after which work that has not ended is cancelled again."""


@contextmanager
def cancellation_wins() -> Generator[None]:
    """Raise the cancellation that comes inside the block, whatever a driver makes of it.

    It may swallow one that comes while it reads the last of an answer, and may raise what is wrong
    with the connection in place of one that comes as that breaks. Whoever repeats what failed
    would go on after that, as if nobody had asked it to end.

    Raises:
        asyncio.CancelledError: The running task was cancelled.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError


async def ending_when_cancelled(work: Awaitable[T]) -> T:
    """Await work of a driver; where that is cancelled, so is the work, until it has ended.

    One cancellation may not be enough: in Python 3.11 `asyncio.wait_for` can swallow one, and a
    driver that sends by it goes on to wait for the answer, for as long as that takes.

    Args:
        work: What is done in a task of its own.

    Raises:
        asyncio.CancelledError: The running task was cancelled, whatever became of the work.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):  # it is raised in the end
                await asyncio.wait([task], timeout=_AGAIN)
        if not task.cancelled():
            task.exception()  # or the loop would say that nobody heard of it
        raise
    return task.result()
