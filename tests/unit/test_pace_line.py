"""The line that creates wait in."""

import asyncio
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conference_async.pace.line import Line, Priority, next_ticket


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Tasks in line, and the order in which they got the front."""

    def __init__(self) -> None:
        self.line = Line()
        self.served: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def join(
        self, name: str, priority: Priority = Priority.INTERACTIVE, ticket: int | None = None
    ) -> None:
        """Put somebody in line."""

        async def stand() -> None:
            await self.line.enter(priority, next_ticket() if ticket is None else ticket)
            self.served.append(name)

        self.tasks[name] = asyncio.create_task(stand())

    async def serve(self, times: int) -> list[str]:
        """Hand the front on so many times; return who got it."""
        before = len(self.served)
        for _ in range(times):
            self.line.leave()
            await settle()
        return self.served[before:]


@pytest.fixture
async def crowd() -> Crowd:
    """Return a line whose front is taken."""
    crowd = Crowd()
    await crowd.line.enter(Priority.INTERACTIVE, next_ticket())
    return crowd


async def test_first_come_first_served_within_a_priority(crowd: Crowd) -> None:
    """Equal priorities are served in the order of their tickets."""
    for name in "abc":
        crowd.join(name)
    await settle()

    assert await crowd.serve(3) == ["a", "b", "c"]


async def test_an_interactive_create_passes_all_bulk_ones(crowd: Crowd) -> None:
    """A newcomer that somebody waits for gets the very next turn."""
    for number in range(100):
        crowd.join(f"bulk{number}", Priority.BULK)
    await settle()
    crowd.join("bot")
    await settle()

    assert await crowd.serve(2) == ["bot", "bulk0"]


async def test_bulk_is_never_starved(crowd: Crowd) -> None:
    """After nine interactive creates in a row a bulk one gets its turn."""
    crowd.join("bulk", Priority.BULK)
    for number in range(12):
        crowd.join(str(number))
    await settle()

    assert (await crowd.serve(13)).index("bulk") == Line.IN_A_ROW


async def test_bulk_gets_every_tenth_turn(crowd: Crowd) -> None:
    """The count of interactive creates begins again after each bulk one, not earlier or later."""
    for number in range(3):
        crowd.join(f"bulk{number}", Priority.BULK)
    for number in range(30):
        crowd.join(str(number))
    await settle()

    served = await crowd.serve(30)

    assert [served.index(f"bulk{number}") for number in range(3)] == [9, 19, 29]


async def test_a_repeated_attempt_keeps_its_place(crowd: Crowd) -> None:
    """An older ticket goes before younger ones that joined earlier."""
    old = next_ticket()
    crowd.join("young")
    await settle()
    crowd.join("old", ticket=old)
    await settle()

    assert await crowd.serve(2) == ["old", "young"]


async def test_who_is_cancelled_costs_nobody_a_turn(crowd: Crowd) -> None:
    """A cancelled waiter is skipped, also when the front was just handed to it."""
    for name in ("first", "second", "third"):
        crowd.join(name)
    await settle()
    crowd.tasks["first"].cancel()
    await settle()
    crowd.line.leave()
    crowd.tasks["second"].cancel()
    await settle()

    assert crowd.served == ["third"]


async def test_the_count_of_those_ahead_is_right(crowd: Crowd) -> None:
    """Those ahead are the one at the front and all who wait, but for lower priorities."""
    crowd.join("bulk", Priority.BULK)
    crowd.join("gone")
    crowd.join("bot")
    await settle()
    crowd.tasks["gone"].cancel()
    await settle()

    assert crowd.line.ahead(Priority.INTERACTIVE) == 2
    assert crowd.line.ahead(Priority.BULK) == 3
    assert crowd.line.waiting() == 2


async def test_cancelled_waiters_leave_no_memory_behind(crowd: Crowd) -> None:
    """Ten thousand that gave up do not stay in the heap."""
    crowd.join("stays", Priority.BULK)
    for number in range(10_000):
        crowd.join(f"goes{number}", Priority.BULK)
    await settle()
    for name, task in crowd.tasks.items():
        if name != "stays":
            task.cancel()
    await settle()

    assert len(crowd.line._heaps[Priority.BULK]) <= 3
    assert await crowd.serve(1) == ["stays"]


async def test_an_empty_line_is_entered_at_once(crowd: Crowd) -> None:
    """When the last one leaves, the front is free."""
    crowd.line.leave()

    await asyncio.wait_for(crowd.line.enter(Priority.BULK, next_ticket()), 1)
    assert crowd.line.ahead(Priority.INTERACTIVE) == 1


class Model:
    """A line as it is meant to be, written without a heap."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Priority, int]] = []
        self.front: tuple[Priority, int] | None = None
        self.in_a_row = 0

    def next_in_line(self) -> None:
        """Let the next one have the front."""
        bulk_first = self.in_a_row >= Line.IN_A_ROW
        order = sorted(self.waiting, key=lambda each: (-each[0] if bulk_first else each[0], each))
        self.front = order[0] if order else None
        if self.front is not None:
            self.waiting.remove(self.front)
            self.in_a_row = 0 if self.front[0] is Priority.BULK else self.in_a_row + 1

    def ahead(self, priority: Priority) -> int:
        """Return how many come before a newcomer."""
        before = [each for each in self.waiting if each[0] <= priority]
        return len(before) + (self.front is not None)


