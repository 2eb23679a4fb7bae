"""Callbacks that are not awaited are plain functions, and their failures are their own."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from conference_async.errors import ConfigurationError
from conference_async.plain_functions import check_plain, failure_of


async def a_coroutine(*_: object) -> None:
    """Do nothing, once it is awaited."""


async def a_generator(*_: object) -> AsyncGenerator[None, None]:
    """Yield nothing, once it is iterated."""
    yield


class Listener:
    """An object that is called."""

    async def __call__(self, *_: object) -> None:
        """Do nothing, once it is awaited."""

    async def method(self, *_: object) -> None:
        """Do nothing, once it is awaited."""

    @classmethod
    async def of_the_class(cls, *_: object) -> None:
        """Do nothing, once it is awaited."""

    @staticmethod
    async def of_nobody(*_: object) -> None:
        """Do nothing, once it is awaited."""


ASYNC: dict[str, Callable[..., object]] = {
    "function": a_coroutine,
    "generator": a_generator,
    "object": Listener(),
    "method": Listener().method,
    "class method": Listener.of_the_class,
    "static method": Listener.of_nobody,
    "partial": functools.partial(a_coroutine, 1),
    "partial of a partial": functools.partial(functools.partial(a_coroutine, 1), 2),
    "partial of an object": functools.partial(Listener(), 1),
    "partial of a method": functools.partial(Listener().method, 1),
    "mock": AsyncMock(),
}


@pytest.mark.parametrize("function", ASYNC.values(), ids=ASYNC)
def test_an_async_function_is_refused(function: Callable[..., object]) -> None:
    """An async function in any form is refused, and the message names what it was given for."""
    with pytest.raises(ConfigurationError, match=r"^on_attempt calls its function and does not"):
        check_plain("on_attempt", function)


class Plain:
    """An object that is called; only its other method is async."""

    def __call__(self, *_: object) -> None:
        """Do nothing."""

    async def other(self) -> None:
        """Do nothing, once it is awaited."""


@pytest.mark.parametrize(
    "function", [print, [].append, Plain(), functools.partial(print, 1), list, lambda *_: None]
)
def test_a_plain_function_is_fine(function: Callable[..., object]) -> None:
    """Functions, methods, objects, partials, classes and lambdas."""
    check_plain("listen", function)

    assert failure_of(function, ()) is None


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
def test_a_failure_comes_back(error: BaseException) -> None:
    """A cancellation that a plain function passes on is a failure, and cancels nobody."""

    def fail(_: int) -> None:
        raise error

    assert failure_of(fail, 1) is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_program_is_no_failure(error: type[BaseException]) -> None:
    """An exception that ends the program passes."""

    def fail() -> None:
        raise error

    with pytest.raises(error):
        failure_of(fail)


@pytest.mark.parametrize("function", [a_coroutine, a_generator])
def test_what_nobody_awaits_is_a_failure(function: Callable[..., Any]) -> None:
    """A lambda around an async function can be seen only by what it returns."""
    failure = failure_of(lambda: function())  # noqa: PLW0108 - the lambda is the point

    assert isinstance(failure, TypeError)
    assert "returned what nobody awaits" in str(failure)


async def test_a_task_is_fine() -> None:
    """A plain function may start one and return it."""
    started: list[asyncio.Task[None]] = []

    def start() -> asyncio.Task[None]:
        started.append(asyncio.ensure_future(a_coroutine()))
        return started[-1]

    assert failure_of(start) is None
    await started[0]


def test_what_cannot_be_called_is_refused() -> None:
    """When it is given, not when it would be called."""
    with pytest.raises(ConfigurationError, match=r"^on_attempt must be a function, not int$"):
        check_plain("on_attempt", 5)  # type: ignore[arg-type]  # a mistake
