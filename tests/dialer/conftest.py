"""Fixtures of the dialler's tests."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def idle_event_loop() -> Iterator[None]:
    """Give looptime the loop that it asks for in tests without one, and close it in the end.

    Otherwise it makes one that nobody closes, and a later test is blamed for that.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
