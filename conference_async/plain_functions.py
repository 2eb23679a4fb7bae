"""Functions of the application: those that are never awaited, and those that should be."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import TypeVarTuple

from conference_async.errors import ConfigurationError

Ts = TypeVarTuple("Ts")


def check_callable(name: str, function: object) -> None:
    """Refuse what cannot be called.

    Args:
        name: What the application gives it for: a parameter or method.
        function: What it gave.

    Raises:
        ConfigurationError: It cannot.
    """
    if not callable(function):
        raise ConfigurationError(f"{name} must be a function, not {type(function).__name__}")


def check_plain(name: str, function: Callable[..., object], *, instead: str = "") -> None:
    """Refuse an async function, which would be called and never run.

    Objects with an async ``__call__``, bound methods, partials and async generators count too. A
    plain function that returns a coroutine is found out by `failure_of`.

    Args:
        name: What the application gives the function for: a parameter or method.
        function: What it gave.
        instead: What to do about it, as a sentence's end; by default: to start a task.

    Raises:
        ConfigurationError: It is async, or cannot be called.
    """
    check_callable(name, function)
    if is_async(function):
        way = instead or "give it a function that starts a task, and keep the task"
        raise ConfigurationError(
            f"{name} calls its function and does not await it, so an async one would never run; "
            f"{way}"
        )


def is_async(function: object) -> bool:
    """Return whether calling `function` runs nothing until somebody awaits or iterates it."""
    while isinstance(function, functools.partial):
        function = function.func
    called = getattr(type(function), "__call__", None)  # noqa: B004 - what it is matters, not if
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (function, called)
    )


async def finished(result: object) -> None:
    """Await what a function of the application returned, if there is anything to await.

    One that should be async and is plain has done its work by then: it must not be taken to have
    failed, and be called again for it.
    """
    if inspect.isawaitable(result):
        await result


def failure_of(function: Callable[[*Ts], object], *arguments: *Ts) -> BaseException | None:
    """Call a plain function of the application; return what it raised, or None.

    A `asyncio.CancelledError` is a failure like any other: nothing awaits here, so it cannot be
    the cancellation of the task that runs. A coroutine that comes back is closed, and a failure.
    """
    try:
        result = function(*arguments)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the caller says what follows
        return error
    if result is None:  # as it should be
        return None
    if inspect.iscoroutine(result):
        result.close()
    elif not inspect.isasyncgen(result):
        return None
    return TypeError(f"{function!r} returned what nobody awaits: it must be a plain function")
