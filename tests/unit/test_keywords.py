"""Methods that take a value or its fields."""

import inspect
import pydoc
from typing import Any
from unittest.mock import create_autospec

import attrs
import pytest

from conference_async import (
    ConferenceChange,
    ConferenceClient,
    ConferenceHandle,
    NewParticipant,
    ParticipantChange,
    ParticipantHandle,
    Participants,
)
from conference_async.keywords import NewIntent, takes_fields
from conference_async.sending.options import Options


@attrs.frozen(kw_only=True)
class Order:
    """Something with fields."""

    what: str
    count: int = 1


class Shop:
    """Something with such a method."""

    @takes_fields(Order)
    async def order(self, order: Order) -> list[tuple["Shop", Order]]:
        """Buy something."""
        return [(self, order)]

    @takes_fields(Order)
    def price(self, order: Order) -> int:
        """Say what it costs, at once."""
        return order.count * len(order.what)


async def test_a_value_or_its_fields_are_taken() -> None:
    """The method itself only ever sees the value."""
    shop, tea = Shop(), Order(what="tea", count=2)

    assert await shop.order(tea) == [(shop, tea)]
    assert await shop.order(what="tea", count=2) == [(shop, tea)]


def test_a_method_that_is_not_awaited_takes_them_too() -> None:
    """It stays what it was: called, it returns its result."""
    assert Shop().price(Order(what="tea", count=2)) == Shop().price(what="tea", count=2) == 6
    assert not inspect.iscoroutinefunction(Shop.price)


async def test_fields_are_checked_by_the_value() -> None:
    """A misspelt or missing field is the TypeError that the value raises."""
    shop = Shop()

    with pytest.raises(TypeError, match="wat"):
        await shop.order(wat="tea")  # type: ignore[call-overload] # the point of the test
    with pytest.raises(TypeError, match="what"):
        await shop.order()  # type: ignore[call-overload] # the point of the test


async def test_a_value_and_fields_together_are_refused() -> None:
    """So are two values: nobody could say which one holds."""
    shop, tea = Shop(), Order(what="tea")

    with pytest.raises(
        TypeError, match=r"order\(\) takes one Order, or its fields as keywords, not both"
    ):
        await shop.order(tea, count=2)  # type: ignore[call-overload] # the point of the test
    with pytest.raises(TypeError, match="not both"):
        await shop.order(tea, tea)  # type: ignore[call-overload] # the point of the test


async def test_none_is_no_value() -> None:
    """As the signature has it: whoever passes on what they were given need not look at it."""
    shop, tea = Shop(), Order(what="tea", count=2)

    assert await shop.order(None, what="tea", count=2) == [(shop, tea)]
    assert shop.price(None, what="tea") == 3
    with pytest.raises(TypeError, match="what"):
        await shop.order(None)  # type: ignore[call-overload] # the point of the test
    with pytest.raises(TypeError, match="not both"):
        await shop.order(None, tea)  # type: ignore[call-overload] # the point of the test


async def test_what_is_no_such_value_is_refused() -> None:
    """A dictionary, say, or a field without its name."""
    for value in ({"what": "tea"}, "tea"):
        with pytest.raises(TypeError, match=r"order\(\) takes one Order"):
            await Shop().order(value)  # type: ignore[call-overload] # the point of the test


def test_the_method_keeps_its_name_and_docstring() -> None:
    """Help and tracebacks show the method that was written."""
    assert inspect.getdoc(Shop.order) == "Buy something."
    assert getattr(Shop.order, "__name__", "") == "order"
    assert inspect.iscoroutinefunction(Shop.order)


METHODS: list[tuple[Any, type, str]] = [
    (Participants.create, NewIntent, "new"),
    (ParticipantHandle.update, ParticipantChange, "change"),
    (ConferenceHandle.update, ConferenceChange, "change"),
    (ConferenceHandle.participant, NewIntent, "new"),
]


@pytest.mark.parametrize(("method", "value_type", "name"), METHODS)
def test_the_signature_shows_every_keyword(method: Any, value_type: type, name: str) -> None:
    """Help, and editors at run time, see what can be given, with its type and default."""
    shown = inspect.signature(method)
    fields = inspect.signature(value_type).parameters

    assert list(shown.parameters) == ["self", name, *fields]
    for field, wanted in fields.items():
        given = shown.parameters[field]
        assert given.kind is inspect.Parameter.KEYWORD_ONLY
        assert given.annotation == wanted.annotation
        assert given.default == (
            ... if wanted.default is inspect.Parameter.empty else wanted.default
        )
    assert shown.return_annotation is not inspect.Signature.empty
    assert f"{fields and next(iter(fields))}:" in pydoc.plain(pydoc.render_doc(method))


def test_the_signature_of_a_view_shows_every_option() -> None:
    """Those that `Options` has, and nothing else."""
    shown = inspect.signature(ConferenceClient.with_options)

    assert list(shown.parameters) == ["self", *inspect.signature(Options).parameters]


async def test_a_mock_takes_what_the_method_takes() -> None:
    """A test of the application's finds a wrong keyword through the mock, too."""
    participants = create_autospec(Participants, instance=True)
    await participants.create(from_="+15017122661", to="+15558675310", label="alice")
    await participants.create(NewParticipant(from_="+15017122661", to="+15558675310"))
    await participants.create(from_="+15017122661", to="+15558675310", once="order-42")
    with pytest.raises(TypeError, match="unexpected keyword argument 'form'"):
        await participants.create(form="+15017122661")

    client = create_autospec(ConferenceClient, instance=True)
    client.with_options(timeout=5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'cps'"):
        client.with_options(cps=5)
