"""Methods that take one value or the fields that make it, typed from the value's own definition."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

P = ParamSpec("P")
ValueT = TypeVar("ValueT")
ResultT = TypeVar("ResultT")


class TakesFields(Generic[ValueT, P, ResultT]):
    """What a type checker sees: a method that takes a value, or the keywords that make one."""

    @overload
    def __call__(self, value: ValueT, /) -> ResultT: ...
    @overload
    def __call__(self, /, *args: P.args, **fields: P.kwargs) -> ResultT: ...
    def __call__(self, /, *args: Any, **fields: Any) -> ResultT:
        """Never called: at run time the method is a plain function."""
        raise TypeError(args, fields)  # pragma: no cover -- as said


def takes_fields(
    value_type: Callable[P, ValueT],
) -> Callable[[Callable[[Any, ValueT], ResultT]], TakesFields[ValueT, P, ResultT]]:
    """Let a method that takes a value also be called with the fields of that value.

    Type checkers read the keywords from the value's own ``__init__``, so that they are written
    once. A coroutine method refuses wrong fields when it is awaited, any other when it is called.
    """

    def decorate(method: Callable[[Any, ValueT], ResultT]) -> TakesFields[ValueT, P, ResultT]:
        def value_of(*args: P.args, **fields: P.kwargs) -> ValueT:
            if not args:
                return value_type(*args, **fields)
            value, *more = args
            wanted = cast("type[ValueT]", value_type)
            if more or fields or not isinstance(value, wanted):
                raise TypeError(
                    f"{method.__name__}() takes one {wanted.__name__}, or its fields as keywords, "
                    "not both"
                )
            return value

        def called(self: object, *args: P.args, **fields: P.kwargs) -> ResultT:
            return method(self, value_of(*args, **fields))

        async def _awaited(self: object, *args: P.args, **fields: P.kwargs) -> object:
            return await cast("Awaitable[object]", method(self, value_of(*args, **fields)))

        call = _awaited if iscoroutinefunction(method) else called
        return cast("TakesFields[ValueT, P, ResultT]", wraps(method)(call))

    return decorate
