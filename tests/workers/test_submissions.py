"""Plans on their way to workers: staged, compared with what was submitted before, entered."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from blockbuster import BlockBuster
from psycopg import AsyncConnection

from conference_async import NewParticipant, Outcome, Plan, State
from conference_async.dialer.ledger.postgres import PostgresLedger
from conference_async.dialer.workers import staging, submission
from conference_async.dialer.workers.staging import Staging, place_of
from conference_async.dialer.workers.submission import LEFT_OUT
from conference_async.errors import ConfigurationError, InvalidParameter, LedgerError
from conference_async.postgres.session import Session
from tests.conftest import run_sql

if TYPE_CHECKING:
    from tests.workers.conftest import People, Scene

T = TypeVar("T")


@pytest.fixture(autouse=True)
def drivers_may_read_their_files(no_blocking_calls: BlockBuster) -> None:
    """Let psycopg and procrastinate import their parts."""
    no_blocking_calls.deactivate()


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a plan of a few targets be written and entered in several pieces."""
    monkeypatch.setattr(staging, "AT_ONCE", 3)
    monkeypatch.setattr(submission, "AT_ONCE", 3)


def numbers(*range_: int) -> Iterator[NewParticipant]:
    """Yield a request for each number."""
    for number in range(*range_):
        yield NewParticipant(from_="+15017122661", to=f"+1555867{number:04d}")


def rooms_of(size: int, name: str, *range_: int) -> Plan:
    """Return a plan that is spread over rooms."""
    return Plan.from_participants(
        list(numbers(*range_)), conference="hall", room_size=size, name=name
    )


async def outcomes(scene: "Scene", plan: Plan) -> list[Outcome]:
    """Return what the ledger has."""
    async with PostgresLedger(scene.dsn, name=plan.name) as ledger:
        return [outcome async for outcome in ledger.outcomes()]


async def left_staged(scene: "Scene") -> int:
    """Return how many targets are staged."""
    async with await AsyncConnection.connect(scene.dsn) as database:
        cursor = await database.execute("SELECT count(*) FROM conference_async_staged")
        (count,) = await cursor.fetchone() or (0,)
        return int(count)


async def test_who_is_in_the_file_no_more_is_left_out(
    scene: "Scene", people: "People", few_at_once: None
) -> None:
    """Unless they were called already, or are to be kept; they come back with the file."""
    plan = people(10)
    assert await scene.dialer.submit(plan) == 10
    async with PostgresLedger(scene.dsn, name=plan.name, shared=True) as ledger:
        first = (await outcomes(scene, plan))[9]
        await ledger.swap(first, first.claimed("t", "p", datetime.now(UTC)))
    fewer = people(4, plan.name)
    async with scene.dialer.staged(fewer) as staged:
        assert staged.missing == 5
        assert staged.preview is not None
        assert staged.preview.good == 4
    assert (await scene.counts(plan))[State.PLANNED] == 9, "nothing was entered"
    assert await scene.dialer.submit(fewer, keep_missing=True) == 0
    assert (await scene.counts(plan))[State.PLANNED] == 9
    assert await scene.dialer.submit(fewer) == 0
    counts = await scene.counts(plan)
    assert (counts[State.PLANNED], counts[State.SENDING], counts[State.SKIPPED]) == (4, 1, 5)
    assert [each.reason for each in (await outcomes(scene, plan))[4:9]] == [LEFT_OUT] * 5

    assert await scene.dialer.submit(people(10, plan.name)) == 5
    assert (await scene.counts(plan))[State.PLANNED] == 9
    assert await left_staged(scene) == 0


