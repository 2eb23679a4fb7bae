"""Methods that take one value or the fields that make it, typed from the value's own definition."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast, overload

import attrs

from conference_async.models import NewParticipant

P = ParamSpec("P")
ValueT = TypeVar("ValueT")
ResultT = TypeVar("ResultT")


def signature_with(method: Callable[..., object], value_type: Callable[..., object]) -> Signature:
    """Return a method's signature with the keywords of a value, for help and mocks.

    A field without a default shows ``...``: it must be given unless the value itself is.
    """
    fields = signature(value_type).parameters
    own = [
        each.replace(kind=Parameter.POSITIONAL_ONLY, default=None if place else Parameter.empty)
        for place, each in enumerate(signature(method).parameters.values())
        if each.kind is not Parameter.VAR_KEYWORD and each.name not in fields
    ]
    shown = [
        each.replace(default=...) if each.default is Parameter.empty else each
        for each in fields.values()
    ]
    return signature(method).replace(parameters=[*own, *shown])


class TakesFields(Generic[ValueT, P, ResultT]):
    """A method that takes a value, or the keywords that make one, as type checkers see it."""

    @overload
    def __call__(self, value: ValueT, /) -> ResultT: ...
    @overload
    def __call__(self, /, *args: P.args, **fields: P.kwargs) -> ResultT: ...
    @overload
    def __call__(self, none: None, /, *args: P.args, **fields: P.kwargs) -> ResultT: ...
    def __call__(self, /, *args: Any, **fields: Any) -> ResultT:
        """Never called: at run time the method is a plain function."""
        raise TypeError(args, fields)  # pragma: no cover -- as said


def takes_fields(
    value_type: Callable[P, ValueT],
) -> Callable[[Callable[[Any, ValueT], ResultT]], TakesFields[ValueT, P, ResultT]]:
    """Let a method that takes a value also be called with the fields of that value.

    Type checkers and `inspect.signature` read the keywords from the value's own ``__init__``, so
    that they are written once. A coroutine method refuses wrong fields when it is awaited, any
    other when it is called.
    """

    def decorate(method: Callable[[Any, ValueT], ResultT]) -> TakesFields[ValueT, P, ResultT]:
        def value_of(*args: P.args, **fields: P.kwargs) -> ValueT:
            return value_type(*args, **fields) if not args else _given(method, wanted, args, fields)

        def called(self: object, *args: P.args, **fields: P.kwargs) -> ResultT:
            return method(self, value_of(*args, **fields))

        async def _awaited(self: object, *args: P.args, **fields: P.kwargs) -> object:
            work: Any = method(self, value_of(*args, **fields))
            return await work

        wanted = cast("type[ValueT]", value_type)
        call = wraps(method)(_awaited if iscoroutinefunction(method) else called)
        call.__dict__["__signature__"] = signature_with(method, value_type)
        return cast("TakesFields[ValueT, P, ResultT]", call)

    return decorate


if TYPE_CHECKING:

    @attrs.frozen(kw_only=True)
    class NewIntent(NewParticipant):
        """The keywords of a create, as they are shown; nobody makes one."""

        once: str | None = None
        """The caller's name for the intent."""

else:  # a class of that many fields takes longer to make than most modules to load

    def NewIntent(**keywords: object) -> NoReturn:  # noqa: N802 -- stands for the class above
        """Never called: at run time its signature alone is of use."""
        raise TypeError(keywords)  # pragma: no cover -- as said

    _fields = signature(NewParticipant)
    _once = Parameter("once", Parameter.KEYWORD_ONLY, default=None, annotation=str | None)
    NewIntent.__signature__ = _fields.replace(parameters=[*_fields.parameters.values(), _once])


class TakesOnce(Generic[P, ResultT]):
    """A create, as type checkers see it: a value or its fields, and ``once=`` with either."""

    @overload
    def __call__(self, new: NewParticipant, /, *, once: str | None = None) -> ResultT: ...
    @overload
    def __call__(self, /, *args: P.args, **fields: P.kwargs) -> ResultT: ...
    @overload
    def __call__(self, none: None, /, *args: P.args, **fields: P.kwargs) -> ResultT: ...
    def __call__(self, /, *args: Any, **fields: Any) -> ResultT:
        """Never called: at run time the method is a plain function."""
        raise TypeError(args, fields)  # pragma: no cover -- as said


def takes_once(
    keywords: Callable[P, NewParticipant],
) -> Callable[[Callable[[Any, NewParticipant, str | None], ResultT]], TakesOnce[P, ResultT]]:
    """Let a method that takes a `NewParticipant` and a key also be called with the fields.

    Args:
        keywords: What they are read from, the key's among them.
    """

    def decorate(
        method: Callable[[Any, NewParticipant, str | None], ResultT],
    ) -> TakesOnce[P, ResultT]:
        def called(
            self: object,
            *args: object,
            once: str | None = None,
            **fields: Any,  # noqa: ANN401 -- checked when the value is made
        ) -> ResultT:
            new = _given(method, NewParticipant, args, fields) if args else NewParticipant(**fields)
            return method(self, new, once)

        async def _awaited(
            self: object,
            *args: object,
            once: str | None = None,
            **fields: Any,  # noqa: ANN401 -- checked when the value is made
        ) -> object:
            new = _given(method, NewParticipant, args, fields) if args else NewParticipant(**fields)
            work: Any = method(self, new, once)
            return await work

        call = wraps(method)(_awaited if iscoroutinefunction(method) else called)
        call.__dict__["__signature__"] = signature_with(method, keywords)
        return cast("TakesOnce[P, ResultT]", call)

    return decorate


def _given(
    method: Callable[..., object],
    wanted: type[ValueT],
    args: tuple[object, ...],
    fields: Mapping[str, object],
) -> ValueT:
    """Return the one value that a method was given in place of fields; None is in place of none.

    Raises:
        TypeError: It was given something else, or fields too.
    """
    value, *more = args
    if value is None and not more:  # the default of the signature that is shown
        make: Callable[..., ValueT] = wanted
        return make(**fields)
    if more or fields or not isinstance(value, wanted):
        raise TypeError(
            f"{method.__name__}() takes one {wanted.__name__}, or its fields as keywords, not both"
        )
    return value
