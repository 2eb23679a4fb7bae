"""Methods that take a value or its fields."""

import inspect

import attrs
import pytest

from conference_async.signatures import takes_fields


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
