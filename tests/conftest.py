"""Fixtures that every test may use."""

import asyncio
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

# looptime asks for the current loop before each test, and Python 3.11 would make one for a test
# without any, which nobody closes.
asyncio.set_event_loop(None)

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test in which this library blocks the event loop."""
    with blockbuster_ctx("conference_async") as guard:
        # Coverage has a lock of its own, which a thread of ours may hold for a moment.
        lock = guard.functions["threading.Lock.acquire"]
        lock.can_block_in("coverage/collector.py", "lock_data")
        # Older aiohttp looks for ~/.netrc on the loop when proxies come from the environment.
        guard.functions["os.stat"].can_block_in("aiohttp/helpers.py", "netrc_from_env")
        yield guard
