"""The line that creates wait in."""

import asyncio

import pytest

from conference_async.line import Line, Priority, next_ticket


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

    assert (await crowd.serve(13)).index("bulk") == Line.PATIENCE


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
    """Who waits for the front, and who holds it, is ahead; lower priorities are not."""
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
