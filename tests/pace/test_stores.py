"""Each store keeps the same promises, on a real server or file."""

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from conference_async.errors import ConfigurationError
from conference_async.pace.contract import SECOND
from conference_async.pace.line import Priority, next_ticket
from conference_async.pace.postgres import PostgresLimit
from conference_async.pace.redis import RedisLimit
from conference_async.pace.shared import SharedLimit
from conference_async.pace.slots import STEP_BACK, Pace, QueueStore, Queuing, Reservation
from conference_async.pace.sqlite import SQLiteLimit
from tests.conftest import UNMEASURED
from tests.pace.test_shared import Store

LIMITS: dict[str, Callable[..., SharedLimit]] = {
    "sqlite": SQLiteLimit,
    "redis": RedisLimit,
    "postgres": PostgresLimit,
}


@pytest.fixture
def make(place: tuple[str, str]) -> Callable[..., SharedLimit]:
    """Return a way to make limits that share an account of their own."""
    account = uuid.uuid4().hex

    def make(cps: float = 10, **options: Any) -> SharedLimit:
        return LIMITS[place[0]](place[1], cps, **{"account": account, **options})

    make()  # imports the driver, which would block the loop
    return make


async def start(limit: SharedLimit) -> float:
    """Take one slot and use it."""
    while True:
        async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
            await turn.slot()
        if await turn.start():
            return asyncio.get_running_loop().time()


async def test_two_limits_alternate(make: Callable[..., SharedLimit]) -> None:
    """Slots of one account are one interval apart, whoever takes them."""
    async with make(20) as one, make(20) as other:
        begun = asyncio.get_running_loop().time()
        found = await asyncio.gather(*(start(limit) for limit in (one, other) for _ in range(5)))

    assert 0.41 <= max(found) - begun < 15  # a busy machine may be late


async def test_accounts_are_apart(make: Callable[..., SharedLimit]) -> None:
    """One store serves several, each with its own pace."""
    async with make(0.05, account="one" + uuid.uuid4().hex) as one, make(0.05) as other:
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(start(one), start(other))

        assert asyncio.get_running_loop().time() - begun < 15


async def test_the_arithmetic_is_that_of_the_row(make: Callable[..., SharedLimit]) -> None:
    """Every store hands out the very slots that the definition does, whatever is asked of it."""
    chance = random.Random(1)
    async with make() as limit:
        store, row, last = limit._store, None, None
        assert isinstance(store, QueueStore)
        await store.open()
        await store.report(factor=0.5, queue_time=100)  # there is no row yet: nothing to say
        assert not await store.give_back(Reservation(wait=0, slot=1, after=2, cps=1))
        for _ in range(120):
            match chance.choice(["reserve", "queue", "queue", "give_back", "report"]):
                case "reserve" | "queue" as what:
                    cps = chance.choice([1.0, 2.5, 7.3, 29.97, 30.0])
                    floor = chance.choice([0.0, 0.25])
                    queuing = None
                    if what == "reserve":
                        last = await store.reserve(cps=cps, floor=floor)
                    else:
                        queuing = Queuing(
                            within=chance.choice([0.1, 1.0, 4.0, 1e9]),
                            told=chance.choice([False, True]),
                            more=chance.choice([False, True]),
                        )
                        last = await store.reserve_queued(cps=cps, floor=floor, queuing=queuing)
                    now = last.slot - round(last.wait * SECOND)
                    row, expected = Pace.reserve(
                        row, now=now, cps=cps, floor=floor, queuing=queuing
                    )
                    expected = attrs.evolve(expected, unchanged=last.unchanged)  # by its clock
                    assert last == expected
                case "give_back" if last and last.taken and row:
                    freed = row.give_back(last)
                    assert await store.give_back(last) == (freed is not None)
                    row = freed or row
                case "report" if row:
                    factor, queue_time = chance.choice([0.1, 0.55, 1.0]), chance.randrange(9000)
                    await store.report(factor=factor, queue_time=queue_time)
                    row = row.report(now=row.seen, factor=factor, queue_time=queue_time)


async def test_what_was_given_back_is_taken_next(make: Callable[..., SharedLimit]) -> None:
    """Only the last slot can be given back, and only once."""
    async with make(1) as limit:
        store = limit._store
        await store.open()
        first = await store.reserve(cps=0.01, floor=0)
        second = await store.reserve(cps=0.01, floor=0)

        assert not await store.give_back(first)
        assert await store.give_back(second)
        assert not await store.give_back(second)
        assert (await store.reserve(cps=0.01, floor=0)).slot == second.slot