async def test_no_target_is_looked_for_among_all_of_its_campaign(
    scene: "Scene", people: "People", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor by a server that knows of other campaigns only, and takes this one to be empty."""
    monkeypatch.setattr(staging, "AT_ONCE", 100)
    monkeypatch.setattr(submission, "AT_ONCE", 100)
    await scene.dialer.submit(people(2_000))
    async with await AsyncConnection.connect(scene.dsn, autocommit=True) as database:
        await database.execute("ANALYZE conference_async_outcome, conference_async_staged")
        count, before = 1_000, await rows_read(database)
        plan = people(count)
        await scene.dialer.submit(plan)
        await scene.dialer.submit(plan)
        assert await rows_read(database) - before < 50 * count


async def rows_read(database: AsyncConnection[Any]) -> int:
    """Return how many rows of targets the server has read, by indexes or without."""
    await asyncio.sleep(1.5)  # a session tells the server of it once a second, or when it ends
    cursor = await database.execute(
        "SELECT sum(read)::bigint FROM ("
        " SELECT relname, idx_tup_read FROM pg_stat_user_indexes UNION ALL"
        " SELECT relname, seq_tup_read FROM pg_stat_user_tables) AS found (relname, read)"
        " WHERE relname IN ('conference_async_outcome', 'conference_async_staged')"
    )
    (read,) = await cursor.fetchone() or (0,)
    return int(read)


async def test_people_keep_their_rooms_and_new_ones_go_where_there_is_place(
    scene: "Scene", people: "People", few_at_once: None
) -> None:
    """Wherever in the file they stand."""
    name = people(1).name
    await scene.dialer.submit(rooms_of(4, name, 10, 20))
    before = {each.to: each.conference for each in await outcomes(scene, rooms_of(4, name, 1))}
    changed = rooms_of(4, name, 2, 19)  # eight before them, and the last one is gone
    await scene.dialer.submit(changed)

    found = [each for each in await outcomes(scene, changed) if each.state is State.PLANNED]
    assert {each.to: each.conference for each in found}.items() >= {
        to: room for to, room in before.items() if to != "+15558670019"
    }.items()
    assert Counter(each.conference for each in found) == {
        "hall-1": 4,
        "hall-2": 4,
        "hall-3": 4,
        "hall-4": 4,
        "hall-5": 1,
    }


async def test_no_room_is_overfull_where_the_answers_of_the_server_are_lost(
    scene: "Scene", people: "People", few_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What took effect is done again then, and finds that its people are known."""
    name = people(1).name
    await scene.dialer.submit(rooms_of(4, name, 2))
    run = Session.run

    async def run_again(
        self: Session, work: Callable[["AsyncConnection[Any]"], Awaitable[T]], **options: float
    ) -> T:
        async def again(connection: "AsyncConnection[Any]") -> T:
            await work(connection)
            return await work(connection)

        return await run(self, again, **options)

    monkeypatch.setattr(Session, "run", run_again)
    plan = rooms_of(4, name, 16)
    await scene.dialer.submit(plan)

    rooms = Counter(each.conference for each in await outcomes(scene, plan))
    assert rooms == dict.fromkeys(("hall-1", "hall-2", "hall-3", "hall-4"), 4)


async def test_a_room_of_the_rows_own_follows_the_file(scene: "Scene", tmp_path: Path) -> None:
    """Until they are called."""
    file = tmp_path / "people.csv"
    for room in ("one", "two"):
        file.write_text(f"to,id,conference\n+15558675310,1,{room}\n")
        plan = Plan.from_csv(file, from_="+15017122661", name=tmp_path.name)
        await scene.dialer.submit(plan)
        assert [each.conference for each in await outcomes(scene, plan)] == [room]


WRITTEN_ONCE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'it is written already'; END $$;
CREATE TRIGGER written_once BEFORE UPDATE ON conference_async_staged EXECUTE FUNCTION refuse()
"""


async def test_those_of_higher_priorities_are_entered_first(
    own_postgres: Any,
    scene_on: "Callable[[str], Awaitable[Scene]]",
    few_at_once: None,
    tmp_path: Path,
) -> None:
    """By some at a time: to put a million in order at once takes longer than a server may."""
    scene, file = await scene_on(own_postgres.where), tmp_path / "people.csv"
    run_sql(scene.dsn, WRITTEN_ONCE)
    priorities = [number % 3 for number in range(11)]
    rows = [f"+155586753{number:02},{each}\n" for number, each in enumerate(priorities)]
    file.write_text("".join(["to,priority\n", *rows]))
    plan = Plan.from_csv(file, conference="standup", from_="+15017122661")
    assert await scene.dialer.submit(plan) == 11
    entered = [(each.row or 0) - 2 for each in await outcomes(scene, plan)]
    assert entered == sorted(range(11), key=lambda number: -priorities[number])


async def test_a_plan_that_can_be_read_once_is_entered_as_it_comes(
    scene: "Scene", people: "People"
) -> None:
    """It says nothing of who is missing; a bad row ends it, and what came before is called."""
    name = people(1).name

    async def stream() -> AsyncIterator[NewParticipant]:
        for new in numbers(3):
            yield new

    plan = Plan.from_participants(stream(), conference="standup", name=name)
    async with scene.dialer.staged(plan) as staged:
        assert staged.preview is None
        assert await staged.enter() == 3
    assert (
        await scene.dialer.submit(
            Plan.from_participants(numbers(2, 4), conference="standup", name=name)
        )
        == 1
    )
    assert (await scene.counts(plan))[State.PLANNED] == 4


async def test_a_plan_with_bad_rows_is_not_entered(scene: "Scene", tmp_path: Path) -> None:
    """Nor is anything left of it."""
    file = tmp_path / "people.csv"
    file.write_text("to\n+15558675310\n5558675311\n")
    plan = Plan.from_csv(file, conference="standup", from_="+15017122661", name=tmp_path.name)
    with pytest.raises(InvalidParameter, match="1 bad row, so nobody was called"):
        await scene.dialer.submit(plan)
    assert await outcomes(scene, plan) == []
    assert await left_staged(scene) == 0


async def test_what_the_server_forgot_is_not_entered(scene: "Scene", people: "People") -> None:
    """A server that is killed forgets what is staged: that is noticed, not taken for the plan."""
    plan = people(3)
    async with scene.dialer.staged(plan) as staged:
        async with await AsyncConnection.connect(scene.dsn, autocommit=True) as database:
            forget = "DELETE FROM conference_async_staged WHERE place = %s"
            await database.execute(forget, [place_of(0, 2)])
        with pytest.raises(LedgerError, match="submit it again"):
            await staged.enter()
    assert await outcomes(scene, plan) == []


async def test_what_the_server_forgot_while_it_was_entered_is_missed(
    scene: "Scene", people: "People", few_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever submits it learns of it, as only a part is called."""
    plan = people(7)

    async def killed_after(self: Staging) -> None:
        async with await AsyncConnection.connect(scene.dsn, autocommit=True) as database:
            forget = "DELETE FROM conference_async_staged WHERE place > %s"
            await database.execute(forget, [place_of(0, 3)])

    with monkeypatch.context() as context:
        context.setattr(Staging, "check", killed_after)
        with pytest.raises(LedgerError, match="submit it again"):
            await scene.dialer.submit(plan)
    assert len(await outcomes(scene, plan)) == 3
    assert await scene.dialer.submit(plan) == 4


async def test_what_stands_in_a_row_survives(scene: "Scene", tmp_path: Path) -> None:
    """Whatever means something to the database."""
    file = tmp_path / "people.csv"
    label = 'tab\\t and {brace} \\ "quote"'
    file.write_text('to,id,label\n+15558675310,a\\b,"' + label.replace('"', '""') + '"\n')
    plan = Plan.from_csv(file, conference="stand\\up", from_="+15017122661", name=tmp_path.name)
    await scene.dialer.submit(plan)
    (found,) = await outcomes(scene, plan)

    assert (found.target, found.conference) == ("#a\\b", "stand\\up")
    async with await AsyncConnection.connect(scene.dsn) as database:
        cursor = await database.execute(
            "SELECT request ->> 'label' FROM conference_async_outcome WHERE ledger = %s",
            (plan.name,),
        )
        assert await cursor.fetchone() == (label,)


async def test_an_option_that_is_none_is_refused(scene: "Scene", people: "People") -> None:
    """By its name."""
    with pytest.raises(ConfigurationError, match="pritority is no option of submit"):
        await scene.dialer.submit(people(1), pritority=1)  # type: ignore[call-arg]  # the mistake
