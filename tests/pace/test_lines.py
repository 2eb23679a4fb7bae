"""Each store counts lines as the book of lines does, on a real server or file."""

import math
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from conference_async.errors import ConfigurationError
from conference_async.pace.contract import SECOND, check_lines
from conference_async.pace.lines import LineBook, LineNews, LineStore, LineWish, judge
from conference_async.pace.postgres import PostgresLimit
from conference_async.pace.redis import RedisLimit
from conference_async.pace.shared import SharedLimit
from conference_async.pace.sqlite import SQLiteLimit

LIMITS: dict[str, Callable[..., SharedLimit]] = {
    "sqlite": SQLiteLimit,
    "redis": RedisLimit,
    "postgres": PostgresLimit,
}


@pytest.fixture
def make(place: tuple[str, str]) -> Callable[..., SharedLimit]:
    """Return a way to make limits that share an account of their own."""
    account = uuid.uuid4().hex

    def make(cps: float = 30, **options: Any) -> SharedLimit:
        return LIMITS[place[0]](place[1], cps, **{"account": account, **options})

    make()  # imports the driver, which would block the loop
    return make


def store_of(limit: SharedLimit) -> LineStore:
    """Return the store of a limit, which keeps lines."""
    assert isinstance(limit._store, LineStore)
    return limit._store


async def test_the_arithmetic_is_that_of_the_book(make: Callable[..., SharedLimit]) -> None:
    """Every store hands out the very lines that the definition does, whatever it hears of them."""
    chance = random.Random(1)
    calls = [f"CA{number:032x}" for number in range(6)]
    names = [f"{number:016x}" for number in range(6)]
    book = LineBook()

    def some(among: list[str]) -> set[str]:
        return set(chance.sample(among, chance.choice([0, 0, 1, 2])))

    async with make() as limit:
        store = store_of(limit)
        await limit._store.open()
        await store.note(LineNews(over={"nobody"}))  # there is nothing yet to say that of
        assert await store.lines() == {}
        for _ in range(120):
            if chance.random() < 0.6:
                wish = LineWish(
                    name=chance.choice(names),
                    max_live=chance.choice([1, 4, 8]),
                    spare=chance.choice([0, 0, 3]),
                )
                count, reservation = await store.reserve_with_line(cps=30, floor=0, wish=wish)
                assert count == book.take(wish, 1)
                assert (reservation is not None) == count.taken
            else:
                news = LineNews(
                    placed=dict(zip(some(names), some(calls), strict=False)),
                    seen=some(calls),
                    over=some(names) | some(calls),
                    full=chance.random() < 0.3,
                )
                await store.note(news)
                book.note(news, 1)
            assert (await store.lines()).keys() == book.held.keys()
            seen = {name for name, each in (await store.lines()).items() if each == float("inf")}
            assert seen == {name for name, since in book.held.items() if since == -1}


async def test_the_first_looks_and_then_two_in_a_second(make: Callable[..., SharedLimit]) -> None:
    """Before the first look ended nobody has a line; who cannot look, or has one, does not wait."""
    wish = LineWish(name="a", max_live=1, can_look=True)
    async with make() as limit:
        store = store_of(limit)
        await limit._store.open()

        async def take(**changes: Any) -> tuple[bool, bool, bool]:
            count, slot = await store.reserve_with_line(
                cps=30, floor=0, wish=attrs.evolve(wish, **changes)
            )
            return count.taken, count.look, slot is not None

        began = time.monotonic()
        assert await take() == (False, True, False)
        await store.note(LineNews(placed={"z": "CA0"}, over={"CA0"}))  # which is no look
        for name in ("a", "b"):
            taken, look, given = await take(name=name)
            assert (taken, given) == (False, False)
            assert not look or time.monotonic() - began > 0.5  # on a busy machine
        await store.note(LineNews(looked=True))
        assert await take() == (True, False, True)
        assert await take() == (True, False, True)
        taken, look, given = await take(name="b")
        assert (taken, given) == (False, False)
        assert not look or time.monotonic() - began > 0.5  # on a busy machine
        assert await take(name="b", can_look=False) == (False, False, False)
        assert set(await store.lines()) == {"a"}
    async with make(account=uuid.uuid4().hex) as limit:
        await limit._store.open()
        count, slot = await store_of(limit).reserve_with_line(
            cps=30, floor=0, wish=attrs.evolve(wish, can_look=False)
        )
        assert count.taken
        assert slot is not None