async def test_the_state_lost_is_made_up_for(
    make: Callable[..., SharedLimit], place: tuple[str, str]
) -> None:
    """A store that knows nothing of the account starts after the time that it is told."""
    async with make(10) as limit:
        await limit._store.open()

        assert (await limit._store.reserve(cps=10, floor=1.5)).wait == 1.5


@pytest.mark.parametrize("back", [STEP_BACK // 2, STEP_BACK + 50 * SECOND])
async def test_a_clock_that_went_back_delays_by_a_second_at_most(
    make: Callable[..., SharedLimit], place: tuple[str, str], back: int
) -> None:
    """A later time in the row is waited for if it is near, and otherwise forgotten."""
    account = uuid.uuid4().hex
    async with make(0.01, account=account) as limit:
        await limit._store.open()
        before = await limit._store.reserve(cps=0.01, floor=0)
        await asyncio.to_thread(shift, place, account, back)
        after = await limit._store.reserve(cps=0.01, floor=0)

    assert before.wait == 0
    if back < STEP_BACK:
        assert after.slot == before.after + back
    else:
        assert after.wait == 1


def shift(place: tuple[str, str], account: str, by: int) -> None:
    """Change a row to one that was written at a later time than now."""
    store, where = place
    update = "UPDATE conference_async_pace SET after = after + {by}, seen = seen + {by}"
    match store:
        case "sqlite":
            with contextlib.closing(sqlite3.connect(where)) as file, file:
                file.execute(f"{update.format(by=by)} WHERE account = ?", [account])
        case "redis":
            with redis.Redis.from_url(where) as client:
                for field in ("after", "seen"):
                    client.hincrby(f"conference_async:pace:{account}", field, by)
        case _:
            with psycopg.connect(where) as connection:
                connection.execute(f"{update.format(by=by)} WHERE account = %s", [account])


def test_a_limit_outlives_its_event_loop(make: Callable[..., SharedLimit]) -> None:
    """It is made before a loop runs, and a second asyncio.run goes on at the pace of the first."""
    limit = make(5)
    begun = time.monotonic()

    async def two() -> float:
        async with limit:
            await start(limit)
            await start(limit)
            return time.monotonic()

    asyncio.run(two())

    assert 0.55 <= asyncio.run(two()) - begun < 15  # a busy machine may be late


@pytest.mark.usefixtures("nothing_left_over")
def test_a_limit_that_was_never_closed_works_under_one_loop_after_the_other(
    make: Callable[..., SharedLimit], caplog: pytest.LogCaptureFixture
) -> None:
    """Everything of a loop ends with it: nothing is left open, and nothing complains."""
    limit = make(2)
    begun = time.monotonic()
    for _ in range(3):
        asyncio.run(start(limit))
        gc.collect()
    asyncio.run(limit.aclose())
    gc.collect()

    assert 0.95 < time.monotonic() - begun < 15
    assert not caplog.records


@pytest.mark.usefixtures("nothing_left_over")
@pytest.mark.parametrize("max_live", [None, 40, 3])
def test_limits_that_nobody_closes_give_back_what_they_hold_before_their_loop_ends(
    make: Callable[..., SharedLimit], caplog: pytest.LogCaptureFixture, max_live: int | None
) -> None:
    """Also what they begin to give back as the loop ends; and nothing keeps the loop after that."""
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def dial(limit: SharedLimit) -> None:
        while True:
            async with limit.turn(Priority.BULK, next_ticket()) as turn:
                await turn.slot()
            await turn.start()

    async def dial_a_while() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        limits = [make(30, max_live=max_live) for _ in range(4)]
        tasks = [asyncio.create_task(dial(limit)) for limit in limits for _ in range(5)]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in tasks)

    for _ in range(3):
        asyncio.run(dial_a_while())
        gc.collect()
    assert not caplog.records
    # A store's thread may be on its way back from waking the loop.
    while any(loop() for loop in loops):
        time.sleep(0.01)
        gc.collect()


async def test_where_nobody_is_left_nothing_is_begun_later() -> None:
    """A loop that ends does not wait for it; and what is over by then is of no use to others."""
    store = Store()
    limits = [SharedLimit(store, 30) for _ in range(4)]

    async def dial(limit: SharedLimit) -> None:
        while True:
            async with limit.turn(Priority.BULK, next_ticket()) as turn:
                await turn.slot()
            await turn.start()

    dialling = [asyncio.create_task(dial(limit)) for limit in limits for _ in range(5)]
    await asyncio.sleep(0.5)
    for task in dialling:
        task.cancel()
    await asyncio.wait(dialling)
    while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 -- what is held is given back
        await asyncio.sleep(0)
    asked = len(store.calls)
    time.sleep(0.3)  # noqa: ASYNC251 -- the loop is late, as one that is busy or ends
    for _ in range(5):
        await asyncio.sleep(0)

    assert len(store.calls) == asked


def test_a_limit_can_be_looked_at_where_no_loop_runs(make: Callable[..., SharedLimit]) -> None:
    """Before the first loop and after the last one; what is said then is what is known here."""
    limit = make(0.01)
    before = limit.snapshot()
    asyncio.run(start(limit))
    after = limit.snapshot()
    limit.observe(300_000)

    assert (before.next_start, before.waiting) == (0, 0)
    assert 50 < after.next_start <= 100
    assert limit.estimate(Priority.BULK) > 50
    assert limit.snapshot().effective_cps == 0.005
    asyncio.run(limit.aclose())


def test_a_loop_that_is_stopped_and_run_again_goes_on(make: Callable[..., SharedLimit]) -> None:
    """As between two calls of a frozen container, with somebody in line all the while."""
    limit, loop = make(5), asyncio.new_event_loop()
    waiting = loop.create_task(start(limit))
    loop.run_until_complete(start(limit))
    time.sleep(0.5)
    loop.run_until_complete(waiting)
    loop.run_until_complete(limit.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # it is the subject
@pytest.mark.usefixtures("nothing_left_over")
def test_a_process_that_was_forked_shares_the_pace(
    make: Callable[..., SharedLimit], caplog: pytest.LogCaptureFixture
) -> None:
    """The child connects for itself, and leaves the parent's connection alone."""
    limit = make(5)

    async def in_the_child() -> None:
        async with limit:
            for _ in range(3):
                await start(limit)

    async def in_the_parent() -> None:
        async with limit:
            await start(limit)
            pid = os.fork()
            if not pid:
                try:  # it must never come back from here
                    signal.alarm(20)
                    asyncio.run(in_the_child())
                    gc.collect()
                    os._exit(len(caplog.records))
                finally:
                    os._exit(99)
            while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):  # noqa: ASYNC222 -- it does not wait
                await start(limit)
            assert os.waitstatus_to_exitcode(ended[1]) == 0
            # The child's end took nothing of the parent's with it.
            begun = time.monotonic()
            await start(limit)
            assert time.monotonic() - begun < 1.5

    asyncio.run(in_the_parent())

    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_slow_down_is_seen_by_the_others(make: Callable[..., SharedLimit]) -> None:
    """It travels with the next reservation."""
    async with make(20) as one, make(20) as other:
        await start(one)
        await start(other)
        one.observe(5000)
        while other.snapshot().effective_cps == 20:
            await start(other)

        assert other.snapshot().effective_cps == 10
        assert other.snapshot().queue_time == 5000


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    """A store's URL may hold a password and is not shown; a file's path is."""
    assert repr(RedisLimit("redis://me:secret@host/0?password=secret", 5, account="AC1")) == (
        "<RedisLimit account='AC1' cps=5 waiting=0>"
    )
    assert repr(PostgresLimit("host=db password=secret", 5)) == (
        "<PostgresLimit account='default' cps=5 waiting=0>"
    )
    assert repr(SQLiteLimit(tmp_path / "a.db", 5)).endswith(
        "a.db' account='default' cps=5 waiting=0>"
    )


@pytest.mark.parametrize(
    ("limit", "where"),
    [
        (RedisLimit, "http://me:secret@host"),
        (RedisLimit, "unix://:secret@/tmp/a\0b"),
        (RedisLimit, "unix://:secret@/tmp/a%00b"),
        (PostgresLimit, "hots=db password=secret"),
        (PostgresLimit, "host=db password=sec\0ret"),
        (SQLiteLimit, ":memory:"),
        (SQLiteLimit, "a\0b"),
        (SQLiteLimit, ""),
    ],
)
def test_a_place_that_is_none_is_refused_at_once(
    limit: Callable[[str, float], SharedLimit], where: str
) -> None:
    """The message says what is wanted, and no secret."""
    with pytest.raises(ConfigurationError) as caught:
        limit(where, 5)
    with pytest.raises(ConfigurationError, match="whose pace it is"):
        SQLiteLimit("pace.db", 5, account="a\0b")

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("limit", "module", "given", "kind"),
    [
        (RedisLimit, "redis.asyncio", None, "NoneType"),
        (RedisLimit, "redis.asyncio", redis.Redis(), "Redis"),
        (PostgresLimit, "psycopg_pool", None, "NoneType"),
        (PostgresLimit, "psycopg_pool", ConnectionPool(open=False), "ConnectionPool"),
    ],
)
def test_what_is_no_place_at_all_is_refused_at_once(
    limit: Callable[[Any, float], SharedLimit],
    module: str,
    given: object,
    kind: str,
    installed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable that is not set, or what is not awaited: creates would wait for it without end."""
    if not installed:
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError, match=f"{limit.__name__} needs a .*, not {kind}$"):
        limit(given, 5)


@pytest.mark.parametrize(
    ("limit", "module", "extra"),
    [(RedisLimit, "redis", "redis"), (PostgresLimit, "psycopg", "cluster")],
)
def test_a_missing_extra_is_named(
    limit: Callable[[str, float], SharedLimit],
    module: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error for a driver that is not installed says how to install it."""
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError, match=rf'pip install "conference-async\[{extra}\]"'):
        limit("redis://host", 5)


