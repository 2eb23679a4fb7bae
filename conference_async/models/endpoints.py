"""The addresses that can be called, and those that can be shown as the caller."""

import re
from typing import Literal, TypeAlias

from conference_async.errors import InvalidParameter
from conference_async.models.labels import unsendable

EndpointKind: TypeAlias = Literal["phone", "sip", "client", "app"]
"""The kinds of target: a phone number, a SIP address, a client, a TwiML application."""

# Three digits are emergency numbers; longer ones are whole numbers, legal without the plus too.
_PHONE = re.compile(r"\+?[0-9]{7,15}|[0-9]{3}")
# Compiled when somebody first has such an address.
_OTHERS: tuple[tuple[EndpointKind, str], ...] = (
    ("sip", r"(?i)sips?:[!-~]+@[0-9A-Za-z\[][!-~]*"),
    ("client", r"client:[^\s?]+(?:\?\S*)?"),
    ("app", r"app:AP[0-9a-fA-F]{32}(?:\?\S*)?"),
)
_LONGEST_IDENTITY = 256
_HEADERS_BELOW = 1024
_CALLER = r"client:\S+|[^\s:@/?]+"


def is_phone(value: str) -> bool:
    """Return whether `value` is a phone number: digits, a leading ``+`` allowed."""
    return _PHONE.fullmatch(value) is not None


def is_e164(value: str) -> bool:
    """Return whether `value` is a phone number as the service writes it in its records."""
    return value.startswith("+") and is_phone(value)


def kind_of(to: str) -> EndpointKind | None:
    """Return what kind of target `to` is, or None if the service could not call it."""
    if is_phone(to):
        return "phone"
    return next((kind for kind, pattern in _OTHERS if re.fullmatch(pattern, to)), None)


def check_target(to: object) -> EndpointKind:
    """Return what kind of target `to` is.

    Raises:
        InvalidParameter: It is missing (21201), none that the service can call (21211, 21218), or
            has too many SIP headers (21227).
    """
    if not isinstance(to, str) or not to:
        raise InvalidParameter("to", "must be given, as text", code=21201)
    if _PHONE.fullmatch(to):
        return "phone"
    if kind := kind_of(to):
        address, _, parameters = to.partition("?")
        if unsendable(to):
            problem = "must not contain control characters or lone surrogates"
            raise InvalidParameter("to", problem, code=21211)
        if kind == "client":
            _check_identity("to", address, code=21211)
        if kind == "sip" and len(parameters.encode()) >= _HEADERS_BELOW:
            problem = f"must have fewer than {_HEADERS_BELOW} bytes of SIP headers behind its ?"
            raise InvalidParameter("to", problem, code=21227)
        return kind
    if to.startswith(" ") and is_phone(to.strip()):
        problem = (
            "begins with a blank where a + may have been lost: a form turns + into a blank unless "
            "it is sent as %2B"
        )
    elif is_phone(to.partition("?")[0]):
        problem = "custom parameters work for client:, sip: and app: targets, not for phones"
    elif to.startswith("app:"):
        raise InvalidParameter(
            "to", "must be app: and the SID of a TwiML application (AP…)", code=21218
        )
    else:
        problem = (
            "must be a phone number (+ and 7 to 15 digits, nothing between them), "
            "sip:name@company.com, client:name or app:AP…"
        )
    raise InvalidParameter("to", problem, code=21211)


def check_caller(parameter: str, caller: object, target: EndpointKind) -> None:
    """Refuse a caller that cannot be shown to such a target.

    Args:
        parameter: ``from_`` or ``caller_id``.
        caller: A phone number, ``client:name``, or the username portion of a SIP address.
        target: Who is called: a phone sees phone numbers only.

    Raises:
        InvalidParameter: It is missing (21213), or of the wrong form (21212).
    """
    if not isinstance(caller, str) or not caller:
        raise InvalidParameter(parameter, "must be given, as text", code=21213)
    if _PHONE.fullmatch(caller):
        return
    if target == "phone":
        problem = "must be a phone number (+ and digits, nothing between them), because `to` is one"
        raise InvalidParameter(parameter, problem, code=21212)
    _check_identity(parameter, caller, code=21212)
    if not (re.fullmatch(_CALLER, caller) and caller.isprintable()):
        problem = "must be a phone number, client:name, or only the username of a SIP address"
        raise InvalidParameter(parameter, problem, code=21212)


def _check_identity(parameter: str, address: str, *, code: int) -> None:
    if address.startswith("client:") and len(address) > len("client:") + _LONGEST_IDENTITY:
        problem = f"must name a client by at most {_LONGEST_IDENTITY} characters"
        raise InvalidParameter(parameter, problem, code=code)
