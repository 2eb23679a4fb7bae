"""One log of events for every process, in a file, in Redis and in PostgreSQL."""

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import psycopg
import pytest

from conference_async import Calls, CallView
from conference_async.errors import ConfigurationError
from conference_async.postgres import notices as postgres_notices
from conference_async.postgres.connection import Connection as PostgresConnection
from conference_async.redis.connection import Connection as RedisConnection
from conference_async.webhooks import Event, Keys, Receiver, parse_event, sign
from conference_async.webhooks.event_log import notices, postgres, sqlite
from conference_async.webhooks.event_log.contract import EventStore, Record
from conference_async.webhooks.event_log.postgres import PostgresEvents, PostgresEventStore
from conference_async.webhooks.event_log.redis import RedisEvents, RedisEventStore
from conference_async.webhooks.event_log.shared import SharedEvents
from conference_async.webhooks.event_log.sqlite import SQLiteEvents, SQLiteEventStore
from tests.conftest import UNMEASURED
from tests.stores.plans import rows_in_vain

URL = "https://example.com/hooks"
KINDS = ("sqlite", "redis", "postgres")
MakeLog = Callable[..., SharedEvents]
MakeStore = Callable[..., EventStore]


@pytest.fixture(autouse=True, scope="module")
def drivers_are_loaded() -> None:
    """Load the drivers before a loop runs, as an application does when it makes its log."""
    for name in ("psycopg", "redis.asyncio"):
        import_module(name)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return the name of each store in turn, and where it is."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "events.db")
    return request.param, request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
async def stage() -> AsyncIterator[AsyncExitStack]:
    """Return what closes everything that a test opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def make_log(place: tuple[str, str], stage: AsyncExitStack, request: pytest.FixtureRequest) -> Any:
    """Return what makes one process's view of a log that is the test's own."""
    kind, where = place
    makers: dict[str, Any] = {
        "sqlite": SQLiteEvents,
        "redis": RedisEvents,
        "postgres": PostgresEvents,
    }
    named = {} if kind == "sqlite" else {"name": request.node.name}

    def make(**options: Any) -> SharedEvents:
        log: SharedEvents = makers[kind](where, **named, **options)
        stage.push_async_callback(log.aclose)
        return log

    return make


@pytest.fixture
def make_store(
    place: tuple[str, str], stage: AsyncExitStack, request: pytest.FixtureRequest
) -> Any:
    """Return what makes a store of the test's own."""
    kind, where = place
    makers: dict[str, Any] = {
        "sqlite": SQLiteEventStore,
        "redis": RedisEventStore,
        "postgres": PostgresEventStore,
    }
    named = {} if kind == "sqlite" else {"name": request.node.name}

    def make() -> EventStore:
        store: EventStore = makers[kind](where, **named)
        stage.push_async_callback(store.aclose)
        return store

    return make


def ringing(number: int) -> Event:
    """Return an event that can be told from others by its number."""
    return parse_event(
        {"CallSid": f"CA{number:032}", "CallStatus": "ringing", "SequenceNumber": str(number)}
    )


async def first(log: SharedEvents, count: int) -> list[Event]:
    """Return the first events that a process reads."""
    found: list[Event] = []
    async for batch in log.follow():
        found += batch.events
        if len(found) >= count:
            break
    return found


def numbers(events: Sequence[Event]) -> list[int]:
    """Return what tells events apart."""
    return [event.sequence_number or 0 for event in events]


async def test_every_process_reads_every_event_in_one_order(make_log: MakeLog) -> None:
    """Every process reads each event once, in one order, under the same identifiers."""
    here, there = make_log(), make_log()
    readers = [asyncio.create_task(first(log, 40)) for log in (here, there, make_log())]

    appended = await asyncio.gather(
        *(
            (here, there)[number % 2].append(ringing(number), [f"key {number}"])
            for number in range(40)
        )
    )
    read = await asyncio.gather(*readers)

    assert all(appended)
    assert sorted(numbers(read[0])) == list(range(40))
    assert read[0] == read[1] == read[2]
    assert len({event.id for event in read[0]}) == 40


