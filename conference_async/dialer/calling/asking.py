"""Functions that the caller gave, and that must not be able to hurt a run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from conference_async.privacy import words_of

_log = logging.getLogger("conference_async.dialer")

T = TypeVar("T")


async def answer_of(what: str, function: Callable[[], Awaitable[T]]) -> T | None:
    """Await a function of the caller's; return its answer, or None if it has none to give.

    Whatever it raises is logged, a `asyncio.CancelledError` of its own too: only that of the task
    that runs goes on.

    Args:
        what: What the log calls it.
        function: What to await.
    """
    try:
        return await function()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        _log.error("%s was cancelled from within; it counts as no answer", what)
    except Exception as error:  # noqa: BLE001 -- a caller's mistake must not end the run
        _log.error("%s failed (%s); it counts as no answer", what, words_of(error))
    return None
