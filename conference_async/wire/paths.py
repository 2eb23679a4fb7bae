"""Paths of the API, every segment percent-encoded without exception.

The ``.json`` at the end is what asks for JSON: without it the service answers in XML.
"""

import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from conference_async.errors import InvalidParameter, UnexpectedReply

_API = "/2010-04-01/Accounts/"
_VISIBLE = r"[!-~]+"


def calls_path(account_sid: str) -> str:
    """Return the path of an account's call log."""
    return f"{_API}{_segment(account_sid)}/Calls.json"


def call_path(account_sid: str, sid: str) -> str:
    """Return the path of one call, over or not."""
    return f"{_API}{_segment(account_sid)}/Calls/{_segment(sid)}.json"


def conferences_path(account_sid: str) -> str:
    """Return the path of an account's conferences."""
    return f"{_API}{_segment(account_sid)}/Conferences.json"


def conference_path(account_sid: str, sid: str) -> str:
    """Return the path of one conference, which only its SID can address."""
    return f"{_API}{_segment(account_sid)}/Conferences/{_segment(sid)}.json"


def participants_path(account_sid: str, conference: str) -> str:
    """Return the path of a conference's participants.

    Args:
        account_sid: The account (``AC…``).
        conference: A Conference SID; to create a participant, a friendly name will do.
    """
    return f"{_participants(account_sid, conference)}.json"


def participant_path(account_sid: str, conference_sid: str, call_sid_or_label: str) -> str:
    """Return the path of one participant (conference-participant-resource#retrieve-a-participant).

    Args:
        account_sid: The account (``AC…``).
        conference_sid: The conference (``CF…``).
        call_sid_or_label: A Call SID, or a label that `check_participant` accepts.
    """
    return f"{_participants(account_sid, conference_sid)}/{_segment(call_sid_or_label)}.json"


def next_page_path(next_page_uri: str) -> str:
    """Return the path and query of the next page, if they stay on this API of this host.

    The query holds an opaque token, so it is followed as it came.

    Raises:
        UnexpectedReply: It names a host, leaves the API's path, or is no URI at all. A request to
            it would hand our credentials to somebody else.
    """
    path = urlsplit(next_page_uri).path if next_page_uri.startswith(_API) else ""
    climbing = {".", ".."}.intersection(unquote(path).split("/"))
    if not path or climbing or not re.fullmatch(_VISIBLE, next_page_uri) or "\\" in next_page_uri:
        raise UnexpectedReply(
            "the reply's next_page_uri does not lead to a page of this API on this host, so it is "
            "not followed; check the base URL and any proxy in between"
        )
    return next_page_uri


def start_path(link: object, *, of: str) -> str:
    """Return the path and query of a page of one list, as a page's `next_page_uri` has it.

    Args:
        link: The link that was kept.
        of: The path of the list.

    Raises:
        InvalidParameter: It leads to another list, another account or another host.
    """
    fits = isinstance(link, str) and link.partition("?")[0] == of
    if not (isinstance(link, str) and fits and re.fullmatch(_VISIBLE, link)) or "#" in link:
        raise InvalidParameter(
            "start", "must be a link to a page of this very list, as a page's next_page_uri has it"
        )
    return link


@lru_cache(maxsize=1024)  # many are called into one room, and asked about
def _participants(account_sid: str, conference: str) -> str:
    return f"{_API}{_segment(account_sid)}/Conferences/{_segment(conference)}/Participants"


def _segment(text: str) -> str:
    # SIDs and most labels hold nothing to encode, which takes longer to find out than this.
    if text.isalnum() and text.isascii():
        return text
    return quote(text, safe="", errors="surrogatepass")  # a reply may give anything for a SID
