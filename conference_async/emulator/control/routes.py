"""The paths of the control API, each with the methods it takes and the operation behind each."""

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import attrs

from conference_async.emulator.control.answers import Refusal

ROOT = "/control"

ROUTES: Mapping[str, Mapping[str, str]] = {
    "/openapi.json": {"GET": "describe"},
    "/overview": {"GET": "show_overview"},
    "/settings": {"GET": "show_settings", "PATCH": "change_settings"},
    "/clock": {"GET": "show_clock", "PATCH": "change_clock"},
    "/clock/advance": {"POST": "advance"},
    "/accounts": {"GET": "list_accounts", "POST": "add_account"},
    "/accounts/{account_sid}": {"PATCH": "change_account"},
    "/accounts/{account_sid}/keys": {"POST": "add_api_key"},
    "/accounts/{account_sid}/apps": {"POST": "add_oauth_app"},
    "/accounts/{account_sid}/rotate": {"POST": "rotate_auth_token"},
    "/keys/{key_sid}": {"DELETE": "delete_api_key"},
    "/apps/{client_id}/rotate": {"POST": "rotate_client_secret"},
    "/accounts/{account_sid}/call_elsewhere": {"POST": "call_elsewhere"},
    "/scripts": {"GET": "list_scripts", "POST": "add_script", "DELETE": "forget_scripts"},
    "/calls": {"GET": "list_calls", "POST": "dial_in"},
    "/calls/{call}": {"GET": "show_call"},
    "/calls/{call}/answer": {"POST": "answer"},
    "/calls/{call}/hang_up": {"POST": "hang_up"},
    "/calls/{call}/busy": {"POST": "busy"},
    "/calls/{call}/no_answer": {"POST": "no_answer"},
    "/calls/{call}/fail": {"POST": "fail"},
    "/calls/{call}/speak": {"POST": "speak"},
    "/calls/{call}/detect": {"POST": "detect"},
    "/conferences": {"GET": "list_conferences"},
    "/rings": {"GET": "count_rings"},
    "/rings/{to}": {"GET": "count_rings_of"},
    "/requests": {"GET": "list_requests"},
    "/callbacks": {"GET": "list_callbacks", "PATCH": "change_callbacks"},
    "/callbacks/settle": {"POST": "settle_callbacks"},
    "/faults": {"GET": "list_faults", "POST": "add_fault", "DELETE": "clear_faults"},
    "/reset": {"POST": "reset"},
    "/restart": {"POST": "restart_soon"},
}
"""By the path below ``/control``, whose names stand in braces: methods and operations."""

_SHAPES = [
    (tuple(path.removeprefix("/").split("/")), operations) for path, operations in ROUTES.items()
]


@attrs.frozen
class Route:
    """The operation that a request line asks for."""

    operation: str
    names: Mapping[str, str]


def route(method: str, raw_path: str) -> Route:
    """Find the operation of a method and a raw path; HEAD is a GET.

    Raises:
        Refusal: 404 for a path that is not there, 405 for a method that it does not take.
    """
    try:
        raw = raw_path.removeprefix(f"{ROOT}/").split("/")
        segments = [unquote_to_bytes(segment).decode() for segment in raw]
    except UnicodeError:
        segments = []
    for shape, operations in _SHAPES:
        names = _match(shape, segments)
        if names is not None:
            operation = operations.get("GET" if method == "HEAD" else method)
            if operation is None:
                allow = {"Allow": ", ".join(operations)}
                raise Refusal(405, "This path does not take this method", allow)
            return Route(operation, names)
    raise Refusal(404, f"There is no such path; {ROOT}/openapi.json lists those that there are")


def _match(shape: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    """Return what a path names if it has this shape."""
    if len(shape) != len(segments):
        return None
    names: dict[str, str] = {}
    for part, segment in zip(shape, segments, strict=True):
        if part.startswith("{") and segment:
            names[part[1:-1]] = segment
        elif part != segment:
            return None
    return names
