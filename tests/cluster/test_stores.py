"""Each store keeps the same promises, on a real server or file."""

import asyncio
import contextlib
import gc
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
import redis

from conference_async import cluster
from conference_async.cluster import Pace, PostgresLimit, RedisLimit, SharedLimit, SQLiteLimit
from conference_async.cluster.slots import SECOND, STEP_BACK, Reservation
from conference_async.errors import ConfigurationError
from conference_async.line import Priority, next_ticket

# Servers of their own on two busy processors may miss instants for reasons that are not ours.
pytestmark = pytest.mark.flaky(reruns=2)

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
    async with limit.turn(Priority.INTERACTIVE, next_ticket()) as turn:
        return await turn.slot()


async def test_two_limits_alternate(make: Callable[..., SharedLimit]) -> None:
    """Slots of one account are one interval apart, whoever takes them."""
    async with make(20) as one, make(20) as other:
        found = sorted(
            await asyncio.gather(*(start(limit) for limit in (one, other) for _ in range(5)))
        )

    assert 0.41 <= found[-1] - found[0] < 5  # a busy machine may be late


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
        await store.open()
        await store.report(factor=0.5, queue_time=100)  # there is no row yet: nothing to say
        assert not await store.give_back(Reservation(wait=0, slot=1, after=2, cps=1))
        for _ in range(60):
            match chance.choice(["reserve", "reserve", "give_back", "report"]):
                case "reserve":
                    cps = chance.choice([1.0, 2.5, 7.3, 29.97, 30.0])
                    floor = chance.choice([0.0, 0.25])
                    last = await store.reserve(cps=cps, floor=floor)
                    now = last.slot - round(last.wait * SECOND)
                    row, expected = Pace.reserve(row, now=now, cps=cps, floor=floor)
                    expected = attrs.evolve(expected, unchanged=last.unchanged)  # by its clock
                    assert last == expected
                case "give_back" if last and row:
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
        first = await store.reserve(cps=1, floor=0)
        second = await store.reserve(cps=1, floor=0)

        assert not await store.give_back(first)
        assert await store.give_back(second)
        assert not await store.give_back(second)
        assert (await store.reserve(cps=1, floor=0)).slot == second.slot


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
    """What the row says of a later time is waited for if it is near, and else forgotten."""
    account = uuid.uuid4().hex
    async with make(10, account=account) as limit:
        await limit._store.open()
        before = await limit._store.reserve(cps=10, floor=0)
        await asyncio.to_thread(shift, place, account, back)
        after = await limit._store.reserve(cps=10, floor=0)

    assert before.wait == 0
    assert 0.4 < after.wait <= 1.1


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

    async def two() -> float:
        async with limit:
            await start(limit)
            await start(limit)
            return time.monotonic()

    first = asyncio.run(two())

    assert 0.3 <= asyncio.run(two()) - first < 5  # a busy machine may be late


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what was not closed is complained about
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_limit_that_was_not_closed_works_under_the_next_loop(
    make: Callable[..., SharedLimit],
) -> None:
    """What belonged to the loop that is gone is left behind."""
    limit = make(0.5)
    asyncio.run(start(limit))
    begun = time.monotonic()
    asyncio.run(start(limit))
    asyncio.run(limit.aclose())

    assert 1.5 < time.monotonic() - begun < 15
    gc.collect()


async def test_a_slow_down_is_seen_by_the_others(make: Callable[..., SharedLimit]) -> None:
    """It travels with the next reservation."""
    async with make(20) as one, make(20) as other:
        await start(one)
        await start(other)
        one.observe(5000)
        await asyncio.sleep(0.2)
        await start(other)

        assert other.snapshot().effective_cps == 10
        assert other.snapshot().queue_time == 5000


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    """Where a store is may hold a password, so it is not shown; a file is."""
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
        (PostgresLimit, "hots=db password=secret"),
        (SQLiteLimit, ":memory:"),
    ],
)
def test_a_place_that_is_none_is_refused_at_once(
    limit: Callable[[str, float], SharedLimit], where: str
) -> None:
    """The message says what is wanted, and no secret."""
    with pytest.raises(ConfigurationError) as caught:
        limit(where, 5)

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


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
    """Whoever did not install a driver is told how."""
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError, match=rf"pip install conference-async\[{extra}\]"):
        limit("redis://host", 5)


async def test_a_directory_that_is_missing_is_said(tmp_path: Path) -> None:
    """Waiting would not make it."""
    async with SQLiteLimit(tmp_path / "none" / "pace.db", 5) as limit:
        with pytest.raises(ConfigurationError, match="no directory"):
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
    """What was asked when the network died is given up, and asked again on a new connection."""
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
        dsn = f"host={folder} user=postgres dbname=postgres"
        async with PostgresLimit(dsn, 10) as limit:
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


async def test_a_file_that_is_none_of_ours_is_not_written_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What SQLite cannot read counts as a store that is gone."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 100)
    limit = SQLiteLimit(path, 10)
    await limit.aclose()

    async with limit:
        waiting = asyncio.create_task(start(limit))
        while "file is not a database" not in caplog.text:  # noqa: ASYNC110 -- said by a task of the limit
            await asyncio.sleep(0.02)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})

    assert path.read_text() == "Dear Sir or Madam, " * 100


def test_no_driver_is_imported_before_it_is_used() -> None:
    """Who shares nothing pays for nothing."""
    code = (
        "import sys, conference_async, conference_async.cluster\n"
        "conference_async.SharedLimit, conference_async.SlotStore\n"
        "print({'redis', 'psycopg', 'sqlite3'} & set(sys.modules))\n"
        "conference_async.RedisLimit, conference_async.PostgresLimit\n"
        "print({'redis', 'psycopg', 'sqlite3'} & set(sys.modules))\n"
    )

    # Measuring coverage would import sqlite3 by itself.
    unmeasured = {name: os.environ[name] for name in os.environ if not name.startswith("COV")}

    shown = subprocess.check_output([sys.executable, "-c", code], text=True, env=unmeasured)

    assert shown.split() == ["set()", "set()"]


def test_the_door_is_a_list() -> None:
    """What is exported is there, and nothing else is."""
    assert dir(cluster) == sorted(cluster.__all__, key=str)
    assert all(getattr(cluster, name) is not None for name in cluster.__all__)
    with pytest.raises(AttributeError, match="no attribute 'RedisStore'"):
        _ = cluster.RedisStore
