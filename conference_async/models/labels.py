"""Labels of participants, names of conferences, and the SIDs they must not be mistaken for.

Both end up in URLs and logs, and both may stand where a SID may stand, so what they may look like
is checked before anything is sent.
"""

import os
import re

from conference_async.cautions import ConferenceWarning, PersonalData, notify
from conference_async.errors import InvalidParameter
from conference_async.plain_values import plain
from conference_async.privacy import printable

LABEL_INVALID = 16024
NAME_INVALID = 13237
LONGEST = 128
"""Characters of a label and of a friendly name at most."""

_LONGEST_KEY = 255
_SHORTEST_SID = 33
"""Characters of what is taken for a SID, or for one that was mistyped, at least."""

_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}").fullmatch
_CONFERENCE_SID = re.compile(r"CF[0-9a-fA-F]{32}").fullmatch
_KINDS = {
    "AC": "an Account SID",
    "AP": "the SID of a TwiML application",
    "CA": "a Call SID",
    "CF": "a Conference SID",
    "PN": "the SID of a phone number",
    "RE": "a Recording SID",
    "SK": "the SID of an API key",
}
"""The SIDs that are mistaken for the one that is asked for. SIDs of other kinds, such as tasks',
are fine names."""

# Compiled when they are first searched for: few texts are so unusual, and a client loads sooner.
_UNSENDABLE = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
_UNSEEN = (
    r"^\s|\s$|[\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    r"\u2066-\u2069\u3164\ufeff\uffa0]"
)
"""Blanks at an end, and characters that show as nothing; those that join letters or the parts of an
emoji are not among them."""
_INTERNATIONAL = r"\+[0-9](?:[ ().-]{0,2}[0-9]){6,14}"
_NATIONAL = r"(?:[^0-9]*[^0-9A-Za-z])?[0-9](?:[ ().-]{0,2}[0-9]){9,14}(?:[^0-9A-Za-z][^0-9]*)?"
_EMAIL = r"[^\s@]+@[^\s@]+\.[^\s@]+"


def unsendable(text: str) -> bool:
    """Return whether a text holds what no request can carry, or what ends a line.

    That is: control characters, separators of lines, and halves of characters.
    """
    return not text.isprintable() and re.search(_UNSENDABLE, text) is not None


def is_call_sid(text: object) -> bool:
    """Return whether `text` is shaped like a Call SID (``CA`` and 32 hexadecimal digits)."""
    return isinstance(text, str) and _CALL_SID(text) is not None


def is_conference_sid(text: object) -> bool:
    """Return whether `text` is a Conference SID (``CF`` and 32 hexadecimal digits)."""
    return isinstance(text, str) and _CONFERENCE_SID(text) is not None


def mint_label() -> str:
    """Return a new label: unique, unguessable (120 bits), free of personal data.

    Lower-case letters and digits only: it needs no escaping in a URL, and does not depend on
    whether the service distinguishes upper from lower case.
    """
    return f"p{os.urandom(15).hex()}"


def is_minted(label: str) -> bool:
    """Return whether a label is one of `mint_label`'s, which only one create ever carries."""
    return re.fullmatch("p[0-9a-f]{30}", label) is not None


def check_label(label: str) -> str:
    """Return `label` if the service takes it for a participant's label.

    Warns with `PersonalData` if it looks like a phone number or an email address, and with
    `ConferenceWarning` if it holds what cannot be seen.

    Args:
        label: 1 to 128 characters; percent-encoded in URLs by this library, so spaces, ``#``,
            ``?`` and letters of any script are welcome.

    Raises:
        InvalidParameter: It is empty, too long, shaped like a Call SID, ``.`` or ``..``, or holds
            ``/``, ``%2F`` or a control character (the service's error 16024).
    """
    if _plain_word(label):
        return label
    label = _segment("label", label, LABEL_INVALID)
    if is_call_sid(label):
        raise InvalidParameter(
            "label",
            "must not look like a Call SID, or it could address another participant",
            code=LABEL_INVALID,
        )
    _refuse_other_sid("label", label, code=LABEL_INVALID)
    _warn_of_the_unseen("label", label)
    _warn_of_personal_data("label", label)
    return label


