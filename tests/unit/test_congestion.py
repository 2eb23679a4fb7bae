"""Places, the shared back-off and the retry budget, in virtual time."""

import asyncio
import itertools

import pytest

from conference_async.errors import ConfigurationError, ConnectionFailed
from conference_async.sending.attempts import AttemptOutcome, Ending
from conference_async.sending.congestion import Congestion, RetryBudget
from conference_async.sending.retry import RetryPolicy

pytestmark = pytest.mark.looptime

NO_DELAY = RetryPolicy(base=0)


async def hold(congestion: Congestion, seconds: float = 1.0) -> float:
    """Take a place, keep it for a while, and return when it was taken."""
    await congestion.enter()
    entered = asyncio.get_running_loop().time()
    try:
        await asyncio.sleep(seconds)
    finally:
        congestion.leave()
    return entered


async def test_no_more_requests_than_places_are_under_way() -> None:
    """The others wait for a place in the order they came."""
    congestion = Congestion(2, NO_DELAY)

    assert await asyncio.gather(*(hold(congestion) for _ in range(5))) == [0, 0, 1, 1, 2]
    assert congestion.busy == 0


async def test_a_waiter_that_is_cancelled_takes_no_place() -> None:
    """The next in line gets what would have been its place."""
    congestion = Congestion(1, NO_DELAY)
    tasks = [asyncio.create_task(hold(congestion)) for _ in range(3)]
    await asyncio.sleep(0.5)
    tasks[1].cancel()

    assert [await tasks[0], await tasks[2]] == [0, 1]
    assert tasks[1].cancelled()
    assert congestion.busy == 0


async def test_a_place_that_was_handed_over_is_not_lost_with_its_waiter() -> None:
    """Cancelled between being let in and waking up, it goes to the next."""
    congestion = Congestion(1, NO_DELAY)
    await congestion.enter()
    first, second = (asyncio.create_task(hold(congestion)) for _ in range(2))
    await asyncio.sleep(0)

    congestion.leave()
    first.cancel()

    assert await second == 0
    assert first.cancelled()
    assert congestion.busy == 0


async def test_a_429_halves_the_places_and_successes_win_them_back() -> None:
    """Fast down, slowly up, never above the most, never below one."""
    congestion = Congestion(8, NO_DELAY)

    congestion.refused()
    assert congestion.places == 4
    for _ in range(5):
        congestion.refused()
    assert congestion.places == 1
    for _ in range(100):
        congestion.succeeded()
    assert congestion.places == 8


async def test_as_many_successes_as_there_are_places_win_one_back() -> None:
    """The number of requests at once grows with what the service has done, not by itself."""
    congestion = Congestion(8, NO_DELAY)
    congestion.refused()

    for _ in range(4):
        congestion.succeeded()
    assert congestion.places == 4
    congestion.succeeded()
    assert congestion.places == 5


@pytest.mark.parametrize("outcome", [AttemptOutcome.DONE, AttemptOutcome.REFUSED])
async def test_an_attempt_that_was_answered_counts_as_a_success(outcome: AttemptOutcome) -> None:
    """The service did its work, even where it refused."""
    congestion = Congestion(2, NO_DELAY)
    congestion.refused()
    congestion.budget.spend()
    for _ in range(2):
        await congestion.enter()
        congestion.leave(Ending(outcome))

    assert congestion.places == 2
    for _ in range(9):
        assert congestion.budget
        congestion.budget.spend()


async def test_an_attempt_that_met_a_429_holds_up_the_others() -> None:
    """For as long as the service asked, with half the places, and as news of somebody there."""
    congestion = Congestion(8, NO_DELAY)
    congestion.missed()
    await congestion.enter()
    congestion.leave(Ending(AttemptOutcome.TOO_MANY, 20429, 5.0))

    assert congestion.pause() == 5
    assert congestion.places == 2
    assert await asyncio.gather(*(hold(congestion) for _ in range(2))) == [5, 5]
    congestion.missed()
    assert congestion.misses == 2


async def test_a_back_off_that_begins_while_they_wait_for_a_place_holds_them_up_too() -> None:
    """The place that comes free is not used before the service has been given its time."""
    congestion = Congestion(1, NO_DELAY)
    first = asyncio.create_task(hold(congestion, 1))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(hold(congestion))
    await asyncio.sleep(0.5)
    congestion.refused(retry_after=5)

    assert [await first, await waiting] == [0, 5.5]
    assert congestion.busy == 0


async def test_who_waits_for_a_place_is_cancelled_as_it_comes_free() -> None:
    """The cancellation comes out, and the place is free."""
    congestion = Congestion(1, NO_DELAY)
    await congestion.enter()
    waiting = asyncio.create_task(congestion.enter())
    await asyncio.sleep(0)
    waiting.cancel()
    congestion.leave()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert congestion.busy == 0