@pytest.mark.parametrize("place", ["none/pace.db", "pipe"])
async def test_a_place_that_holds_no_file_is_said(tmp_path: Path, place: str) -> None:
    """Waiting would not make one, be it that its folder is missing or that it is a pipe."""
    os.mkfifo(tmp_path / "pipe")
    async with SQLiteLimit(tmp_path / place, 5) as limit:
        with pytest.raises(ConfigurationError, match="name a file in a folder that is there"):
            await start(limit)


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    """A frozen PostgreSQL holds up one question for two seconds, and the end not at all."""
    silent: list[asyncio.StreamWriter] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    begun = time.monotonic()
    async with PostgresLimit(f"host=127.0.0.1 port={port} user=me", 10) as limit:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await start(limit)
    for writer in silent:
        writer.close()
    server.close()

    assert time.monotonic() - begun < 15


async def test_a_connection_that_went_silent_is_left_for_another(
    own_postgres: Any,
) -> None:
    """A question under way when the network dies is asked again on a new connection."""
    name = ".s.PGSQL.5432"
    real = own_postgres.where.rpartition("host=")[2]
    silent = asyncio.Event()
    pipes: list[asyncio.Task[None]] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deaf = silent.is_set()
        while data := await reader.read(65536):
            if deaf or not silent.is_set():
                writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_unix_connection(f"{real}/{name}")
        pipes.append(asyncio.create_task(pipe(reader, back_writer)))
        pipes.append(asyncio.create_task(pipe(back_reader, writer)))

    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.start_unix_server(accept, f"{folder}/{name}")
        async with PostgresLimit(make_conninfo(own_postgres.where, host=folder), 10) as limit:
            await start(limit)
            silent.set()
            begun = time.monotonic()
            await start(limit)
            took = time.monotonic() - begun
        await asyncio.wait(pipes)
        server.close()

    assert 1 < took < 15


