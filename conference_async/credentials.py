"""Who calls, and which host answers."""

import base64
import os
import re
from collections.abc import Mapping
from typing import NoReturn, Self
from urllib.parse import unquote, urlsplit

import attrs

from conference_async.errors import ConfigurationError

DEFAULT_BASE_URL = "https://api.twilio.com"

_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_KEY_SID = re.compile(r"SK[0-9a-fA-F]{32}")
_HOST_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_EDGE_OF_REGION = {
    "us2": "umatilla",
    "ie1": "dublin",
    "au1": "sydney",
    "br1": "sao-paulo",
    "de1": "frankfurt",
    "jp1": "tokyo",
    "jp2": "osaka",
    "sg1": "singapore",
}


@attrs.frozen(repr=False)
class Credentials:
    """An account and the secret that speaks for it.

    Credentials belong to one region of the service: those of ``us1`` fail in ``ie1``. They are
    never shown by ``repr`` and refuse to be pickled.

    Raises:
        ConfigurationError: A SID has the wrong shape, or a secret is empty.
    """

    account_sid: str
    """The account, ``AC`` and 32 hexadecimal digits. With a main account's secret this may name
    a subaccount."""

    auth_token: str
    """The account's auth token, or the API key's secret."""

    key_sid: str | None = attrs.field(default=None, kw_only=True)
    """The API key (``SK…``) that `auth_token` is the secret of, or None for the account's own."""

    region: str | None = attrs.field(default=None, kw_only=True)
    """The processing region that the credentials belong to (``ie1``), or None for ``us1``."""

    edge: str | None = attrs.field(default=None, kw_only=True)
    """The edge location (``dublin``) that completes the region's host name, or None."""

    def __attrs_post_init__(self) -> None:
        if not _ACCOUNT_SID.fullmatch(self.account_sid):
            raise ConfigurationError(
                "account_sid must be AC followed by 32 hexadecimal digits"
                + (
                    "; an API key goes through Credentials.api_key(account_sid, key_sid, secret)"
                    if self.account_sid.startswith("SK")
                    else "; the service's console shows it on its first page"
                )
            )
        if self.key_sid is not None and not _KEY_SID.fullmatch(self.key_sid):
            raise ConfigurationError("key_sid must be SK followed by 32 hexadecimal digits")
        if not self.auth_token or not self.auth_token.isprintable():
            what = "auth_token" if self.key_sid is None else "key_secret"
            raise ConfigurationError(f"{what} is empty or holds control characters")

    @classmethod
    def api_key(cls, account_sid: str, key_sid: str, key_secret: str) -> Self:
        """Return credentials that use an API key instead of the account's own token."""
        return cls(account_sid, key_secret, key_sid=key_sid)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the credentials that the environment holds.

        Reads ``TWILIO_ACCOUNT_SID`` with ``TWILIO_API_KEY`` and ``TWILIO_API_SECRET``, else
        ``TWILIO_AUTH_TOKEN``; and ``TWILIO_REGION``, ``TWILIO_EDGE``.

        Args:
            environ: Read this instead of `os.environ`.

        Raises:
            ConfigurationError: A variable is missing; the message names it.
        """
        env = os.environ if environ is None else environ

        def need(name: str, why: str) -> str:
            if value := env.get(name):
                return value
            raise ConfigurationError(f"set the environment variable {name} ({why})")

        account_sid = need("TWILIO_ACCOUNT_SID", "the account to dial from")
        key_sid = env.get("TWILIO_API_KEY") or None
        secret = (
            need("TWILIO_API_SECRET", "the secret of TWILIO_API_KEY")
            if key_sid
            else need("TWILIO_AUTH_TOKEN", "or TWILIO_API_KEY with TWILIO_API_SECRET")
        )
        return cls(
            account_sid,
            secret,
            key_sid=key_sid,
            region=env.get("TWILIO_REGION") or None,
            edge=env.get("TWILIO_EDGE") or None,
        )

    @property
    def authorization(self) -> str:
        """The value of the ``Authorization`` header."""
        return _basic(self.key_sid or self.account_sid, self.auth_token)

    def __repr__(self) -> str:
        key = f", key_sid={self.key_sid!r}" if self.key_sid else ""
        return f"Credentials({self.account_sid!r}, '***'{key})"

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "credentials are not pickled; build them where they are used, "
            "for instance with Credentials.from_env()"
        )


def resolve_base_url(
    base_url: str | None,
    *,
    region: str | None,
    edge: str | None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the scheme and host to send to, without a trailing slash.

    An explicit `base_url` wins, then ``CONFERENCE_ASYNC_BASE_URL`` (so that a test run can never
    reach real phones by its region), then `region` and `edge`.

    Raises:
        ConfigurationError: The address is not one, or region and edge do not make a host.
    """
    env = os.environ if environ is None else environ
    if base_url is not None and (region or edge):
        raise ConfigurationError("give base_url, or region and edge, not both")
    given = base_url if base_url is not None else env.get("CONFERENCE_ASYNC_BASE_URL")
    if given:
        return _checked_base_url(given)
    if base_url == "":
        raise ConfigurationError("base_url is empty; leave it out for the service's own host")
    if not region and not edge:
        return DEFAULT_BASE_URL
    for name, value in (("region", region), ("edge", edge)):
        if value and not _HOST_LABEL.fullmatch(value):
            raise ConfigurationError(f"{name} {value!r} cannot be part of a host name")
    region = region or "us1"
    edge = edge or _EDGE_OF_REGION.get(region)
    if edge is None and region != "us1":
        raise ConfigurationError(
            f"region {region!r} needs its edge too: give edge= or set TWILIO_EDGE"
        )
    return f"https://api.{edge}.{region}.twilio.com" if edge else "https://api.us1.twilio.com"


def split_proxy(proxy: str | None) -> tuple[str | None, dict[str, str]]:
    """Return a proxy's URL without its user, and the headers that make the user known to it.

    The URL of a proxy that refuses stands in tracebacks, where no password belongs.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    if proxy is None:
        return None, {}
    try:
        parts = urlsplit(proxy)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        parts, fits = urlsplit(""), False
    if not fits:
        raise ConfigurationError("proxy must be like http://user:password@host:3128")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.username is None:
        return bare, {}
    known = _basic(unquote(parts.username), unquote(parts.password or ""))
    return bare, {"Proxy-Authorization": known}


def _basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


def _checked_base_url(given: str) -> str:
    try:
        parts = urlsplit(given)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ConfigurationError(
            f"base_url must be like https://host or http://127.0.0.1:8000, not {given!r}"
        )
    if parts.username or parts.query or parts.fragment:
        raise ConfigurationError("base_url may not carry a user, a query or a fragment")
    return given.rstrip("/")
