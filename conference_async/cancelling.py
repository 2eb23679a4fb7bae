"""A cancellation that gets through a driver."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


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
