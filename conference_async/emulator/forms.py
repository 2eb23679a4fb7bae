"""Form bodies and query strings, decoded once."""

import urllib.parse
from collections.abc import Mapping
from sys import intern

from conference_async.emulator.replies import ApiError

FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1000
_SHARED = frozenset(
    {
        *("AmdStatusCallback", "Beep", "ConferenceStatusCallback", "EarlyMedia", "From"),
        *("ConferenceStatusCallbackEvent", "EndConferenceOnExit", "MachineDetection", "Muted"),
        *("StatusCallbackEvent", "StatusCallbackMethod", "Timeout", "WaitUrl"),
    }
)
"""Parameters whose values many calls have in common; a label or a target is one call's own."""


class Form:
    """Parameters by name; a repeated name has several values, in order.

    ``+`` and ``%20`` are both spaces, an empty value is kept.
    """

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self.values = values

    @classmethod
    def parse(cls, encoded: str | bytes) -> "Form":
        """Decode ``a=1&b=2``.

        Raises:
            ApiError: It is not UTF-8, or has over 1,000 fields.
        """
        if not encoded:
            return cls({})
        try:
            # A str comes from the request line, where stray bytes hide as surrogates.
            text = (encoded.encode() if isinstance(encoded, str) else encoded).decode()
            values = urllib.parse.parse_qs(
                text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
            )
        except ValueError:
            raise ApiError(None, "The parameters cannot be decoded") from None
        # A hundred thousand calls have the same few names and callers: each is kept once. Lists
        # are changed in place, since new ones would have room to grow.
        for name in _SHARED.intersection(values):
            given = values[name]
            for place, value in enumerate(given):
                given[place] = intern(value)
        return cls({intern(name): given for name, given in values.items()})

    @classmethod
    def parse_body(cls, body: bytes, content_type: str) -> "Form":
        """Decode a request body, which must be a form if there is one.

        Raises:
            ApiError: It is something else, or cannot be decoded.
        """
        if body and content_type.partition(";")[0].strip().lower() not in ("", FORM_TYPE):
            raise ApiError(None, f"The body must be {FORM_TYPE}")
        return cls.parse(body)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str | None:
        """Return the last value of `name`, or None where it was not sent."""
        values = self.values.get(name)
        return values[-1] if values else None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return whether `name` is ``true``; anything else that was sent is false."""
        value = self.text(name)
        return default if value is None else value.lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Return an integer that has been checked before, or `default`."""
        value = self.text(name)
        return default if value is None else int(value)

    def words(self, name: str, default: str = "") -> list[str]:
        """Return a list, sent as a repeated name, separated by spaces, or both."""
        return " ".join(self.values.get(name, [default])).split()
