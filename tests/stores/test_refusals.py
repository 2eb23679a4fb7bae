"""A store that can never work says so, and what to do, to the first who needs it."""

import asyncio
import sqlite3
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
import redis
import trustme
from blockbuster import BlockBuster
from psycopg.conninfo import make_conninfo

from conference_async import (
    ClusterDialer,
    ConferenceClient,
    Credentials,
    Journal,
    NewParticipant,
    Plan,
    PostgresEvents,
    PostgresJournal,
    PostgresLedger,
    PostgresLimit,
    RedisEvents,
    RedisLimit,
    SharedEvents,
    SQLiteLimit,
    Unpaced,
)
from conference_async.errors import ConfigurationError
from conference_async.postgres.refusals import never
from conference_async.redis.refusals import never as never_of_redis
from conference_async.sqlite.refusals import never as never_of_a_file
from conference_async.webhooks import Keys, Receiver

CREDENTIALS = Credentials("AC" + "0" * 32, "token")
NOWHERE = "http://127.0.0.1:1"
NEW = NewParticipant(from_="+15017122661", to="+15558675310")


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let drivers import their parts."""
    no_blocking_calls.deactivate()


async def create(**options: Any) -> None:
    """Make the first create of a client."""
    async with ConferenceClient(CREDENTIALS, base_url=NOWHERE, **options) as client:
        await client.conferences("standup").participants.create(NEW)


async def with_limit(dsn: str) -> None:
    """Create at a pace that is shared."""
    async with PostgresLimit(dsn, 30, account=uuid.uuid4().hex) as limit:
        await create(limit=limit)


async def with_journal(dsn: str) -> None:
    """Create with a key."""
    async with ConferenceClient(
        CREDENTIALS, base_url=NOWHERE, limit=Unpaced(), journal=PostgresJournal(dsn)
    ) as client:
        await client.conferences("standup").participants.create(NEW, once="order-42")


async def with_events(dsn: str) -> None:
    """Wait until a receiver knows what was in the log."""
    await up_to_date(PostgresEvents(dsn))


async def up_to_date(events: SharedEvents) -> None:
    """Wait until a receiver knows what was in the log."""
    keys = Keys("the auth token")
    async with Receiver(keys, public_url="https://example.com/hooks", events=events) as receiver:
        try:
            await receiver.up_to_date()
        finally:
            await events.aclose()


async def with_ledger(dsn: str) -> None:
    """Look at a campaign."""
    async with PostgresLedger(dsn, name="monday") as ledger:
        await ledger.counts()


async def with_workers(dsn: str) -> None:
    """Submit a plan."""
    plan = Plan.from_participants([NEW], conference="standup", name="monday")
    async with (
        ConferenceClient(CREDENTIALS, base_url=NOWHERE) as client,
        ClusterDialer(client, dsn) as dialer,
    ):
        await dialer.submit(plan)


Use: TypeAlias = Callable[[str], Awaitable[None]]
USES = [with_limit, with_journal, with_events, with_ledger, with_workers]


@pytest.fixture
def mistakes(postgres_server: str, mortal_postgres: Any) -> dict[str, tuple[str, str]]:
    """Return connection strings that can never work, and what is said of them, by a name."""
    where, name = postgres_server, f"r{uuid.uuid4().hex}"
    mortal_postgres.ask_for_password(name, "right")
    with psycopg.connect(where, autocommit=True) as server:
        server.execute(f"CREATE ROLE bare_{name} LOGIN".encode())
    return {
        "password": (
            make_conninfo(where, user=name, password="wrong"),
            "password authentication failed .* ~/.pgpass",
        ),
        "database": (make_conninfo(where, dbname="nobodys"), "does not exist; make the database"),
        "role": (make_conninfo(where, user="nobody_" + name), "does not exist; put the right user"),
        "right": (make_conninfo(where, user=f"bare_{name}"), "--grant-to ROLE"),
    }


@pytest.mark.parametrize("mistake", ["password", "database", "role", "right"])
@pytest.mark.parametrize("use", USES)
async def test_a_postgres_that_can_never_work_is_not_waited_for(
    use: Use, mistake: str, mistakes: dict[str, tuple[str, str]]
) -> None:
    """Neither by a create, nor by a submit, nor by whoever waits for the past."""
    dsn, told = mistakes[mistake]
    async with asyncio.timeout(40):
        with pytest.raises(ConfigurationError, match=told) as caught:
            await use(dsn)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("use", USES)
async def test_a_database_that_was_not_set_up_says_who_is_to_do_what(
    use: Use, bare_postgres: Any
) -> None:
    """Nobody else makes tables."""
    with pytest.raises(ConfigurationError, match="run conference-async cluster set-up"):
        await use(bare_postgres.where)
    with psycopg.connect(bare_postgres.where) as server:
        row = server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert row.fetchone() == (0,)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("SSL error: certificate verify failed", "sslrootcert="),
        ('root certificate file "/x/root.crt" does not exist', "sslrootcert="),
        ('server certificate for "a" does not match host name "b"', "sslrootcert="),
        ("server does not support SSL, but SSL was required", "sslmode=prefer"),
        ('FATAL:  no pg_hba.conf entry for host "::1"', "pg_hba.conf"),
        ("FATAL:  no such database: calls", "make the database"),
        ('FATAL:  permission denied for database "calls"', "GRANT CONNECT"),
        ("fe_sendauth: no password supplied", "PGPASSWORD"),
        ("FATAL:  the database system is starting up", None),
        ("FATAL:  sorry, too many clients already", None),
        ("connection refused", None),
        ("could not translate host name", None),
    ],
)
def test_what_is_said_while_connecting_is_told_apart(said: str, told: str | None) -> None:
    """There, the driver hands on words and no code."""
    refusal = never(psycopg.OperationalError(f"connection failed: {said}"), "PostgresLimit")

    assert (refusal is None) == (told is None)
    assert told is None or told in str(refusal)


@pytest.mark.parametrize(
    ("user", "options", "told"),
    [
        ("", "", "the right user and password"),
        (":wrong@", "", "the right user and password"),
        ("weak:pw@", "", "ACL SETUSER"),
        (":right@", "?db=99", "the number of a database that it has"),
    ],
)
@pytest.mark.parametrize("kind", ["limit", "events"])
async def test_a_redis_that_can_never_work_is_not_waited_for(
    kind: str, user: str, options: str, told: str, own_redis: Any
) -> None:
    """Neither by a create nor by whoever waits for the past."""
    path = own_redis.where.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path) as admin:
        admin.execute_command("ACL", "SETUSER", "weak", "on", ">pw", "~other:*", "+ping")
        admin.config_set("requirepass", "right")
    url = f"unix://{user}{path}{options}"

    async def use() -> None:
        if kind == "events":
            await up_to_date(RedisEvents(url))
        else:
            async with RedisLimit(url, 30) as limit:
                await create(limit=limit)

    async with asyncio.timeout(40):
        with pytest.raises(ConfigurationError, match=told) as caught:
            await use()
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("MOVED 3999 127.0.0.1:6381", "redis+cluster://"),
        ("unknown command 'XAUTOCLAIM', with args beginning with: ", "version 6.2"),
        ("LOADING Redis is loading the dataset in memory", None),
        ("READONLY You can't write against a read only replica.", None),
        ("CLUSTERDOWN The cluster is down", None),
        ("Error 111 connecting to h:1. Connection refused.", None),
    ],
)
def test_what_a_redis_says_is_told_apart(said: str, told: str | None) -> None:
    """What another server may do is waited for."""
    refusal = never_of_redis(redis.RedisError(said), "RedisLimit")

    assert (refusal is None) == (told is None)
    assert told is None or told in str(refusal)


@asynccontextmanager
async def of_an_unknown_authority(*, asked: bool) -> AsyncIterator[int]:
    """Give the port of a server with TLS that nobody trusts; `asked` for it first by Postgres."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(tls)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if asked:
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(tls)
        writer.close()

    # Who is not asked speaks at once: what came before `start_tls` would be read by nobody.
    from_the_start = None if asked else tls
    async with await asyncio.start_server(serve, "localhost", 0, ssl=from_the_start) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_postgres_whose_authority_is_unknown_is_not_waited_for(tmp_path: Path) -> None:
    """It says which setting names the authority."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    async with of_an_unknown_authority(asked=True) as port, asyncio.timeout(40):
        where = f"postgresql://me@localhost:{port}/calls?gssencmode=disable"
        secured = f"&sslmode=verify-full&sslrootcert={tmp_path / 'another.pem'}"
        with pytest.raises(ConfigurationError, match="sslrootcert="):
            await with_limit(where + secured)


async def test_a_redis_whose_authority_is_unknown_is_not_waited_for() -> None:
    """Known by the class of what TLS raised, whatever it says."""
    async with (
        asyncio.timeout(40),
        of_an_unknown_authority(asked=False) as port,
        RedisLimit(f"rediss://localhost:{port}/0", 30) as limit,
    ):
        with pytest.raises(ConfigurationError, match="ssl_ca_certs="):
            await create(limit=limit)


async def test_a_redis_that_does_not_speak_tls_is_not_waited_for() -> None:
    """Though it was asked to."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR Protocol error: unauthenticated multibulk length\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "localhost", 0) as server, asyncio.timeout(40):
        port = server.sockets[0].getsockname()[1]
        async with RedisLimit(f"rediss://localhost:{port}/0", 30) as limit:
            with pytest.raises(ConfigurationError, match="use redis://"):
                await create(limit=limit)