async def test_a_repetition_is_known_wherever_it_comes_in(make_log: MakeLog) -> None:
    """By any of its keys, from another process, and within one batch."""
    here, there = make_log(), make_log()
    await here.append(ringing(1), ["signature 1", "token 1"])
    await there.append(ringing(1), ["signature 2", "token 1"])
    await there.append(ringing(1), ["signature 2"])
    await asyncio.gather(*(here.append(ringing(2), ["signature 3"]) for _ in range(5)))
    await here.append(ringing(3), ["signature 4"])

    assert numbers(await first(there, 3)) == [1, 2, 3]


async def test_a_key_and_an_event_may_have_any_text(make_log: MakeLog) -> None:
    """Also such as a store writes lists with, or does not take."""
    log = make_log()
    odd = ["", "NULL", "{}", '"', "\\", '\\"', "a,b", "{a", "'", "%(log)s", "two\nlines"]
    odd += ["\0", "\udcff", "é", secrets.token_hex(5000)]
    events = [attrs.evolve(ringing(number), extra={"odd": each}) for number, each in enumerate(odd)]
    for _ in range(2):
        await asyncio.gather(*map(log.append, events, ([f"key {each}"] for each in odd)))

    read = await first(log, len(odd))
    assert [attrs.evolve(each, id=None) for each in read] == events


