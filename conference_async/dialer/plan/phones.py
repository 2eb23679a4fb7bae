"""Numbers as people and spreadsheets write them: dialled as written, or refused with the reason.

The `phonenumbers` library knows the numbers of every country, but reads a text generously: it
turns letters into digits, takes the first of two numbers and drops what it does not know. So it
is given digits only, and its answer counts if it consists of the digits that were written.
"""

import re
import unicodedata
from types import ModuleType

from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import kind_of
from conference_async.privacy import printable

_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")
_NORTH_AMERICAN = re.compile(r"\+1[2-9][0-9]{9}")
_EXPONENT = re.compile(r"[+-]?[0-9][0-9.,]*[eE] ?[+-]?[0-9]+")
_DECIMAL = re.compile(r"\+?(?:[0-9]+[.,]0+|[0-9 ()\-]+[.,][0-9]{1,2})")
_EXTENSION = re.compile(r"(?<![a-z])(?:x|#|ext(?:n|ension)?)[ :.=]*[0-9]+", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([^()]*[0-9][^()]*)\)")
_BRACKETED_ZERO = re.compile(r"\( ?0[^()]*\)")
_NATIONAL_ZERO = re.compile(r"\( ?0 ?\)")
_SEPARATORS = re.compile(r"[ .\-/]+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_LONGEST = 64
_AFTER_A_SLASH = 5
"""Digits that follow a slash where it parts an area code from a number; fewer are a second one."""

_INSTALL = 'pip install "conference-async[phonenumbers]"'
_HOW = "write it as + and digits, the country code first"


def phone_library() -> ModuleType | None:
    """Return the `phonenumbers` library, or None where it is not installed."""
    try:
        import phonenumbers
    except ImportError:
        return None
    return phonenumbers


def normalise_number(
    written: str, default_region: str | None = None, *, parameter: str = "to"
) -> str:
    """Return an address as it is dialled: a number as ``+`` and digits, any other unchanged.

    Blanks, dots, hyphens, brackets and one slash may stand between digits. A 0 in brackets after
    the country code, as in ``+44 (0)20``, is left out where the country's numbers ask for that.

    Args:
        written: The address as a person or a spreadsheet wrote it.
        default_region: The country, as two letters (``US``), that numbers without ``+`` belong
            to; needs the extra ``phonenumbers``.
        parameter: The name that an error gives it.

    Raises:
        InvalidParameter: It cannot be dialled exactly as it is written: it has no country code, or
            holds letters, an extension, a second number, invisible characters, or what a
            spreadsheet left of a number. Nothing is guessed: a guess would ring a stranger.
        ConfigurationError: `default_region` is no country.
    """
    if _NORTH_AMERICAN.fullmatch(written):
        return written  # in normal form already, as most are; all the rest takes 50 µs to say so
    text = written.strip().removeprefix("'")  # an apostrophe is a spreadsheet's mark for text
    text = "".join(" " if unicodedata.category(one) == "Zs" else one for one in text)
    hidden = sorted({one for one in text if not one.isprintable()})
    if hidden:
        raise _refusal(
            parameter,
            f"holds {', '.join(map(printable, hidden))}, which cannot be seen; "
            "empty the cell and type it again",
        )
    if ":" in text:
        if kind_of(text) is None:
            raise _refusal(
                parameter, "must be a phone number, or begin with sip:, client: or app:AP"
            )
        return text
    number = _digits(parameter, text.translate(_DASHES))
    if number.startswith("+"):
        return _international(parameter, number, text)
    if default_region is not None:
        _check_hidden_plus(parameter, number, written, default_region)
        return _national(parameter, number, default_region)
    raise _refusal(parameter, _why_no_country(number, written))


def _refusal(parameter: str, why: str, code: int | None = None) -> InvalidParameter:
    return InvalidParameter(parameter, why, code=code)


def _digits(parameter: str, text: str) -> str:
    """Return the digits of a number, after a ``+`` where it has one."""
    if _EXPONENT.fullmatch(text) or _DECIMAL.fullmatch(text):
        raise _refusal(
            parameter,
            "a spreadsheet turned this number into a decimal, which may have lost digits; format "
            "the column as text and enter it again, with + and the country code",
        )
    if len(text) > _LONGEST or not any(one.isdigit() for one in text):
        raise _refusal(parameter, f"is no phone number; {_HOW}", 21211)
    bare = _BRACKETED.sub(r"\1", text)
    plus = bare.startswith("+")
    digits = _SEPARATORS.sub("", bare[plus:])
    whole = digits.isascii() and digits.isdigit() and (plus or bare[0].isdigit())
    if not whole or _second_number(bare):
        raise _refusal(parameter, _odd(bare, digits), 21211)
    return f"+{digits}" if plus else digits


def _second_number(bare: str) -> bool:
    _, slash, after = bare.partition("/")
    return bool(slash) and ("/" in after or sum(map(str.isdigit, after)) < _AFTER_A_SLASH)


def _odd(bare: str, digits: str) -> str:
    """Return what keeps a text from being a number."""
    if bare.startswith("="):
        return f"is a formula; format the column as text, and {_HOW}"
    if _EXTENSION.search(bare):
        return "has an extension, which cannot be dialled"
    if any(mark in digits for mark in "+,;|&") or _second_number(bare):
        return "holds more than one number, or a pause; a row calls one number, as it is"
    if any(mark in digits for mark in "()"):
        return "has brackets that do not belong together"
    strange = next((one for one in digits if one not in "0123456789"), bare[0])
    if strange.isalpha() and strange.isascii():
        return f"holds letters; {_HOW}"
    shown = f"{strange!r}" if strange.isascii() else f"<U+{ord(strange):04X}>"
    return f"holds {shown}, which is no part of a number; {_HOW}"


def _international(parameter: str, number: str, text: str) -> str:
    """Return a number that was written with its ``+``."""
    library = phone_library()
    if library is None:
        if _BRACKETED_ZERO.search(text):
            raise _refusal(
                parameter,
                "has a 0 in brackets, which some countries dial and others leave out; write it "
                f"as it is dialled from abroad, or {_INSTALL}",
            )
        if not _INTERNATIONAL.fullmatch(number):
            raise _refusal(parameter, f"must have 7 to 15 digits; {_HOW}", 21211)
        return number
    dialled = _possible(parameter, library, number, None)
    if dialled != number and not (
        (zero := _NATIONAL_ZERO.search(text)) and dialled == _without(number, text, zero)
    ):
        raise _refusal(
            parameter,
            "has digits after the country code that are not dialled from abroad, such as a "
            "national 0; leave them out",
            21211,
        )
    return dialled


def _without(number: str, text: str, zero: re.Match[str]) -> str:
    place = 1 + sum(map(str.isdigit, text[: zero.start()]))
    return number[:place] + number[place + 1 :]


def _national(parameter: str, digits: str, default_region: str) -> str:
    """Return a number that was written without its ``+``."""
    library = phone_library()
    if library is None:
        raise _refusal(parameter, f"a number without + needs {_INSTALL}")
    region = check_region(default_region)
    dialled = _possible(parameter, library, digits, region)
    parsed = library.parse(dialled)
    if not digits.endswith(library.national_significant_number(parsed)):
        raise _refusal(parameter, f"is dialled with other digits from abroad; {_HOW}", 21211)
    return dialled


def _possible(parameter: str, library: ModuleType, digits: str, region: str | None) -> str:
    try:
        parsed = library.parse(digits, region)
    except library.NumberParseException:
        raise _refusal(parameter, f"is no phone number of any country; {_HOW}", 21211) from None
    # Not is_possible_number, which takes a number without its area code for a whole one.
    verdict = library.is_possible_number_with_reason(parsed)
    if verdict != library.ValidationResult.IS_POSSIBLE:
        raise _refusal(parameter, "has too few or too many digits for its country", 21211)
    return str(library.format_number(parsed, library.PhoneNumberFormat.E164))


def _check_hidden_plus(parameter: str, digits: str, written: str, default_region: str) -> None:
    """Refuse digits after a blank that are a whole number with their country code."""
    library = phone_library()
    if library is None or not written.startswith(" "):
        return
    try:
        whole = library.parse(f"+{digits}")
    except library.NumberParseException:
        return
    if library.is_valid_number(whole) and whole != library.parse(digits, default_region):
        raise _refusal(parameter, _LOST_IN_A_FORM)


_LOST_IN_A_FORM = (
    "begins with a blank where a + may have been lost: a form turns + into a blank unless it is "
    "sent as %2B; write it with + and the country code"
)


def _why_no_country(digits: str, written: str) -> str:
    if written.startswith(" "):
        return _LOST_IN_A_FORM
    if digits.startswith("00"):
        return "begins with 00; write + in its place"
    return (
        "the number has no +: a spreadsheet may have eaten it, or it is a national one; write it "
        "with + and the country code, or name the country of such numbers (default region)"
    )


def check_region(region: str) -> str:
    """Return a country's two letters as the `phonenumbers` library knows them.

    Raises:
        ConfigurationError: There is no such country, or the library is not installed.
    """
    library = phone_library()
    if library is None:
        raise ConfigurationError(f"default_region needs {_INSTALL}")
    if region.upper() not in library.SUPPORTED_REGIONS:
        raise ConfigurationError(
            f"default_region must be a country as two letters, such as US, not {region!r}"
        )
    return region.upper()


def time_zones(to: str) -> tuple[str, ...]:
    """Return the IANA names of the time zones that a number may be in; none if unknown.

    It reads files at first use, so call it off the event loop.
    """
    library = phone_library()
    if library is None or not to.startswith("+"):
        return ()
    from phonenumbers import timezone

    try:
        zones = timezone.time_zones_for_number(library.parse(to))
    except library.NumberParseException:
        return ()
    return tuple(zone for zone in zones if zone != timezone.UNKNOWN_TIMEZONE)