@pytest.mark.parametrize("server", ["own_redis", "own_postgres"])
def test_a_server_that_was_restarted_is_found_again(
    server: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection and all that the server was told are made anew, without a word."""
    own = request.getfixturevalue(server)
    limit = LIMITS[server.removeprefix("own_")](own.where, 10)

    async def before_and_after() -> None:
        async with limit:
            await start(limit)
            await asyncio.to_thread(own.kill)
            await asyncio.to_thread(own.start)
            await start(limit)

    asyncio.run(before_and_after())

    assert not [each for each in caplog.records if each.name.startswith("conference_async")]


async def test_a_file_that_is_none_of_ours_is_not_written_to(tmp_path: Path) -> None:
    """Nor waited for: a file that SQLite cannot read will be none."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 100)
    limit = SQLiteLimit(path, 10)
    await limit.aclose()

    async with limit:
        with pytest.raises(ConfigurationError, match="not a database; name a file of its own"):
            await start(limit)

    assert path.read_text() == "Dear Sir or Madam, " * 100


def test_no_driver_is_imported_before_it_is_used() -> None:
    """A program that shares no limit imports no driver."""
    code = (
        "import sys, conference_async, conference_async.pace\n"
        "conference_async.SharedLimit, conference_async.SlotStore\n"
        "print({'redis', 'psycopg', 'sqlite3'} & set(sys.modules))\n"
        "conference_async.RedisLimit, conference_async.PostgresLimit\n"
        "print({'redis', 'psycopg', 'sqlite3'} & set(sys.modules))\n"
    )

    # Measuring coverage would import sqlite3 by itself.
    shown = subprocess.check_output([sys.executable, "-c", code], text=True, env=UNMEASURED)

    assert shown.split() == ["set()", "set()"]