async def test_two_that_append_the_same_callbacks_do_not_wait_for_each_other(
    own_postgres: Any, stage: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """All take keys in one order, whatever order the callbacks came in: none is sent back."""
    caplog.set_level("DEBUG", "conference_async.postgres")
    take = "INSERT INTO conference_async_event_key (log, key) VALUES ('a log', %s)"
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    store = PostgresEventStore(own_postgres.where, name="a log")
    stage.push_async_callback(store.aclose)
    connect = psycopg.AsyncConnection.connect
    async with (
        await connect(own_postgres.where) as other,
        await connect(own_postgres.where, autocommit=True) as watch,
    ):
        await other.execute(take, ["a"])
        records = [Record(key, (key,)) for key in "hgfedcba"]
        appending = asyncio.create_task(store.append(records, keep=60))
        while not await (await watch.execute(waits)).fetchall():  # noqa: ASYNC110 -- told by a server
            await asyncio.sleep(0.02)
        for key in "bcdefgh":
            await other.execute(take, [key])
    await appending

    assert await store.read("0", most=10, wait=0) == []
    assert caplog.messages == []


async def test_a_process_that_starts_reads_the_past_that_it_wants(make_log: MakeLog) -> None:
    """So that it knows the rooms that are live, and says when it is up to date."""
    await make_log().append(ringing(1), ["one"])
    late, later = make_log(since=60), make_log(since=0)
    batches = late.follow()
    batch = await anext(batches)
    news = asyncio.create_task(first(later, 1))
    await asyncio.sleep(0.2)
    await make_log().append(ringing(2), ["two"])

    assert (numbers(batch.events), batch.up_to_date) == ([1], True)
    assert numbers((await anext(batches)).events) == [2]
    assert numbers(await news) == [2]
    await batches.aclose()


async def test_a_process_knows_that_there_is_nothing(make_log: MakeLog) -> None:
    """An empty log is up to date at once."""
    batches = make_log().follow()
    batch = await anext(batches)

    assert (batch.events, batch.up_to_date) == ([], True)
    await batches.aclose()


async def test_of_a_group_one_process_handles_each_event(make_log: MakeLog) -> None:
    """Another group handles all of them, too."""
    handled: dict[str, list[tuple[str, int]]] = {"billing": [], "chat": []}
    everything, both = asyncio.Event(), asyncio.Event()

    def member(name: str, group: str) -> asyncio.Task[None]:
        async def handle(event: Event) -> None:
            handled[group].append((name, event.sequence_number or 0))
            if sum(map(len, handled.values())) == 40:
                everything.set()
            if group == "billing":
                if {each for each, _ in handled["billing"]} == {"a", "b"}:
                    both.set()
                await both.wait()  # neither can take all of them

        return asyncio.create_task(make_log().handle(group, handle, most=2))

    members = [member("a", "billing"), member("b", "billing"), member("c", "chat")]
    log = make_log()
    for number in range(20):
        await log.append(ringing(number), [str(number)])
    try:
        await everything.wait()
    finally:
        for task in members:
            task.cancel()
        await asyncio.wait(members)

    for events in handled.values():
        assert sorted(number for _, number in events) == list(range(20))
    assert {name for name, _ in handled["billing"]} == {"a", "b"}


async def test_what_a_dead_member_held_is_taken_over(make_store: MakeStore) -> None:
    """Once its lease is over, unless it was renewed or done."""
    store = make_store()
    records = [Record(ringing(number).to_json(), (str(number),)) for number in range(3)]
    await store.append(records, keep=60)
    await store.join("billing", since=60)
    one, two, three = await store.claim("billing", "dead", most=3, wait=0, lease=2)
    await store.done("billing", [one.position])
    taken = await store.claim("billing", "other", most=3, wait=0, lease=2)
    assert taken == []

    while not taken:
        await asyncio.sleep(0.05)
        await store.renew("billing", "dead", [three.position], lease=2)
        taken = await store.claim("billing", "other", most=3, wait=0, lease=2)
    assert taken == [two]


async def test_what_comes_while_the_log_is_pruned_is_appended(make_log: MakeLog) -> None:
    """It does not wait for the next event to be written with it."""
    log = make_log()
    store = vars(log)["_store"]
    prune, pruning = store.prune, asyncio.Event()

    async def slow(**bounds: Any) -> None:
        pruning.set()
        await asyncio.sleep(0.1)
        await prune(**bounds)

    vars(store)["prune"] = slow
    assert await log.append(ringing(1), ["one"])
    await pruning.wait()
    assert await log.append(ringing(2), ["two"])


async def test_what_is_no_event_is_passed_over(
    make_log: MakeLog, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Readers and groups go on after it; the log says so."""
    odd = [Record(text, (text,)) for text in ("no event", "", "two\nlines")]
    spread = Record(json.dumps(json.loads(ringing(0).to_json()), indent=1), ("spread",))
    await make_store().append([*odd, spread], keep=60)
    log, handled = make_log(), asyncio.Event()
    await log.append(ringing(1), ["one"])

    async def handle(event: Event) -> None:
        handled.set()

    assert numbers(await first(log, 2)) == [0, 1]
    group = asyncio.create_task(log.handle("billing", handle))
    await handled.wait()
    group.cancel()
    await asyncio.wait([group])
    assert "is passed over" in caplog.text


async def test_the_place_to_start_at_is_found_in_a_file_without_a_look_at_each_event(
    tmp_path: Path,
) -> None:
    """By SQLite's own count of steps."""
    store = SQLiteEventStore(tmp_path / "events.db")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1000

    await store.open()
    await store.append([Record("", (str(each),)) for each in range(50_000)], keep=60)
    await store.start(3600)  # the connection that reads is there
    await store._look(lambda file: file.set_progress_handler(count, 1000))

    assert await store.start(3600) == "0"
    assert steps < 20_000
    await store.aclose()


async def test_a_server_finds_the_place_to_start_at_without_a_look_at_each_event(
    postgres_server: str,
) -> None:
    """By its own count of the rows that it read in vain."""
    values = {"log": uuid.uuid4().hex, "since": 60}
    async with await psycopg.AsyncConnection.connect(postgres_server, autocommit=True) as server:
        await server.execute(
            """
            INSERT INTO conference_async_event (log, at, body)
            SELECT %(log)s, now() - number * interval '0.1 second', ''
            FROM generate_series(10000, 1, -1) AS number
            """,
            values,
        )
        await server.execute("ANALYZE conference_async_event")
        assert await rows_in_vain(server, postgres._START, values) == 0


async def test_a_server_reads_what_is_new_without_a_look_at_what_is_old(own_postgres: Any) -> None:
    """Also while it knows nothing of the table yet, as in the first minutes."""
    async with await psycopg.AsyncConnection.connect(own_postgres.where) as server:
        await server.execute(
            """
            INSERT INTO conference_async_event (log, body)
            SELECT 'a log', '' FROM generate_series(1, 3000)
            """
        )
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {postgres._READ}"
        values = {"log": "a log", "after": 2990, "most": 500}
        found = await server.execute(explain, values)
        [(plans,)] = await found.fetchall()

    assert max(touched(plans[0]["Plan"])) == 10


def touched(plan: dict[str, Any]) -> Iterator[int]:
    """Yield how many rows each step of a plan came by."""
    yield plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    for part in plan.get("Plans", ()):
        yield from touched(part)


async def test_the_log_is_bounded(make_store: MakeStore) -> None:
    """Events beyond the bound are forgotten, the oldest first."""
    store = make_store()
    for start in range(0, 1000, 100):
        numbered = range(start, start + 100)
        records = [Record(ringing(each).to_json(), (str(each),)) for each in numbered]
        await store.append(records, keep=60)
    await store.prune(keep=60, most=100)
    kept = await store.read(await store.start(3600), most=2000, wait=0)
    await asyncio.sleep(0.2)
    await store.prune(keep=0.1, most=1000)
    left = await store.read(await store.start(3600), most=2000, wait=0)

    assert 100 <= len(kept) < 300  # Redis trims whole nodes of a hundred
    assert kept[-1].body == ringing(999).to_json()
    assert len(left) < 100


async def test_a_server_forgets_in_bites(
    own_postgres: Any, stage: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is too much, and its keys, however small they are."""
    monkeypatch.setattr(postgres, "_BITE", 64)
    store = PostgresEventStore(own_postgres.where, name="a log")
    stage.push_async_callback(store.aclose)
    for start in range(0, 1000, 100):
        await store.append(
            [Record("", (str(each),)) for each in range(start, start + 100)], keep=60
        )

    await store.prune(keep=60, most=100)
    assert len(await store.read("0", most=2000, wait=0)) == 100
    await store.prune(keep=0, most=1000)
    assert await store.read("0", most=2000, wait=0) == []
    async with await psycopg.AsyncConnection.connect(own_postgres.where) as server:
        found = await server.execute("SELECT count(*) FROM conference_async_event_key")
        assert await found.fetchone() == (0,)


async def test_who_appends_to_a_file_has_a_turn_between_two_bites_of_what_is_forgotten(
    tmp_path: Path, stage: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has come together while nobody was there, a callback does not wait for all of it."""
    monkeypatch.setattr(sqlite, "_BITE", 64)
    store = SQLiteEventStore(tmp_path / "events.db")
    stage.push_async_callback(store.aclose)
    await store.append([Record("", (str(each),)) for each in range(1000)], keep=60)

    pruning = asyncio.create_task(store.prune(keep=-1, most=1000))
    await asyncio.sleep(0)  # it has asked for its first bite
    await store.append([Record("", ("another",))], keep=60)
    assert not pruning.done()
    await pruning
    assert await store.read("0", most=2000, wait=0) == []
    with closing(sqlite3.connect(tmp_path / "events.db")) as file:
        found = file.execute("SELECT count(*) FROM conference_async_event_key")
        assert found.fetchone() == (0,)


async def test_a_redis_forgets_all_that_is_too_much(
    redis_server: str, stage: AsyncExitStack
) -> None:
    """However much came since it last did: what it forgets when asked once is bounded."""
    store = RedisEventStore(redis_server, name=uuid.uuid4().hex)
    stage.push_async_callback(store.aclose)
    text = ringing(1).to_json()
    for _ in range(50):
        await store.append([Record(text, (uuid.uuid4().hex,)) for _ in range(500)], keep=60)

    await store.prune(keep=60, most=100)

    assert 100 <= len(await store.read("0", most=25_000, wait=0)) < 300  # a node is a hundred


async def test_a_limit_may_be_used_under_one_loop_after_another(make_log: MakeLog) -> None:
    """A log closed under one loop works under the next."""
    log = make_log()
    await log.append(ringing(1), ["one"])
    await log.aclose()

    assert await log.append(ringing(2), ["two"])
    assert numbers(await first(log, 2)) == [1, 2]


@pytest.mark.parametrize(
    "options",
    [{"since": -1}, {"patience": 0}, {"since": "long"}, {"keep": 0}, {"most": 0}, {"keep": 60}],
)
def test_bounds_are_checked(options: dict[str, Any], tmp_path: Path) -> None:
    """When the log is made."""
    with pytest.raises(ConfigurationError):
        SQLiteEvents(tmp_path / "events.db", **options)


async def test_idle_processes_do_nothing(tmp_path: Path, stage: AsyncExitStack) -> None:
    """A file's readers look once when they begin to wait, and once when it ends."""
    store = SQLiteEventStore(tmp_path / "events.db")
    stage.push_async_callback(store.aclose)
    looks = 0
    look = store._look

    async def counted(work: Any) -> Any:
        nonlocal looks
        looks += 1
        return await look(work)

    await store.open()
    vars(store)["_look"] = counted
    await store.read("0", most=10, wait=0.5)

    assert looks == 2


async def appended(log: SharedEvents, number: int) -> None:
    """Append an event, as often as it takes: a server may be about to start."""
    while not await log.append(ringing(number), [str(number)]):
        pass


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_while_the_store_is_gone_nothing_is_lost(
    kind: str, request: pytest.FixtureRequest, stage: AsyncExitStack
) -> None:
    """Callbacks are refused, readers wait, and both go on when it is back."""
    server = request.getfixturevalue(f"own_{kind}")
    makers: dict[str, Any] = {"redis": RedisEvents, "postgres": PostgresEvents}
    log: SharedEvents = makers[kind](server.where, patience=1)
    stage.push_async_callback(log.aclose)
    await appended(log, 1)
    batches = log.follow()
    assert numbers((await anext(batches)).events) == [1]
    news = asyncio.ensure_future(anext(batches))

    await asyncio.to_thread(server.kill)
    refused = await log.append(ringing(2), ["two"])
    await asyncio.to_thread(server.start)
    while not await log.append(ringing(3), ["three"]):  # noqa: ASYNC110 -- a server's start
        await asyncio.sleep(0.1)

    assert not refused
    read = numbers((await news).events)
    while read[-1] != 3:
        read += numbers((await anext(batches)).events)
    assert read in ([3], [2, 3])  # what was refused may have been written when it came back
    await batches.aclose()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_group_goes_on_when_the_store_is_back(
    kind: str, request: pytest.FixtureRequest, stage: AsyncExitStack
) -> None:
    """Also where the store has forgotten that there is such a group."""
    server = request.getfixturevalue(f"own_{kind}")
    makers: dict[str, Any] = {"redis": RedisEvents, "postgres": PostgresEvents}
    log: SharedEvents = makers[kind](server.where, patience=1)
    stage.push_async_callback(log.aclose)
    handled: asyncio.Queue[int] = asyncio.Queue()

    async def handle(event: Event) -> None:
        await handled.put(event.sequence_number or 0)

    group = asyncio.create_task(log.handle("billing", handle))
    await appended(log, 1)
    assert await handled.get() == 1
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    await appended(log, 2)
    assert await handled.get() == 2
    group.cancel()
    await asyncio.wait([group])


@asynccontextmanager
async def killed(server: Any) -> AsyncIterator[None]:
    """Let a server be gone inside the block."""
    await asyncio.to_thread(server.kill)
    yield
    await asyncio.to_thread(server.start)


@asynccontextmanager
async def demoted(server: Any) -> AsyncIterator[None]:
    """Let a PostgreSQL answer inside the block, and not be the one that writes."""
    async with await psycopg.AsyncConnection.connect(server.where, autocommit=True) as admin:
        await admin.execute("SET default_transaction_read_only = off")
        name = admin.info.dbname
        await admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        yield
        await admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("kind", "away"), [("redis", killed), ("postgres", killed), ("postgres", demoted)]
)
async def test_callers_wait_on_while_the_store_is_gone(
    kind: str,
    away: Any,
    request: pytest.FixtureRequest,
    stage: AsyncExitStack,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Callbacks are answered 503 meanwhile; the one that comes again ends the wait."""
    server = request.getfixturevalue(f"own_{kind}")
    makers: dict[str, Any] = {"redis": RedisEvents, "postgres": PostgresEvents}
    calls, workers = Calls(URL), list[Receiver]()
    for listener in (calls.apply, None):
        log = makers[kind](server.where, patience=1)
        workers.append(Receiver(Keys("token"), public_url=URL, events=log))
        if listener:
            workers[-1].listen(listener)
        await stage.enter_async_context(log)
        await stage.enter_async_context(workers[-1])
    answered = callback(1, "in-progress")
    waiting = asyncio.create_task(_view(calls, answered["CallSid"]))
    await taken(workers[1], callback(2))

    async with away(server):
        assert await post(workers[1], answered) is HTTPStatus.SERVICE_UNAVAILABLE
        assert f"{workers[1]!r} refused a request: the log of events is away" in caplog.messages
        assert not waiting.done()
    await taken(workers[1], answered)
    assert (await waiting).answered


async def taken(receiver: Receiver, params: dict[str, str]) -> None:
    """Send a callback until it is taken, as the service does: a server may be about to start."""
    while await post(receiver, params) is not HTTPStatus.NO_CONTENT:  # noqa: ASYNC110 -- a server's start
        await asyncio.sleep(0.1)


async def _view(calls: Calls, call_sid: str) -> CallView:
    return await calls.answered(call_sid, timeout=3600)


FORKED = """
import asyncio, os, sys, time
from importlib import import_module
from conference_async import PostgresEvents, RedisEvents, SQLiteEvents
from conference_async.webhooks import parse_event

kinds = {"sqlite": SQLiteEvents, "redis": RedisEvents, "postgres": PostgresEvents}
named = {} if sys.argv[1] == "sqlite" else {"name": "forked"}
log = kinds[sys.argv[1]](sys.argv[2], **named)

def ringing(number):
    return parse_event({"CallSid": "CA1", "CallStatus": "ringing", "SequenceNumber": str(number)})

async def child():
    assert await log.append(ringing(2), ["two"])
    async for batch in log.follow():
        print("child", [event.sequence_number for event in batch.events], flush=True)
        break
    await log.aclose()

async def parent():
    await log.append(ringing(1), ["one"])
    batches = log.follow()
    heard = [event.sequence_number for event in (await anext(batches)).events]
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0.3)
    forked = os.fork()
    if forked == 0:
        asyncio._set_running_loop(None)
        try:
            asyncio.run(child())
        finally:
            os._exit(0)
    heard += [event.sequence_number for event in (await waiting).events]
    await asyncio.to_thread(os.waitpid, forked, 0)
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0.3)
    begun = time.monotonic()
    await log.append(ringing(3), ["three"])
    heard += [event.sequence_number for event in (await waiting).events]
    print("parent", heard, time.monotonic() - begun < 2, flush=True)
    await batches.aclose()
    await log.aclose()

asyncio.run(parent())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
async def test_a_forked_process_has_its_own_way_to_the_log(
    place: tuple[str, str], tmp_path: Path
) -> None:
    """It appends and reads, and its parent hears of it and goes on to be woken."""
    kind, where = place
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORKED, kind, where),
        env=UNMEASURED,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, said = await run.communicate()

    assert out.decode().splitlines() == ["child [1, 2]", "parent [1, 2, 3] True"], said.decode()


