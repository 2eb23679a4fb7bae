"""Labels of participants, names of conferences, and the SIDs they must not be mistaken for.

Both end up in URLs and logs, and both may stand where a SID may stand, so what they may look like
is checked before anything is sent.
"""

import re
import secrets

from conference_async.errors import InvalidParameter
from conference_async.notices import ConferenceWarning, PersonalData, notify

LABEL_INVALID = 16024
NAME_INVALID = 13237
LONGEST = 128
"""Characters of a label and of a friendly name at most."""

_SID_LENGTH = 34
_CALL_SID = re.compile(r"CA[0-9a-f]{32}", re.IGNORECASE)
_CONFERENCE_SID = re.compile(r"CF[0-9a-fA-F]{32}")
UNSENDABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters and line separators, and halves of characters that UTF-8 cannot carry."""
_INTERNATIONAL = re.compile(r"\+[0-9](?:[ ().-]{0,2}[0-9]){6,14}")
_NATIONAL = re.compile(
    r"(?:[^0-9]*[^0-9A-Za-z])?[0-9](?:[ ().-]{0,2}[0-9]){9,14}(?:[^0-9A-Za-z][^0-9]*)?"
)
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


def is_call_sid(text: str) -> bool:
    """Return whether `text` is shaped like a Call SID (``CA`` and 32 hexadecimal digits)."""
    return _CALL_SID.fullmatch(text) is not None


def is_conference_sid(text: str) -> bool:
    """Return whether `text` is a Conference SID (``CF`` and 32 hexadecimal digits)."""
    return _CONFERENCE_SID.fullmatch(text) is not None


def mint_label() -> str:
    """Return a new label: unique, unguessable (120 bits), free of personal data.

    Lower-case letters and digits only: it needs no escaping in a URL, and does not depend on
    whether the service tells upper from lower case.
    """
    return f"p{secrets.token_hex(15)}"


def check_label(label: str) -> str:
    """Return `label` if the service takes it for a participant's label.

    Warns with `PersonalData` if it looks like a phone number or an email address.

    Args:
        label: 1 to 128 characters; percent-encoded in URLs by this library, so spaces, ``#``,
            ``?`` and letters of any script are welcome.

    Raises:
        InvalidParameter: It is empty, too long, shaped like a Call SID, ``.`` or ``..``, or holds
            ``/``, ``%2F`` or a control character (the service's error 16024).
    """
    _segment("label", label, LABEL_INVALID)
    if is_call_sid(label):
        raise InvalidParameter(
            "label",
            "must not look like a Call SID, or it could address another participant",
            code=LABEL_INVALID,
        )
    _warn_of_personal_data("label", label)
    return label


def check_conference(given: str | None) -> str:
    """Return what is given if it can address a conference: a Conference SID or a friendly name.

    Warns with `PersonalData` if a name looks like a phone number or an email address (the page
    forbids both: conference-participant-resource#create-a-participant), and with
    `ConferenceWarning` if it is almost a SID, since a mistyped SID would open a new conference.

    Args:
        given: ``CF`` and 32 hexadecimal digits, or a name of 1 to 128 characters. A reply may
            leave a SID null, so None is taken to be refused here, not by a type checker.

    Raises:
        InvalidParameter: It is empty, too long, ``.`` or ``..``, or holds ``/``, ``%2F``, ``?`` or
            a control character (the service's error 13237 for the length).
    """
    sid_or_name = _segment("conference", given, NAME_INVALID)
    if "?" in sid_or_name:
        raise InvalidParameter("conference", "a friendly name must not contain '?'")
    if is_conference_sid(sid_or_name):
        return sid_or_name
    if sid_or_name.startswith("CF") and len(sid_or_name) == _SID_LENGTH:
        notify(
            ConferenceWarning,
            f"{sid_or_name!r} has the length of a Conference SID but not its digits (0-9, a-f), "
            "so it is used as a friendly name; check it for a mistyped character",
        )
    _warn_of_personal_data("friendly name", sid_or_name)
    return sid_or_name


def check_participant(given: str | None) -> str:
    """Return what is given if it can address a participant.

    Args:
        given: ``CA`` and 32 hexadecimal digits, or a label; None is refused.

    Raises:
        InvalidParameter: It is neither a Call SID nor a legal label.
    """
    call_sid_or_label = _segment("participant", given, LABEL_INVALID)
    return call_sid_or_label if is_call_sid(call_sid_or_label) else check_label(call_sid_or_label)


def _segment(parameter: str, text: object, code: int) -> str:
    """Return what can be one segment of a URL's path, and refuse what cannot."""
    if not isinstance(text, str):
        problem = f"must be text, not {type(text).__name__}"
    elif len(text) <= LONGEST and text.isalnum() and text.isascii():
        return text  # as nearly all are: SIDs and plain words
    elif not text.strip():
        problem = "must not be empty"
    elif len(text) > LONGEST:
        problem = f"has {len(text)} characters; at most {LONGEST} are allowed"
    elif text in {".", ".."}:
        problem = "must not be '.' or '..', which mean a directory in a URL"
    elif "/" in text or "%2f" in text.lower():
        problem = "must not contain '/' or '%2F'"
    elif UNSENDABLE.search(text):
        problem = "must not contain control characters or lone surrogates"
    else:
        return text
    raise InvalidParameter(parameter, problem, code=code)


def _warn_of_personal_data(what: str, text: str) -> None:
    if _INTERNATIONAL.search(text) or _NATIONAL.fullmatch(text):
        kind = "a phone number"
    elif _EMAIL.search(text):
        kind = "an email address"
    else:
        return
    notify(
        PersonalData,
        f"the {what} looks like {kind}; it appears in URLs and logs, so use an identifier of "
        "your own that says nothing about the person",
    )