async def test_without_lines_no_line_is_kept(make: Callable[..., SharedLimit]) -> None:
    """A limit that does not count lines asks for none, and shows none."""
    async with make() as limit:
        await limit._store.open()
        await limit._store.reserve(cps=30, floor=0)
        assert await store_of(limit).lines() == {}
        limit.apply(object())
        found = limit.snapshot()

    assert (found.live, found.max_live, found.effective_max_live) == (None, None, None)


@pytest.mark.parametrize(
    "options", [{"max_live": 0}, {"max_live": 1.5}, {"max_live": 2, "reserved": 2}, {"reserved": 1}]
)
def test_lines_that_no_account_has_are_refused(options: dict[str, Any]) -> None:
    """When the limit is made; the message says which setting."""
    with pytest.raises(ConfigurationError, match=r"max_live|reserved"):
        SQLiteLimit("pace.db", 1, **options)


@pytest.mark.parametrize(("max_live", "reserved"), [(None, 0), (1, 0), (2, 1), (9, 0)])
def test_lines_that_an_account_may_have_are_taken(max_live: int | None, reserved: int) -> None:
    """From one on, and all but one may be left to interactive creates."""
    check_lines(max_live, reserved)


def test_news_add_up() -> None:
    """What is said later of a line holds; nothing else that was said is lost."""
    early = LineNews(
        placed={"a": "CA1", "b": "CA2"}, seen={"CA3"}, over={"CA4"}, full=True, looked=True
    )
    late = LineNews(placed={"b": "CA5"}, seen={"CA6"}, over={"CA7"})
    both = LineNews(
        placed={"a": "CA1", "b": "CA5"},
        seen={"CA3", "CA6"},
        over={"CA4", "CA7"},
        full=True,
        looked=True,
    )

    assert early.and_then(late) == both
    assert late.and_then(LineNews(full=True)) == attrs.evolve(late, full=True)
    assert not late.and_then(LineNews()).full


def test_what_is_missing_from_the_list_is_over_once_it_must_be_in_it() -> None:
    """After five seconds, or at once if it was in it before."""
    ages = {"CA1": 9.0, "CA2": 5.0, "CA3": 5.01, "CA4": math.inf, "a": 6.0, "b": 0.0}

    assert judge(ages, {"CA1"}) == LineNews(seen={"CA1"}, over={"CA3", "CA4", "a"}, looked=True)
    assert judge({}, set(), full=True) == LineNews(full=True, looked=True)


def test_a_line_is_as_old_as_the_clock_says() -> None:
    """A call that was seen is older than any wait, and so is one of a clock that was set back."""
    book = LineBook(held={"a": 5 * SECOND, "b": 7 * SECOND, "c": 8 * SECOND, "CA1": -1})

    assert book.ages(7 * SECOND) == {"a": 2, "b": 0, "c": math.inf, "CA1": math.inf}


def test_somebody_may_look_twice_in_a_second() -> None:
    """And at once where nobody has looked, or the clock was set back since."""
    book = LineBook(looked_at=SECOND)
    found = [book.may_look(SECOND + each) for each in (-1, 0, 1, 499_999, 500_000)]

    assert found == [True, False, False, False, True]
    assert LineBook().may_look(0)
    assert not LineBook(looked_at=-SECOND).may_look(SECOND + 1)
    assert LineBook(looked_at=-SECOND).may_look(SECOND - 1)


def test_a_book_is_written_and_read() -> None:
    """As text, whatever is in it."""
    book = LineBook()
    assert LineBook.from_json(None) == LineBook.from_json("") == book
    book.take(LineWish(name="a", max_live=2), 5 * SECOND)
    book.note(LineNews(seen={"CA1"}, full=True), 6 * SECOND)
    assert LineBook.from_json(book.to_json()) == book
    assert " " not in book.to_json()
    assert book.learned == 1


def test_a_line_more_is_tried_each_minute() -> None:
    """Up to those that were asked for; a refusal counts the calls that are known."""
    book = LineBook(learned=3, learned_at=0)
    found = [book.lines(6, seconds * SECOND) for seconds in (0, 59, 60, 125, 180, 10_000)]
    assert found == [3, 3, 4, 5, 6, 6]
    assert book.lines(2, 0) == 2
    book.note(LineNews(full=True), SECOND)
    assert book.lines(6, SECOND) == 1