async def swallow(_: object) -> str:
    """Take the last of an answer, and with it a cancellation."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    return "an answer"


async def lose(_: object) -> str:
    """Notice that the connection is lost as a cancellation comes."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    raise OSError("connection lost")


async def go_on(_: object) -> str:
    """Take a cancellation for the end of sending a question, and wait for an answer."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    await asyncio.Event().wait()
    return "an answer"


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        *(("redis", work) for work in (swallow, lose, go_on)),
        *(("postgres", work) for work in (swallow, lose)),
    ],
)
async def test_a_cancelled_read_ends(
    kind: str, work: Callable[[object], Awaitable[str]], request: pytest.FixtureRequest
) -> None:
    """The drivers swallow one that comes at the end of a question, an answer, or a connection."""
    connect: dict[str, Any] = {"redis": RedisConnection, "postgres": PostgresConnection}
    where = request.getfixturevalue(f"{kind}_server")
    connection = connect[kind](where, silence=5, purpose="a test")
    if kind == "postgres":
        await connection.open()  # it is not to be cancelled earlier

    reading = asyncio.create_task(connection.run(work))
    await asyncio.sleep(0.05)
    reading.cancel()
    await asyncio.wait([reading])
    if kind == "redis":
        await connection.aclose()
    else:
        connection.drop()

    assert reading.cancelled()


async def test_a_server_that_falls_silent_is_left_by_those_who_listen(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends its connection: the listener gives it up by itself, and hears again."""
    monkeypatch.setattr(notices, "_ROUND", 0.1)
    monkeypatch.setattr(postgres_notices, "_SILENCE", 1.0)
    listener = notices.Listener(postgres_server, "silent")
    listener.changed()
    told = vars(listener)["_notices"]
    while not told.come_through:  # noqa: ASYNC110 -- told by a server
        await asyncio.sleep(0.02)
    connection = vars(told)["_connection"]
    first_one = vars(connection)["_connection"]
    # The server's process stands still: it neither answers nor closes.
    pid = first_one.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        while vars(connection)["_connection"] in {first_one, None}:  # noqa: ASYNC110 -- its own time
            await asyncio.sleep(0.05)
    finally:
        os.kill(pid, signal.SIGCONT)
    changed = listener.changed()
    async with await psycopg.AsyncConnection.connect(postgres_server, autocommit=True) as other:
        await other.execute("NOTIFY conference_async_event, 'silent'")
        await changed.wait()
    await listener.aclose()


