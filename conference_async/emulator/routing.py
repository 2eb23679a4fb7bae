"""Which operation a request line asks for."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote_to_bytes

import attrs

from conference_async.emulator.replies import API_VERSION

Kind = Literal[
    "create",
    "fetch",
    "list",
    "update",
    "delete",
    "conferences.list",
    "conferences.fetch",
    "conferences.update",
    "calls.list",
    "calls.fetch",
    "calls.update",
    "accounts.fetch",
    "token",
    "unknown",
]

_OPERATIONS: Mapping[tuple[str | None, ...], Mapping[str, Kind]] = {
    ("Conferences",): {"GET": "conferences.list"},
    ("Conferences", None): {"GET": "conferences.fetch", "POST": "conferences.update"},
    ("Conferences", None, "Participants"): {"GET": "list", "POST": "create"},
    ("Conferences", None, "Participants", None): {
        "GET": "fetch",
        "POST": "update",
        "DELETE": "delete",
    },
    ("Calls",): {"GET": "calls.list"},
    ("Calls", None): {"GET": "calls.fetch", "POST": "calls.update"},
    (): {"GET": "accounts.fetch"},
}
"""Path shapes below an account, None for a parameter, with the methods that each allows."""

_OAUTH_PATH = "/v2/token"
_ROOT = (API_VERSION, "Accounts")
_PREFIX = len(_ROOT) + 1


@attrs.frozen(kw_only=True)
class Route:
    """One request line, taken apart."""

    kind: Kind = "unknown"
    """The operation, or ``unknown`` where there is none."""
    allowed: tuple[str, ...] = ()
    """The methods that the path allows; empty where there is no such path."""
    account_sid: str = ""
    """The account in the path, whatever else it is."""
    parent: str = ""
    """The conference's or call's name in the path."""
    participant: str = ""
    """The Call SID or label in the path."""
    xml: bool = False
    """Whether the path, one of ours, lacks ``.json``."""


@lru_cache(maxsize=4096)  # callers ask for the same few paths over and over
def route(method: str, raw_path: str) -> Route:
    """Take a raw path apart, then decode each segment once.

    A ``%2F`` therefore stays inside its segment, and ``%2520`` means ``%20``.
    """
    if raw_path == _OAUTH_PATH:
        return Route(kind="token" if method == "POST" else "unknown", allowed=("POST",))
    xml = not raw_path.endswith(".json")
    raw = raw_path.removesuffix(".json").removeprefix("/").split("/")
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in raw]
    except UnicodeError:
        return Route()
    if tuple(segments[: len(_ROOT)]) != _ROOT or len(segments) < _PREFIX:
        return Route()
    account_sid, below = segments[len(_ROOT)], segments[_PREFIX:]
    # Names of collections stand at even places, parameters at odd ones; none may be empty.
    shape = tuple(name if place % 2 == 0 else None for place, name in enumerate(below))
    methods = _OPERATIONS.get(shape) if all(below) else None
    if methods is None:
        return Route(account_sid=account_sid)
    parameters = below[1::2]
    return Route(
        kind=methods.get(method, "unknown"),
        allowed=tuple(methods),
        account_sid=account_sid,
        parent=parameters[0] if parameters else "",
        participant=parameters[1] if len(parameters) > 1 else "",
        xml=xml,
    )
