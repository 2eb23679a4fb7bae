"""Who may use the page and the control API.

On loopback nothing of them is behind a password, so they answer to programs and browsers on this
machine only: requests must name a loopback host or the one that is listened on, which a web site
that points its own name here cannot do; and what a browser changes must come from the page itself.
Beyond loopback, or where there is a token, that is the password.
"""

import base64
import binascii
import hmac
import ipaddress
from urllib.parse import urlsplit

from conference_async.emulator.api.dispatch import Incoming
from conference_async.emulator.control.answers import Refusal
from conference_async.emulator.settings import Settings

_READING = ("GET", "HEAD")
_OURS = (None, "same-origin", "none")


class Guard:
    """Refuses whoever may not use the page or the control API of an emulator."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def admit(self, incoming: Incoming) -> None:
        """Let a request pass.

        Raises:
            Refusal: 403 for a name that may lead elsewhere, or for a change that another site
                asks for; 401 without the token.
        """
        headers = incoming.headers
        host = headers.get("Host", "")
        if not self._is_host(host):
            raise Refusal(403, "Use the address that the emulator listens on")
        if not self._is_admitted(headers.get("Authorization", "")):
            raise Refusal(401, "The password is the emulator's control token")
        if incoming.method in _READING:
            return
        # A browser says where a change comes from; programs, which are no danger, say nothing.
        scheme = "https" if self._settings.ssl_context else "http"
        from_elsewhere = headers.get("Origin") not in (None, f"{scheme}://{host}")
        if from_elsewhere or headers.get("Sec-Fetch-Site") not in _OURS:
            raise Refusal(403, "Another site may not change anything here")

    def _is_admitted(self, authorization: str) -> bool:
        """Return whether the token is given, as a password or as a bearer's, where there is one."""
        token = self._settings.control_token
        if token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.encode(errors="replace"), token.encode())

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
