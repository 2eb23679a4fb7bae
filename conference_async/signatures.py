"""Methods that take one value or the fields that make it, typed from the value's own definition."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

P = ParamSpec("P")
ValueT = TypeVar("ValueT")
ResultT = TypeVar("ResultT")


class TakesFields(Generic[ValueT, P, ResultT]):
    """What a type checker sees: a method that takes a value, or the keywords that make one."""

    @overload
    def __call__(self, value: ValueT, /) -> Coroutine[Any, Any, ResultT]: ...
    @overload
    def __call__(self, /, *args: P.args, **fields: P.kwargs) -> Coroutine[Any, Any, ResultT]: ...
    def __call__(self, /, *args: Any, **fields: Any) -> Coroutine[Any, Any, ResultT]:
        """Never called: at run time the method is a plain function."""
        raise TypeError(args, fields)  # pragma: no cover -- as said


def takes_fields(
    value_type: Callable[P, ValueT],
) -> Callable[[Callable[[Any, ValueT], Awaitable[ResultT]]], TakesFields[ValueT, P, ResultT]]:
    """Let a method that takes a value also be called with the fields of that value.

    Type checkers read the keywords from the value's own ``__init__``, so that they are written
    once.
    """

    def decorate(
        method: Callable[[Any, ValueT], Awaitable[ResultT]],
    ) -> TakesFields[ValueT, P, ResultT]:
        @wraps(method)
        async def call(self: object, *args: P.args, **fields: P.kwargs) -> ResultT:
            if not args:
                return await method(self, value_type(*args, **fields))
            if len(args) > 1 or fields:
                raise TypeError(f"{method.__name__}() takes one value, or keywords, not both")
            return await method(self, cast("ValueT", args[0]))

        return cast("TakesFields[ValueT, P, ResultT]", call)

    return decorate
