"""What all webhook tests rest on."""

import asyncio

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def no_loop_outside_async_tests() -> None:
    """Keep a test that is not async from being given an event loop that nobody would close."""
    asyncio.set_event_loop(None)
