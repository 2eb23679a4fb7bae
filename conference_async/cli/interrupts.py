"""Ctrl-C and a polite kill, as calls of a function while a command runs."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def on_interrupt(act: Callable[[], object]) -> Generator[None]:
    """Call `act` on the running loop at every SIGINT and SIGTERM, instead of being ended by it."""
    loop = asyncio.get_running_loop()

    def handle(*_signal: object) -> None:
        loop.call_soon_threadsafe(act)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