class Both:
    """A line and its model, to which the same is done."""

    def __init__(self, seed: int) -> None:
        self.line, self.model, self.dice = Line(), Model(), random.Random(seed)
        self.served: list[tuple[Priority, int]] = []
        self.tasks: dict[tuple[Priority, int], asyncio.Task[None]] = {}

    def join(self, priority: Priority, ticket: int) -> None:
        """Let somebody come."""

        async def stand() -> None:
            await self.line.enter(priority, ticket)
            self.served.append((priority, ticket))

        self.tasks[priority, ticket] = asyncio.create_task(stand())
        if self.model.front is None:
            self.model.front = priority, ticket
        else:
            self.model.waiting.append((priority, ticket))

    def leave(self) -> None:
        """Let the one at the front go, if there is one."""
        if self.model.front:
            self.model.next_in_line()
            self.line.leave()

    async def cancel(self) -> None:
        """Let somebody who waits give up, if anybody does."""
        if not self.model.waiting:
            return
        gone = self.dice.choice(self.model.waiting)
        self.model.waiting.remove(gone)
        self.tasks[gone].cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.tasks[gone]
        count = sum(each[0] is gone[0] for each in self.model.waiting)
        assert len(self.line._heaps[gone[0]]) <= 2 * count

    def compare(self) -> None:
        """Check that both say the same."""
        for priority in Priority:
            count = sum(each[0] is priority for each in self.model.waiting)
            assert self.line.waiting(priority) == count
            assert self.line.ahead(priority) == self.model.ahead(priority)
        assert self.line.waiting() == len(self.model.waiting)
        assert not self.model.front or self.served[-1] == self.model.front


@given(st.lists(st.sampled_from(["bulk", "bulk", "bot", "bot", "leave", "cancel"]), max_size=60))
@example(["bulk"] * 4 + ["cancel"] * 2)
def test_a_line_does_what_is_said_of_it(steps: list[str]) -> None:
    """Joining, leaving and cancelling in any order bring the right one to the front."""

    async def follow() -> None:
        both = Both(len(steps))
        both.compare()
        for number, step in enumerate(steps):
            match step:
                case "leave":
                    both.leave()
                case "cancel":
                    await both.cancel()
                case _:
                    priority = Priority.BULK if step == "bulk" else Priority.INTERACTIVE
                    both.join(priority, both.dice.randrange(1000) * 1000 + number)
            await settle()
            both.compare()
        for task in both.tasks.values():
            task.cancel()
        await asyncio.gather(*both.tasks.values(), return_exceptions=True)

    asyncio.run(follow())