def test_a_password_that_is_missing_is_said_in_any_language(mortal_postgres: Any) -> None:
    """By what the driver knows of the connection, not by words."""
    name = f"r{uuid.uuid4().hex}"
    mortal_postgres.ask_for_password(name, "right")
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(make_conninfo(mortal_postgres.where, user=name, passfile="/nowhere"))
    german = psycopg.OperationalError("kein Passwort angegeben", pgconn=caught.value.pgconn)
    assert "PGPASSWORD" in str(never(german, "PostgresLimit"))


@pytest.mark.parametrize("kind", ["limit", "journal"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere/calls.db", "in a folder that is there"),
        ("folder", "in a folder that is there"),
        ("letter.txt/calls.db", "in a folder that is there"),
        ("letter.txt", "a file of its own"),
    ],
)
async def test_a_file_that_can_never_work_is_not_waited_for(
    kind: str, name: str, told: str, tmp_path: Path
) -> None:
    """Neither for a slot nor for a key."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 100)
    journal = Journal(tmp_path / name)
    async with asyncio.timeout(40), SQLiteLimit(tmp_path / name, 30) as limit:
        use = create(limit=limit) if kind == "limit" else journal.__aenter__()
        with pytest.raises(ConfigurationError, match=told):
            await use


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_READONLY, "read and write the file"),
        (sqlite3.SQLITE_READONLY_DBMOVED, None),
        (sqlite3.SQLITE_FULL, None),
        (sqlite3.SQLITE_IOERR, None),
        (sqlite3.SQLITE_BUSY, None),
    ],
)
def test_what_sqlite_says_is_told_apart(code: int, told: str | None) -> None:
    """By its codes: a disk may have room again, and a file may come back."""
    error = sqlite3.OperationalError("what it says")
    error.sqlite_errorcode = code
    refusal = never_of_a_file(error, "the journal")

    assert (refusal is None) == (told is None)
    assert told is None or told in str(refusal)