def callback(number: int, status: str = "ringing", **more: str) -> dict[str, str]:
    """Return what the service says of a call."""
    return {
        "CallSid": f"CA{number:032}",
        "CallStatus": status,
        "SequenceNumber": "0",
        "Timestamp": format_datetime(datetime.now(UTC)),
        **more,
    }


async def post(
    receiver: Receiver, params: dict[str, str], *, once: asyncio.Event | None = None
) -> HTTPStatus:
    """Send a signed callback, its body once something is so, and return what is answered."""

    async def body() -> AsyncIterator[bytes]:
        if once is not None:
            await once.wait()
        yield urlencode(params).encode()

    return await receiver.receive(
        method="POST",
        query="",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": sign(URL, [*params.items()], "token"),
        },
        body=body(),
    )


async def test_every_worker_hears_every_callback_once(
    make_log: MakeLog, stage: AsyncExitStack
) -> None:
    """Every worker hears a callback once, also if it comes again at another worker."""
    heard: list[list[str | None]] = [[], [], []]
    workers: list[Receiver] = []
    for each in heard:
        worker = Receiver(Keys("token"), public_url=URL, events=make_log())
        worker.listen(lambda event, each=each: each.append(event.subject))  # type: ignore[misc]  # mypy cannot type a default
        workers.append(await stage.enter_async_context(worker))
    params = [callback(number) for number in range(12)]

    answers = [await post(workers[at % 3], each) for at, each in enumerate(params)]
    answers += [await post(workers[(at + 1) % 3], each) for at, each in enumerate(params)]
    while not all(len(each) >= 12 for each in heard):  # noqa: ASYNC110 -- other processes' doing
        await asyncio.sleep(0.01)

    assert set(answers) == {HTTPStatus.NO_CONTENT}
    assert heard[0] == heard[1] == heard[2] == [each["CallSid"] for each in params]


