"""Where something lives: what is said there last, as its loop ends or goes on."""

import asyncio
import gc

import pytest

from conference_async.home import Home


def home() -> Home:
    """Return one on the running loop."""
    new = Home()
    new.settle("make one for each")
    return new


@pytest.mark.looptime
async def test_one_that_is_forgotten_ends_what_nobody_else_says() -> None:
    """A limit that nobody closed is collected while another one still tells what it has to."""
    said: list[str] = []

    async def say(what: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        said.append(what)

    other, forgotten = home(), home()
    words = other.last_words(lambda: say("the other's", 10))
    await forgotten.last_words(lambda: say("its own", 0))
    del forgotten
    gc.collect()
    await words

    assert said == ["its own", "the other's"]


@pytest.mark.looptime
async def test_a_loop_that_ends_waits_two_seconds_for_what_does_not_end() -> None:
    """A store may be gone for long, and the process has to come to its end."""
    loop = asyncio.get_running_loop()
    said: list[float] = []

    async def say(seconds: float) -> None:
        await asyncio.sleep(seconds)
        said.append(loop.time())

    one, another = home(), home()
    words = [one.last_words(lambda: say(1)), another.last_words(lambda: say(100))]
    await asyncio.sleep(0)
    await loop.shutdown_asyncgens()

    assert (said, loop.time()) == ([1], 2)
    assert [each.cancelled() for each in words] == [False, True]
