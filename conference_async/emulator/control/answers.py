"""Answers of the page and the control API, and the headers of all of them."""

import json
from collections.abc import Mapping

from conference_async.emulator.replies import Json, Reply

HEADERS: Mapping[str, str] = {
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
_UNAUTHORIZED = 401

NOTHING = Reply(status=204, content_type="", headers=HEADERS)
"""It is done, and there is nothing to say of it."""


class Refusal(Exception):
    """A request of the page or the control API is refused, with a status and the reason."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self._status = status
        self._message = message
        self._headers = headers or {}

    def reply(self) -> Reply:
        """Return the answer: its ``message`` and ``status``."""
        headers = {**HEADERS, **self._headers}
        if self._status == _UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Basic realm="emulator"'
        body = json.dumps({"message": self._message, "status": self._status})
        return Reply(status=self._status, body=body.encode(), headers=headers)


def answer(content: Json, *, status: int = 200) -> Reply:
    """Return `content` as JSON."""
    return Reply(status=status, body=json.dumps(content).encode(), headers=HEADERS)
