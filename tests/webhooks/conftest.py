"""What all webhook tests rest on."""

import asyncio

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_loop_outside_async_tests() -> None:
    """Keep a test that is not async from being given an event loop that nobody would close."""
    asyncio.set_event_loop(None)
