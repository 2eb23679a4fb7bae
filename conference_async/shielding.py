"""Work that is brought to its end though its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finish(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end; a cancellation that comes meanwhile is raised after it.

    The work must end by itself, and soon: it cannot be cancelled. Its error is raised, unless
    there is a cancellation to raise, whose context it then is.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    try:
        task.result()
    finally:
        if cancelled is not None:
            raise cancelled