async def test_a_worker_that_starts_is_right_once_it_is_up_to_date(
    make_log: MakeLog, stage: AsyncExitStack
) -> None:
    """It has heard what came before it was there."""
    first_worker = Receiver(Keys("token"), public_url=URL, events=make_log())
    await stage.enter_async_context(first_worker)
    for number in range(5):
        await post(first_worker, callback(number))
    heard: list[Event] = []
    late = Receiver(Keys("token"), public_url=URL, events=make_log())
    late.listen(heard.append)

    await stage.enter_async_context(late)
    await late.up_to_date()

    assert len(heard) == 5


async def test_a_group_handles_a_callback_once(make_log: MakeLog, stage: AsyncExitStack) -> None:
    """In one of the workers; what a handler fails on comes again."""
    handled: list[str | None] = []
    workers: list[Receiver] = []

    async def bill(event: Event) -> None:
        handled.append(event.subject)

    for _ in range(2):
        worker = Receiver(Keys("token"), public_url=URL, events=make_log())
        worker.listen(bill, group="billing")
        workers.append(await stage.enter_async_context(worker))
    with pytest.raises(ConfigurationError, match="already"):
        workers[0].listen(bill, group="billing")
    for number in range(10):
        await post(workers[number % 2], callback(number))
    while len(handled) < 10:  # noqa: ASYNC110 -- other processes' doing
        await asyncio.sleep(0.01)

    assert sorted(map(str, handled)) == [f"CA{number:032}" for number in range(10)]


