"""Phone numbers and secrets, made unreadable before a person or a log sees them."""

import re

_NUMBER = re.compile(
    r"""
      (?:\+|%(?:25)*2[Bb]) [1-9] (?:[ ().-]{0,3}[0-9]){6,14} (?![0-9])  # +1 (555) 867-5310
    | (?<![0-9A-Za-z]) (?<![0-9]\.)                               # no part of a SID or a version
      (?: [0-9]{8,15}                                             # 15558675310
        | \(?[2-9][0-9]{2}\)?[ .-]{0,2}[0-9]{3}[ .-][0-9]{4}      # (555) 867-5310
      ) (?![0-9A-Za-z])
    """,
    re.VERBOSE,
)
_ADDRESS = re.compile(r"\b(sips?:|client:)[^\s@;?,'\"]+", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")


def _mask_number(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return f"***{digits[-4:]}"


def mask(text: str) -> str:
    """Return `text` with every phone number, SIP user, client name and URL user info hidden.

    A number keeps its last four digits, so that a person who knows the list can still tell rows
    apart: ``+15558675310`` becomes ``***5310``.
    """
    text = _USER_INFO.sub("***@", text)
    text = _ADDRESS.sub(r"\1***", text)
    return _NUMBER.sub(_mask_number, text)