async def test_everybody_waits_out_the_same_back_off() -> None:
    """The pause that the service asks for is kept, and a longer wish extends it."""
    congestion = Congestion(16, NO_DELAY)
    congestion.refused(retry_after=5)
    waiting = asyncio.create_task(hold(congestion))
    await asyncio.sleep(1)
    assert congestion.pause() == 4

    congestion.refused(retry_after=7)

    assert await hold(congestion) == 8
    assert await waiting == 8
    assert congestion.pause() == 0


async def test_who_is_cancelled_in_the_back_off_gives_the_place_back() -> None:
    """Nothing is held by somebody who is gone."""
    congestion = Congestion(1, NO_DELAY)
    congestion.refused(retry_after=5)
    waiting = asyncio.create_task(hold(congestion))
    await asyncio.sleep(1)
    waiting.cancel()

    assert await hold(congestion) == 5
    assert congestion.busy == 0


async def test_requests_that_left_before_the_back_off_count_once() -> None:
    """Fifty answers of 429 to one burst are one piece of news."""
    congestion = Congestion(32, RetryPolicy(base=8, maximum=8))
    while congestion.pause() == 0:  # full jitter may draw a zero
        congestion.refused()
    places, pause = congestion.places, congestion.pause()

    for _ in range(50):
        congestion.refused()

    assert (congestion.places, congestion.pause()) == (places, pause)


async def test_back_offs_grow_until_something_succeeds() -> None:
    """Each failure after the last pause doubles the bound; a success starts over."""
    congestion = Congestion(4, RetryPolicy(base=1, maximum=64))
    longest = [0.0] * 7
    for _ in range(50):
        for failures in range(7):
            congestion.refused()
            longest[failures] = max(longest[failures], congestion.pause())
            await asyncio.sleep(congestion.pause() + 1e-6)
        congestion.succeeded()

    for failures, pause in enumerate(longest):
        assert 2**failures * 0.7 < pause <= 2**failures


async def test_who_wakes_a_tick_early_and_fails_at_once_backs_off_again() -> None:
    """Or an attempt refused in no time would be repeated in the same instant, to the last one."""
    for _ in range(20):
        congestion = Congestion(2**20, RetryPolicy(base=1))
        for failures in range(1, 11):
            congestion.refused()
            assert congestion.places == 2 ** (20 - failures)
            await hold(congestion, 0)


async def test_many_who_give_up_waiting_leave_nothing_behind() -> None:
    """However long the place is taken, only those who wait are kept."""
    congestion = Congestion(1, NO_DELAY)
    await congestion.enter()
    tasks = [asyncio.create_task(congestion.enter()) for _ in range(1000)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert len(congestion._waiting) == 0


class Service:
    """A service that can be reached or not, and remembers when somebody tried."""

    def __init__(self, congestion: Congestion, *, back_at: float) -> None:
        self._congestion = congestion
        self._back_at = back_at
        self.tried: list[float] = []
        self.at_once = self.most_at_once = 0

    async def ask(self, attempts: int | None = None) -> float:
        """Try until it answers; return when it did."""
        congestion, now = self._congestion, asyncio.get_running_loop().time
        last_miss = None if attempts is None else congestion.misses + attempts
        while True:
            await congestion.enter(last_miss)
            self.tried.append(now())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0.01)
            self.at_once -= 1
            if now() >= self._back_at:
                congestion.leave(Ending(AttemptOutcome.DONE))
                return now()
            congestion.leave(Ending(AttemptOutcome.NOT_LEFT), "OSError: nobody is there")


async def test_one_at_a_time_probes_a_service_that_is_gone_and_all_go_on_when_it_answers() -> None:
    """At pauses of at most a second, however long it was gone, and with no storm at its return."""
    congestion = Congestion(50, RetryPolicy())
    service = Service(congestion, back_at=60)
    with pytest.raises(ConnectionFailed):
        await service.ask(attempts=1)

    answered = await asyncio.gather(*(service.ask() for _ in range(40)))

    during = [tried for tried in service.tried if tried < 59.98]
    pauses = [later - earlier for earlier, later in itertools.pairwise(during[4:])]
    assert all(0.5 < pause <= 1.02 for pause in pauses)
    assert min(answered) < 61.1
    assert max(answered) < 61.5
    assert service.most_at_once < 12
    assert congestion.busy == 0


async def test_whoever_is_in_a_hurry_fails_with_what_others_met() -> None:
    """Four failed probes are enough for all who waited for them, not four for each."""
    congestion = Congestion(50, RetryPolicy())
    service = Service(congestion, back_at=1e9)
    begun = asyncio.get_running_loop().time()

    fates = await asyncio.gather(
        *(service.ask(attempts=4) for _ in range(1000)), return_exceptions=True
    )

    assert asyncio.get_running_loop().time() - begun < 2.6
    assert len(service.tried) <= 50 + 4  # those who were let in before anybody knew
    assert all(isinstance(fate, ConnectionFailed) for fate in fates)
    assert "OSError: nobody is there" in str(fates[-1])
    assert congestion.busy == 0


