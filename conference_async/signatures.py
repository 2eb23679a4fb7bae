"""Methods that take one value or the fields that make it, typed from the value's own definition."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

P = ParamSpec("P")
ValueT = TypeVar("ValueT")
ValueT_contra = TypeVar("ValueT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)
OwnerT = TypeVar("OwnerT")


class TakesFields(Protocol[ValueT_contra, P, ResultT_co]):
    """An awaited method that takes one value, or the keywords that make one."""

    @overload
    def __call__(self, value: ValueT_contra, /) -> Coroutine[Any, Any, ResultT_co]: ...
    @overload
    def __call__(self, /, *args: P.args, **fields: P.kwargs) -> Coroutine[Any, Any, ResultT_co]: ...


def takes_fields(
    value_type: Callable[P, ValueT],
) -> Callable[[Callable[[OwnerT, ValueT], Awaitable[ResultT]]], TakesFields[ValueT, P, ResultT]]:
    """Let a method that takes a value also be called with the fields of that value.

    Type checkers read the keywords from the value's own ``__init__``, so that they are written
    once.
    """

    def decorate(
        method: Callable[[OwnerT, ValueT], Awaitable[ResultT]],
    ) -> TakesFields[ValueT, P, ResultT]:
        @wraps(method)
        async def call(self: OwnerT, *args: P.args, **fields: P.kwargs) -> ResultT:
            if len(args) == 1 and not fields:
                return await method(self, cast("ValueT", args[0]))
            return await method(self, value_type(*args, **fields))

        return cast("TakesFields[ValueT, P, ResultT]", call)

    return decorate
