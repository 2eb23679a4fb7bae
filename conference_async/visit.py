"""A participant for the length of a block, hung up on however the block ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from conference_async.errors import (
    ConferenceError,
    ConferenceNotActive,
    LabelInUse,
    NotFound,
    OutcomeUnknown,
    RequestTimeout,
)
from conference_async.models import Participant
from conference_async.participant_handle import ParticipantHandle
from conference_async.sending.creation import Creation
from conference_async.time_limits import time_limit

if TYPE_CHECKING:
    from conference_async.sending.once import Once

_HANG_UP: Final = 10.0
"""Seconds that hanging up may take."""

_log = logging.getLogger("conference_async.visit")


class Visitor(ParticipantHandle):
    """A participant who is hung up on when a block ends; see `ConferenceHandle.participant`."""

    _stays = False

    @property
    def stays(self) -> bool:
        """Whether the participant is left in the conference when the block ends."""
        return self._stays

    def stay(self) -> None:
        """Leave the participant in the conference when the block ends, however it ends."""
        self._stays = True


@asynccontextmanager
async def visit(
    dial: "Callable[[], Creation | Once]", visitor_of: Callable[[Participant], Visitor]
) -> AsyncGenerator[Visitor, None]:
    """Dial somebody in, and hang up when the block ends; see `ConferenceHandle.participant`.

    Args:
        dial: Makes the create, whose deadline begins with the block.
        visitor_of: Makes the handle of the participant who was placed.
    """
    creation = dial()
    try:
        placed = await creation.run()
    except asyncio.CancelledError as cancelled:
        unknown = cancelled.__cause__
        if isinstance(unknown, OutcomeUnknown) and unknown.label is not None:
            await _finish(_take_back(creation, visitor_of))
        raise
    visitor = visitor_of(placed)
    try:
        yield visitor
    except BaseException:
        if not visitor.stays:
            await _finish(_logged(_hang_up(visitor)))
        raise
    if not visitor.stays:
        await _finish(_hang_up(visitor))


async def _hang_up(handle: ParticipantHandle) -> None:
    scope = time_limit(_HANG_UP)
    try:
        async with scope:
            await handle.delete()
    except (NotFound, ConferenceNotActive):
        pass
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise RequestTimeout(
            f"{handle.key} may still be on the line: hanging up took more than {_HANG_UP:g} s; "
            "it is safe to repeat"
        ) from error


async def _take_back(
    creation: "Creation | Once", visitor_of: Callable[[Participant], Visitor]
) -> None:
    with suppress(TimeoutError, LabelInUse):
        async with time_limit(_HANG_UP):
            placed = await creation.living()
            if placed is not None:
                await _logged(_hang_up(visitor_of(placed)))


async def _logged(hang_up: Coroutine[Any, Any, None]) -> None:
    try:
        await hang_up
    except ConferenceError as error:
        _log.warning("hanging up failed: %s", error)


async def _finish(work: Coroutine[Any, Any, None]) -> None:
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
