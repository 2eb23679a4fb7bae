"""Numbers that the application gives, held to their bounds when it gives them."""

import sys

from conference_async.errors import ConfigurationError


def is_number(value: object) -> bool:
    """Return whether a value is an int or a float, which alone can be reckoned with here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_count(name: str, value: int, *, least: int = 1) -> int:
    """Return a count of at least `least`.

    Args:
        name: What the application gives it for.
        value: What it gave.
        least: The smallest count that makes sense.

    Raises:
        ConfigurationError: It is smaller, or no int.
    """
    if type(value) is not int or value < least:
        raise ConfigurationError(f"{name} must be {least} or more, not {value!r}")
    return value


def check_seconds(name: str, value: float, *, zero: bool = True) -> float:
    """Return a finite time in seconds.

    Args:
        name: What the application gives it for.
        value: What it gave.
        zero: Whether no time at all makes sense.

    Raises:
        ConfigurationError: It is negative, endless or no number, or 0 where that makes no sense.
    """
    if not is_number(value) or not 0 <= value <= sys.float_info.max or not (value or zero):
        least = "0 or more" if zero else "more than 0"
        raise ConfigurationError(f"{name} must be {least} seconds, not {value!r}")
    return value
