"""Waits that double, with a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.backoff import Backoff
from conference_async.errors import ConfigurationError


def test_each_failure_doubles_the_wait_up_to_the_bound() -> None:
    """The first wait follows the first failure; without one there is nothing to wait for."""
    backoff = Backoff(0.5, 3)

    assert [backoff.delay(failures) for failures in range(6)] == [0, 0.5, 1, 2, 3, 3]


@pytest.mark.parametrize("failures", [1_024, 1_025, 10**9, 10**400])
def test_no_count_of_failures_is_too_large(failures: int) -> None:
    """An outage of days ends in the longest wait, not in an OverflowError."""
    assert Backoff(1e-300, 60).delay(failures) == 60
    assert Backoff(0, 60).delay(failures) == 0
    assert Backoff(1e300, 1.5e308).delay(failures) == 1.5e308


@given(st.integers(0, 2_000), st.floats(0, 100), st.floats(0, 100))
def test_jitter_draws_from_zero_to_the_bound(failures: int, first: float, most: float) -> None:
    """So that many who failed at one instant come back at many."""
    backoff = Backoff(first, most, jitter=True)

    assert 0 <= backoff.delay(failures) <= backoff.bound(failures) <= most


def test_jitter_draws_differently_each_time() -> None:
    """Two draws in a row are hardly ever the same."""
    backoff = Backoff(10, 10, jitter=True)

    assert len({backoff.delay(1) for _ in range(50)}) > 40


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", None, True])
def test_what_is_no_time_is_refused(wrong: float) -> None:
    """The error names the bound that is wrong."""
    with pytest.raises(ConfigurationError, match="first"):
        Backoff(wrong, 1)
    with pytest.raises(ConfigurationError, match="most"):
        Backoff(1, wrong)