def check_conference(given: str) -> str:
    """Return what is given if it can address a conference: a Conference SID or a friendly name.

    Warns with `PersonalData` if a name looks like a phone number or an email address (the page
    forbids both: conference-participant-resource#create-a-participant), and with
    `ConferenceWarning` if it is almost a SID, or holds what cannot be seen, since a mistyped SID
    or name would open a new conference.

    Args:
        given: ``CF`` and 32 hexadecimal digits, or a name of 1 to 128 characters.

    Raises:
        InvalidParameter: It is empty, too long, ``.`` or ``..``, holds ``/``, ``%2F``, ``?`` or
            a control character (the service's error 13237 for the length), or it is a SID of
            another kind or in another spelling, which would open a room of that name.
    """
    if _plain_word(given):
        return given
    if is_conference_sid(given):
        return plain(given)
    sid_or_name = _segment("conference", given, NAME_INVALID)
    if "?" in sid_or_name:
        raise InvalidParameter("conference", "a friendly name must not contain '?'")
    _refuse_other_sid("conference", sid_or_name)
    if re.fullmatch("(?i)CF[0-9a-z]{31,33}", sid_or_name.strip()):
        notify(
            ConferenceWarning,
            f"{sid_or_name!r} is almost a Conference SID, which has CF and 32 digits (0-9, a-f), "
            "so it is used as a friendly name; check it for a mistyped character",
        )
    _warn_of_the_unseen("friendly name", sid_or_name)
    _warn_of_personal_data("friendly name", sid_or_name)
    return sid_or_name


def check_intent(key: object) -> str:
    """Return `key` if it can name an intent; see ``once=`` of a create.

    Args:
        key: 1 to 255 printable characters, compared as they are: upper and lower case differ. It
            is kept and shown in errors, so it should say nothing about a person.

    Raises:
        InvalidParameter: It is no text, empty or blank, too long, or holds a character that shows
            as nothing.
    """
    if not isinstance(key, str):
        problem = f"must be text, not {type(key).__name__}"
    elif not key.strip():
        problem = "must not be empty: give what names the intent, such as an order's number"
    elif len(key) > _LONGEST_KEY:
        problem = f"has {len(key)} characters; at most {_LONGEST_KEY} are allowed"
    elif not key.isprintable():
        problem = "must hold printable characters only"
    else:
        return plain(key)
    raise InvalidParameter("once", problem)


def check_participant(given: str) -> str:
    """Return what is given if it can address a participant.

    Args:
        given: ``CA`` and 32 hexadecimal digits, or a label.

    Raises:
        InvalidParameter: It is neither a Call SID nor a legal label.
    """
    if is_call_sid(given):
        return given if type(given) is str else plain(given)
    call_sid_or_label = _segment("participant", given, LABEL_INVALID)
    _refuse_other_sid("participant", call_sid_or_label)
    return check_label(call_sid_or_label)


def _plain_word(text: object) -> bool:
    """Return whether a text is so plain that it passes every rule below: as most of them are.

    Letters and digits, a letter first, shorter than any SID or number that somebody might mean.
    """
    return (
        type(text) is str
        and 0 < len(text) < _SHORTEST_SID
        and text.isalnum()
        and text.isascii()
        and not text[0].isdigit()
    )


def _refuse_other_sid(parameter: str, text: str, *, code: int | None = None) -> None:
    """Refuse what is shaped like a SID, but is not one of those that may stand here as it is."""
    found = re.fullmatch("(?i)([a-z]{2})[0-9a-f]{32}", text.strip())
    kind = found[1].upper() if found else ""
    if kind not in _KINDS:
        return
    wanted = {"conference": "CF", "participant": "CA", "label": "CA"}[parameter]
    if kind == wanted:
        problem = f"is {_KINDS[kind]} in another spelling: write {kind} in capitals, and no blanks"
    else:
        problem = f"is {_KINDS[kind]}, which means something else"
    raise InvalidParameter(parameter, problem, code=code)


def _segment(parameter: str, text: object, code: int) -> str:
    """Return what can be one segment of a URL's path, and refuse what cannot."""
    text = plain(text)
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
    elif unsendable(text):
        problem = "must not contain control characters or lone surrogates"
    else:
        return text
    of_length = isinstance(text, str) and (not text.strip() or len(text) > LONGEST)
    says_it = of_length or code != NAME_INVALID  # which is about the length alone
    raise InvalidParameter(parameter, problem, code=code if says_it else None)


def _warn_of_the_unseen(what: str, text: str) -> None:
    if re.search(_UNSEEN, text):
        notify(
            ConferenceWarning,
            f"the {what} {printable(text)!r} begins or ends with a blank, or holds characters that "
            "show as nothing; whoever types it as it looks means another one",
        )


def _warn_of_personal_data(what: str, text: str) -> None:
    if re.search(_INTERNATIONAL, text) or re.fullmatch(_NATIONAL, text):
        kind = "a phone number"
    elif re.search(_EMAIL, text):
        kind = "an email address"
    else:
        return
    notify(
        PersonalData,
        f"the {what} looks like {kind}; it appears in URLs and logs, so use an identifier of "
        "your own that says nothing about the person",
    )
