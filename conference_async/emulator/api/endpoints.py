"""Caller and target: the rules of ``To``, ``From``, ``CallerId`` and the SIP parameters."""

import re
from urllib.parse import unquote

from conference_async.emulator.forms import Form
from conference_async.emulator.replies import ApiError

# Three digits are emergency numbers; the shortest whole numbers have seven, country code included.
_PHONE = re.compile(r"\+?[0-9]{7,15}|[0-9]{3}")
_SIP = re.compile(r"(?i:sips?):[!->A-~]+@[0-9A-Za-z\[][!->A-~]*(?P<headers>\?[!-~]*)?")
_CLIENT = re.compile(r"client:(?P<identity>[^\s?]+)(?:\?\S*)?")
_APPLICATION = re.compile(r"app:AP[0-9a-fA-F]{32}(?:\?\S*)?")
_LONGEST_IDENTITY = 256
_HEADERS_BELOW = 1024
_CREDENTIAL_BELOW = 256
_HEADER_NAME = re.compile(r"[0-9A-Za-z.!%*_+`'~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_endpoints(form: Form) -> None:
    """Check caller and target.

    Raises:
        ApiError: 21201, 21211, 21218 or 21227 to 21229 for ``To``; 21213 or 21212 for ``From``
            and ``CallerId``; 21221 to 21225 for ``SipAuthUsername`` and ``SipAuthPassword``.
    """
    to, from_ = form.text("To"), form.text("From")
    if not to:
        raise ApiError(21201, "No 'To' number is specified")
    _check_target(to)
    if not from_:
        raise ApiError(21213, "No 'From' number is specified")
    if _PHONE.fullmatch(to):
        for name in ("From", "CallerId"):
            caller = form.text(name)
            if caller and not _PHONE.fullmatch(caller):
                raise ApiError(21212, f"Invalid '{name}' Phone Number")
    _check_credentials(form.text("SipAuthUsername"), form.text("SipAuthPassword"))


def _check_target(to: str) -> None:
    if _PHONE.fullmatch(to) or _APPLICATION.fullmatch(to):
        return
    if sip := _SIP.fullmatch(to):
        _check_headers((sip["headers"] or "")[1:])
        return
    client = _CLIENT.fullmatch(to)
    if client and len(client["identity"]) <= _LONGEST_IDENTITY:
        return
    if to.startswith("app:"):
        raise ApiError(21218, "Invalid ApplicationSid")
    raise ApiError(21211, "Invalid 'To' Phone Number")


def _check_headers(headers: str) -> None:
    """Check the header block of a SIP address, which follows its question mark."""
    if len(headers) >= _HEADERS_BELOW:
        raise ApiError(21227, f"SIP headers must have fewer than {_HEADERS_BELOW} characters")
    for header in filter(None, headers.split("&")):
        name, _, value = header.partition("=")
        if not _HEADER_NAME.fullmatch(unquote(name)):
            raise ApiError(21228, "Invalid SIP header: illegal characters in its name")
        if _CONTROL.search(unquote(value)):
            raise ApiError(21229, "Invalid SIP header: illegal characters in its value")


def _check_credentials(username: str | None, password: str | None) -> None:
    for name, value, too_long, illegal in (
        ("SipAuthUsername", username, 21221, 21222),
        ("SipAuthPassword", password, 21223, 21224),
    ):
        if value and len(value) >= _CREDENTIAL_BELOW:
            raise ApiError(
                too_long, f"Invalid {name}: it must have fewer than {_CREDENTIAL_BELOW} characters"
            )
        if value and _CONTROL.search(value):
            raise ApiError(illegal, f"Invalid {name}: illegal characters")
    if username and not password:
        raise ApiError(21225, "SipAuthPassword is required with SipAuthUsername")
