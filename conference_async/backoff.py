"""Waits that double with each failure in a row, up to a bound."""

import random
from typing import TYPE_CHECKING

from conference_async.bounds import check_seconds

if TYPE_CHECKING:
    import attrs

_LARGEST_EXPONENT = 1023
"""A larger power of two is no float; long before that every wait has reached its bound."""


def is_seconds(_instance: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    """Refuse what is no finite time of 0 or more seconds, as an attrs validator."""
    check_seconds(attribute.name, value)


class Backoff:
    """How long to wait after so many failures in a row.

    Args:
        first: The wait after the first failure, in seconds, 0 or more; each further one doubles it.
        most: The longest wait, in seconds, 0 or more.
        jitter: Whether `delay` draws each wait evenly from zero to its bound, so that many
            callers do not come back at the same instant.

    Raises:
        ConfigurationError: A time is negative, endless or no number.
    """

    def __init__(self, first: float, most: float, *, jitter: bool = False) -> None:
        check_seconds("first", first)
        check_seconds("most", most)
        self.first = first
        self.most = most
        self.jitter = jitter

    def bound(self, failures: int) -> float:
        """Return the longest wait after `failures` in a row, in seconds; 0 after none."""
        if failures < 1:
            return 0.0
        return min(self.most, self.first * 2.0 ** min(failures - 1, _LARGEST_EXPONENT))

    def delay(self, failures: int) -> float:
        """Return the wait after `failures` in a row, in seconds: the bound, or a part of it."""
        bound = self.bound(failures)
        return bound * random.random() if self.jitter else bound  # noqa: S311 -- jitter is no secret
