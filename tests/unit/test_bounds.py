"""Numbers of the application that make no sense are refused when they are given."""

from decimal import Decimal
from fractions import Fraction

import pytest

from conference_async.bounds import check_count, check_seconds
from conference_async.errors import ConfigurationError
from conference_async.pace.contract import check_cps


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None, float("nan")])
def test_what_is_no_count(value: int) -> None:
    """Nothing but an int counts, and at least one where nothing else is said."""
    with pytest.raises(ConfigurationError, match=r"^remember must be 1 or more, not "):
        check_count("remember", value)


def test_counts() -> None:
    """The bound itself is inside."""
    assert (check_count("remember", 1), check_count("remember", 250, least=250)) == (1, 250)
    with pytest.raises(ConfigurationError, match=r"^remember must be 250 or more, not 249$"):
        check_count("remember", 249, least=250)


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), True, "1", None])
def test_what_is_no_time(value: float) -> None:
    """A time is finite, and does not run backwards."""
    with pytest.raises(ConfigurationError, match=r"^patience must be 0 or more seconds, not "):
        check_seconds("patience", value)


def test_times() -> None:
    """None at all is a time, where it makes sense."""
    assert (check_seconds("patience", 0), check_seconds("every", 0.5, zero=False)) == (0, 0.5)
    with pytest.raises(ConfigurationError, match=r"^every must be more than 0 seconds, not 0$"):
        check_seconds("every", 0, zero=False)


@pytest.mark.parametrize("value", [Decimal(30), Decimal("nan"), Fraction(1, 2), 10**400])
def test_what_no_clock_can_add(value: float) -> None:
    """What the loop's clock cannot reckon with fails when it is given, not with each request."""
    with pytest.raises(ConfigurationError, match=r"^deadline must be 0 or more seconds, not "):
        check_seconds("deadline", value)
    with pytest.raises(ConfigurationError, match="cps must be"):
        check_cps(value)
