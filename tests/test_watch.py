"""The watch over the loop that every test has: what it sees, and what it leaves alone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
from blockbuster import BlockingError

import conference_async

Wait: TypeAlias = Callable[[], Coroutine[Any, Any, bool]]

WAITING = """
async def wait():
    return lock.acquire(timeout=0.01)
"""


@pytest.fixture
def wait() -> Wait:
    """Return code of the package that waits for a lock, which somebody has."""
    scope: dict[str, Any] = {"lock": threading.Lock()}
    scope["lock"].acquire()
    exec(compile(WAITING, conference_async.__file__, "exec"), scope)
    code: Wait = scope["wait"]
    return code


async def test_a_loop_waits_for_no_lock(wait: Wait) -> None:
    """Another thread may have it for as long as it likes."""
    with pytest.raises(BlockingError, match=r"lock\.acquire"):
        await wait()


async def test_a_loop_in_a_thread_may_wait_for_another_thread(wait: Wait) -> None:
    """For what it imports, and for the lock of what measures the coverage."""
    assert not await asyncio.to_thread(asyncio.run, wait())
