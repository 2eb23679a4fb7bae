"""Numbers as people and spreadsheets write them, brought into international form."""

import re
from types import ModuleType

from conference_async.errors import InvalidParameter
from conference_async.models import kind_of

_PUNCTUATION = re.compile(r"[\s().\-/\u2010-\u2015\u2212]+")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")
_NORTH_AMERICAN = re.compile(r"\+1[2-9][0-9]{9}")
_DIGITS = re.compile(r"[0-9]+")
_SCIENTIFIC = re.compile(r"[0-9][.,]?[0-9]*[eE]\+?[0-9]+|[0-9]+\.0+")
_LONGEST = 64
_INSTALL = 'pip install "conference-async[phonenumbers]"'


def phone_library() -> ModuleType | None:
    """Return the `phonenumbers` library, or None where it is not installed."""
    try:
        import phonenumbers
    except ImportError:
        return None
    return phonenumbers


def normalised(parameter: str, text: str, default_region: str | None = None) -> str:
    """Return an address as it is dialled: numbers as ``+`` and digits, others unchanged.

    Args:
        parameter: The name that an error gives it.
        text: The address as it was written.
        default_region: The country, as two capital letters, that numbers without ``+`` belong
            to; needs the `phonenumbers` library.

    Raises:
        InvalidParameter: It is no number that can be called from anywhere. A number without its
            ``+`` is refused where no region is given: its first digits may be a country or not,
            and a guess would ring a stranger.
    """
    text = text.strip()
    if ":" in text:
        if kind_of(text) is None:
            raise InvalidParameter(
                parameter, "must be a phone number, sip:name@host, client:name or app:AP…"
            )
        return text
    if _SCIENTIFIC.fullmatch(text):
        raise InvalidParameter(
            parameter,
            "a spreadsheet turned this number into a decimal and lost digits; format the column "
            "as text and enter it again, with + and the country code",
        )
    number = _PUNCTUATION.sub("", text)
    if _NORTH_AMERICAN.fullmatch(number):
        return number  # in normal form already; the library takes 50 µs to say so
    if number.startswith("+") or default_region:
        return _parsed(parameter, text[:_LONGEST], number, default_region)
    if _DIGITS.fullmatch(number):
        raise InvalidParameter(
            parameter,
            "the number has no +: a spreadsheet may have eaten it, or it is a national one; "
            "write it with + and the country code, or name the country of such numbers (default region)",
        )
    raise InvalidParameter(
        parameter,
        "is no phone number; write it as + and digits, the country code first",
        code=21211,
    )


def _parsed(parameter: str, text: str, number: str, default_region: str | None) -> str:
    library = phone_library()
    if library is None:
        if _INTERNATIONAL.fullmatch(number):
            return number
        raise InvalidParameter(
            parameter, f"only numbers of + and digits can be read; for others {_INSTALL}"
        )
    try:
        parsed = library.parse(text, default_region)
    except library.NumberParseException as error:
        raise InvalidParameter(parameter, f"is no phone number: {error}", code=21211) from None
    if parsed.extension:
        raise InvalidParameter(parameter, "has an extension, which cannot be dialled")
    if not library.is_possible_number(parsed):
        raise InvalidParameter(
            parameter, "has too few or too many digits for its country", code=21211
        )
    return str(library.format_number(parsed, library.PhoneNumberFormat.E164))


def time_zones(to: str) -> tuple[str, ...]:
    """Return the IANA names of the time zones that a number may be in; none if unknown.

    It reads files at first use, so call it off the event loop.
    """
    library = phone_library()
    if library is None or not to.startswith("+"):
        return ()
    from phonenumbers import timezone

    zones = timezone.time_zones_for_number(library.parse(to))
    return tuple(zone for zone in zones if zone != timezone.UNKNOWN_TIMEZONE)