async def test_whoever_is_alone_tries_as_often_as_it_may() -> None:
    """Three attempts are three, and the error counts them and says what they met."""
    congestion = Congestion(8, RetryPolicy(base=0))
    service = Service(congestion, back_at=1e9)

    with pytest.raises(ConnectionFailed, match=r"\(OSError: nobody is there\), 3 times in a row"):
        await service.ask(attempts=3)

    assert len(service.tried) == congestion.misses == 3
    assert congestion.places == 1


async def test_connections_that_fail_together_count_once() -> None:
    """What was under way when the pause began says nothing new."""
    congestion = Congestion(8, RetryPolicy(base=1))
    while congestion.pause() == 0:  # the jitter may draw a zero
        congestion.missed()
    misses, places = congestion.misses, congestion.places

    for _ in range(50):
        congestion.missed()

    assert (congestion.misses, congestion.places) == (misses, places)


async def test_a_prober_counts_beside_those_under_way() -> None:
    """It takes a place of its own, whatever hangs on the others."""
    congestion = Congestion(2, RetryPolicy(base=0))
    await congestion.enter()
    await congestion.enter()
    congestion.missed()

    await congestion.enter()
    assert congestion.busy == 3
    congestion.leave()
    assert congestion.busy == 2


async def test_whoever_hung_from_before_lets_no_second_one_probe() -> None:
    """It says nothing of the service as it gives up; once one is answered, nobody has to wait."""
    congestion = Congestion(8, RetryPolicy(base=0))

    async def answered() -> None:
        await congestion.enter()
        await asyncio.sleep(2)
        congestion.leave(Ending(AttemptOutcome.DONE))

    tasks = [asyncio.create_task(answered()), asyncio.create_task(hold(congestion, 1))]
    await asyncio.sleep(0)
    congestion.missed()
    tasks += [asyncio.create_task(hold(congestion, 50)) for _ in range(3)]
    found = list[int]()
    for _ in range(3):
        await asyncio.sleep(0.75)
        found.append(congestion.busy)

    assert found == [3, 2, 3]  # both and the prober; one of them; and then all three
    await asyncio.gather(*tasks)
    assert congestion.busy == 0


async def test_a_prober_that_is_cancelled_is_followed_by_another() -> None:
    """Nobody waits for what will not come."""
    congestion = Congestion(2, RetryPolicy(base=0))
    congestion.missed()
    prober = asyncio.create_task(hold(congestion, 100))
    await asyncio.sleep(0)
    other = asyncio.create_task(hold(congestion, 0))
    await asyncio.sleep(1)
    prober.cancel()

    assert await other == 1
    assert congestion.busy == 0


async def test_an_answer_of_any_kind_ends_an_outage() -> None:
    """A 500 is no success, but somebody is there."""
    congestion = Congestion(8, RetryPolicy())
    congestion.missed()
    await congestion.enter()
    congestion.leave(Ending(AttemptOutcome.SERVER_ERROR))
    begun = asyncio.get_running_loop().time()

    assert await asyncio.gather(*(hold(congestion) for _ in range(4))) == [begun] * 4
    congestion.missed()
    with pytest.raises(ConnectionFailed, match="nothing was sent"):
        await congestion.enter(last_miss=congestion.misses)


def test_places_of_a_loop_that_is_gone_are_free_under_another() -> None:
    """A request under way when its loop was dropped never ends, and holds nothing up."""
    congestion = Congestion(1, RetryPolicy())

    async def dropped() -> None:
        await congestion.enter()
        congestion.refused(retry_after=1e6)

    asyncio.run(dropped())
    asyncio.run(hold_once(congestion))

    assert congestion.busy == 0


async def test_places_are_not_shared_by_two_running_loops() -> None:
    """Each loop makes its own client, and the error says so."""
    congestion = Congestion(1, RetryPolicy())
    assert congestion.busy == 0
    await congestion.enter()

    told = r"^this client is in use on another running event loop; make one for each loop$"
    with pytest.raises(ConfigurationError, match=told):
        await asyncio.to_thread(asyncio.run, hold_once(congestion))


async def hold_once(congestion: Congestion) -> None:
    """Take a place within a second, and free it."""
    async with asyncio.timeout(1):
        await hold(congestion, 0)


def test_retries_are_paid_for_by_successes() -> None:
    """Ten to start with, a tenth for each success, and no more than ten are saved up."""
    budget = RetryBudget()
    for _ in range(10):
        assert budget
        budget.spend()
    assert not budget

    for _ in range(11):  # ten tenths may sum to a little less than one
        budget.earn()
    assert budget
    budget.spend()
    assert not budget

    for _ in range(1000):
        budget.earn()
    for _ in range(10):
        assert budget
        budget.spend()
    assert not budget


async def test_a_back_off_shorter_than_a_tick_is_over() -> None:
    """A loop's clock may never come to its end, and would be asked without end."""
    congestion = Congestion(1, NO_DELAY)
    congestion.refused(retry_after=3e-7)

    assert congestion.pause() == 0
    assert await hold(congestion) == 0