@pytest.mark.parametrize("method", ["read", "claim"])
async def test_a_store_that_has_worked_may_refuse_for_a_while(tmp_path: Path, method: str) -> None:
    """As where its password is changed: those who hear events would never hear one again."""
    heard, come = list[int | None](), asyncio.Event()
    log = SQLiteEvents(tmp_path / "events.db")
    store = vars(log)["_store"]
    works, asked = getattr(store, method), 0

    async def refuse_once(*arguments: Any, **more: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ConfigurationError("a wrong password")
        return await works(*arguments, **more)

    async def handle(event: Event) -> None:
        heard.append(event.sequence_number)
        come.set()

    def listen(event: Event) -> None:
        heard.append(event.sequence_number)
        come.set()

    vars(store)[method] = refuse_once
    async with log, Receiver(Keys("token"), public_url=URL, events=log) as receiver:
        if method == "claim":
            receiver.listen(handle, group="billing")
        else:
            receiver.listen(listen)
        for number in (1, 2, 3):
            assert await log.append(ringing(number), [str(number)])
            await come.wait()
            come.clear()

    assert asked > 2
    assert heard == [1, 2, 3]


async def test_nothing_begins_to_read_anew_once_the_receiver_is_closed(tmp_path: Path) -> None:
    """Neither a callback that was under way, nor who asks whether it is up to date."""
    heard, first, come = list[Event](), asyncio.Event(), asyncio.Event()

    def hear(event: Event) -> None:
        heard.append(event)
        first.set()

    async with SQLiteEvents(tmp_path / "events.db") as log:
        async with Receiver(Keys("token"), public_url=URL, events=log) as receiver:
            receiver.listen(hear)
            assert await post(receiver, callback(1)) == HTTPStatus.NO_CONTENT
            await receiver.up_to_date()
            await first.wait()  # it may have been up to date just before the callback
            late = asyncio.create_task(post(receiver, callback(2), once=come))
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {late}
        come.set()

        assert await late == HTTPStatus.SERVICE_UNAVAILABLE
        await receiver.up_to_date()
        assert asyncio.all_tasks() <= others
    assert len(heard) == 1


async def test_to_close_the_receiver_cancels_nobody_who_waits_to_be_up_to_date(
    tmp_path: Path,
) -> None:
    """The store that is waited for does not answer."""
    log = SQLiteEvents(tmp_path / "nowhere" / "events.db")
    never = asyncio.Event()

    async def start(_: float) -> str:
        await never.wait()
        return ""

    vars(vars(log)["_store"])["start"] = start
    async with Receiver(Keys("token"), public_url=URL, events=log) as receiver:
        waiting = asyncio.create_task(receiver.up_to_date())
        await asyncio.sleep(0)
    await asyncio.wait([waiting])
    assert not waiting.cancelled()


async def test_leaving_a_group_twice_is_leaving_it_once(tmp_path: Path) -> None:
    """What a listener is ended with ends no other one that has joined since."""
    heard, come = list[str](), asyncio.Event()

    async def first(_: Event) -> None:
        heard.append("first")
        come.set()

    async def second(_: Event) -> None:
        heard.append("second")
        come.set()

    async with (
        SQLiteEvents(tmp_path / "events.db") as log,
        Receiver(Keys("token"), public_url=URL, events=log) as receiver,
    ):
        leave = receiver.listen(first, group="billing")
        leave()
        receiver.listen(second, group="billing")
        leave()
        assert await log.append(ringing(1), ["1"])
        await come.wait()

    assert heard == ["second"]


async def test_a_plain_handler_of_a_group_handles_an_event_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It has done its work when it returns, and must not do it again for want of a coroutine."""
    come = asyncio.Event()

    def handle(_: Event) -> None:
        come.set()

    plain: Any = handle
    async with (
        SQLiteEvents(tmp_path / "events.db") as log,
        Receiver(Keys("token"), public_url=URL, events=log) as receiver,
    ):
        receiver.listen(plain, group="billing")
        assert await log.append(ringing(1), ["1"])
        await come.wait()

    assert "comes again" not in caplog.text


def test_a_group_needs_a_log() -> None:
    """Without one there is nobody to share with."""

    async def bill(event: Event) -> None:
        """Do nothing."""

    with pytest.raises(ConfigurationError, match="events="):
        Receiver(Keys("token"), public_url=URL).listen(bill, group="billing")
