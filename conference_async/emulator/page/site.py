"""The page's own little API: files, the state, and the buttons.

Nothing of it is behind a password, so it answers to browsers on this machine only: requests must
name a loopback host or the one that is listened on, which a web site that points its own name here
cannot do; and changes must come from the page itself.
"""

import ipaddress
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import get_args
from urllib.parse import parse_qs, urlsplit

from conference_async.emulator.faults import Fault, Faults
from conference_async.emulator.page.overview import Overview
from conference_async.emulator.reception import Incoming
from conference_async.emulator.replies import Reply
from conference_async.emulator.routing import Kind
from conference_async.emulator.settings import Settings

ROOT = "/_emulator/"
"""What all paths of the page but ``/`` begin with."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FILES = {
    path: Reply(
        body=files("conference_async.emulator.page").joinpath(name).read_bytes(),
        content_type=content_type,
        headers=_HEADERS,
    )
    for path, name, content_type in (
        ("/", "index.html", "text/html"),
        (f"{ROOT}page.css", "page.css", "text/css"),
        (f"{ROOT}page.js", "page.js", "text/javascript"),
        (f"{ROOT}icon.svg", "icon.svg", "image/svg+xml"),
    )
}
_KINDS = (None, *get_args(Kind))
_MOST_TIMES, _MOST_SECONDS = 1_000_000, 3600.0


class Site:
    """Answers the page's requests; they are not recorded, delayed or spoiled.

    Args:
        settings: Where the emulator listens.
        overview: What goes on.
        faults: Where the page adds faults.
        drive: By name, what can be done to a call; `KeyError` means there is no such call.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        overview: Overview,
        faults: Faults,
        drive: Mapping[str, Callable[[str], None]],
    ) -> None:
        self._settings = settings
        self._overview = overview
        self._faults = faults
        self._drive = drive

    def serves(self, incoming: Incoming) -> bool:
        """Return whether this is a request of the page, and none of the API's."""
        path = incoming.target.partition("?")[0]
        return path.startswith(ROOT) or (path == "/" and incoming.method in ("GET", "HEAD"))

    def answer(self, incoming: Incoming) -> Reply:
        """Answer one request of the page."""
        path, _, query = incoming.target.partition("?")
        if not self._is_host(incoming.headers.get("Host", "")):
            return _answer(403, "Open this page by the address that the emulator listens on")
        if incoming.method == "POST":
            return self._act(incoming, path)
        if incoming.method not in ("GET", "HEAD"):
            return _answer(405, "Method not allowed")
        if path == f"{ROOT}state":
            account_sid = parse_qs(query).get("account", [""])[0]
            state = json.dumps(self._overview.of(account_sid))
            return Reply(body=state.encode(), headers=_HEADERS)
        return _FILES.get(path) or _answer(404, "There is no such page")

    def _act(self, incoming: Incoming, path: str) -> Reply:
        scheme = "https" if self._settings.ssl_context else "http"
        if incoming.headers.get("Origin") != f"{scheme}://{incoming.headers['Host']}":
            return _answer(403, "Only the page itself may change something")
        match path.removeprefix(ROOT).split("/"):
            case ["calls", call_sid, action] if action in self._drive:
                try:
                    self._drive[action](call_sid)
                except KeyError:
                    return _answer(404, "There is no such call")
            case ["faults"]:
                return self._inject(incoming.body or b"")
            case ["faults", "clear"]:
                self._faults.clear()
            case _:
                return _answer(404, "There is no such action")
        return _DONE

    def _inject(self, body: bytes) -> Reply:
        try:
            asked = json.loads(body)
            fault, on = Fault(asked["fault"]), asked.get("on")
            times = None if asked.get("times") is None else int(asked["times"])
            seconds = float(asked.get("seconds", 1.0))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return _answer(400, "That is no fault")
        if on not in _KINDS:
            return _answer(400, "There is no such kind of request")
        if times is not None and not 1 <= times <= _MOST_TIMES:
            return _answer(400, f"A fault happens 1 to {_MOST_TIMES} times")
        if not 0 <= seconds <= _MOST_SECONDS:
            return _answer(400, f"A fault lasts 0 to {_MOST_SECONDS:g} seconds")
        retry_after = seconds if fault is Fault.TOO_MANY and "seconds" in asked else None
        self._faults.add(fault, on=on, times=times, seconds=seconds, retry_after=retry_after)
        return _DONE

    def _is_host(self, host: str) -> bool:
        """Return whether a ``Host`` header can only mean this machine."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._settings.host) or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # A site can point its name at us, but it cannot make a browser send a bare address.
        return address.is_loopback or self._settings.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _answer(status: int, message: str) -> Reply:
    return Reply(status=status, body=json.dumps({"message": message}).encode(), headers=_HEADERS)


_DONE = Reply(status=204, content_type="", headers=_HEADERS)
