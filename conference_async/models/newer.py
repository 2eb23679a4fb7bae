"""Rules of the parameters that the service takes and its page does not list yet."""

import re
from collections.abc import Collection, Iterable
from typing import Any

import attrs

from conference_async.errors import InvalidParameter
from conference_async.plain_values import plain

_MOST_PASSPORTS = 5
_LONGEST_POSITION = 150
_PASSPORT = r"[0-9A-Za-z+/_.=-]+"
_DEGREES = r"[+-]?[0-9]{1,3}(?:\.[0-9]+)?"
_POSITION = f"({_DEGREES}) ({_DEGREES})"
_RECORDING = (
    *("record", "recording_channels", "recording_track", "trim", "recording_status_callback"),
    *("recording_status_callback_method", "recording_status_callback_event"),
)


def joined(value: str | Iterable[str] | None) -> str | None:
    """Return one PASSporT, several with commas between, or any iterable of them, with commas."""
    if value is None or isinstance(value, str):
        return plain(value)
    try:
        return ",".join(value)
    except TypeError:  # `passports` refuses it by the field's name, which is not known here
        return ""


def passports(_instance: object, field: "attrs.Attribute[Any]", value: str | None) -> None:
    """Accept one to five in base64, with commas between; what is refused is not repeated."""
    if value is None:
        return
    several = value.split(",")
    if len(several) > _MOST_PASSPORTS or not all(re.fullmatch(_PASSPORT, each) for each in several):
        problem = f"must be 1 to {_MOST_PASSPORTS} PASSporTs in base64, commas between"
        raise InvalidParameter(field.name, problem)


def position(_instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """Accept a latitude and a longitude in degrees, with a space between."""
    if value is None:
        return
    found = re.fullmatch(_POSITION, value) if isinstance(value, str) else None
    if (
        found is None
        or len(found[0]) > _LONGEST_POSITION
        or abs(float(found[1])) > 90  # noqa: PLR2004 - the poles
        or abs(float(found[2])) > 180  # noqa: PLR2004 - the date line
    ):
        problem = (
            "must be latitude and longitude in degrees with a space between, such as "
            f"'37.7879 -122.3974', in at most {_LONGEST_POSITION} characters"
        )
        raise InvalidParameter(field.name, problem)


def check_recording(given: Collection[str]) -> None:
    """Refuse a recording configuration beside what it configures.

    Args:
        given: The names of the fields of a request that are not None.

    Raises:
        InvalidParameter: Both are given.
    """
    if "recording_configuration_id" in given:
        for name in _RECORDING:
            if name in given:
                problem = "must not be given with recording_configuration_id, which says it all"
                raise InvalidParameter(name, problem)
