"""The hosts that answer, and the proxy on the way to them."""

import base64
import os
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from conference_async.errors import ConfigurationError
from conference_async.plain_values import plain
from conference_async.privacy import Words

DEFAULT_BASE_URL = "https://api.twilio.com"
OAUTH_URL = "https://oauth.twilio.com/v2/token"
"""Where the service gives OAuth tokens."""

_HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_GLOBAL = {"roaming", "gll"}
"""Words for "wherever": the service's hosts have no such part."""

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
    region, edge = plain(region), plain(edge)
    given = base_url if base_url is not None else env.get("CONFERENCE_ASYNC_BASE_URL")
    if given:
        return _checked("base_url", given)
    if base_url == "":
        raise ConfigurationError("base_url is empty; leave it out for the service's own host")
    if not region and not edge:
        return DEFAULT_BASE_URL
    for name, value in (("region", region), ("edge", edge)):
        if value and not re.fullmatch(_HOST_LABEL, _text(value)):
            raise ConfigurationError(f"{name} {value!r} cannot be part of a host name")
        if value in _GLOBAL:
            raise ConfigurationError(
                f"{name} {value!r} makes the name of a host that does not answer; leave it out"
            )
    region = region or "us1"
    edge = edge or _EDGE_OF_REGION.get(region)
    if edge is None and region != "us1":
        raise ConfigurationError(
            f"region {region!r} needs its edge too: give edge= or set TWILIO_EDGE"
        )
    return f"https://api.{edge}.{region}.twilio.com" if edge else "https://api.us1.twilio.com"


def service_of(base_url: str) -> str:
    """Return what all base URLs that lead to one and the same account have in common.

    The service has many hosts, one for each edge and region, and an account has its calls per
    second once. Of any other server, such as an emulator, host, port and path tell.

    Args:
        base_url: What `resolve_base_url` returns.
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    if host.endswith(".twilio.com"):
        return "twilio.com"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{host}:{port}{parts.path}"


def token_url(given: str | None, base_url: str) -> str:
    """Return the URL at which OAuth tokens are asked for.

    A server that is not the service's, such as an emulator, has it at its own ``/v2/token``: no
    test sends a secret to the service, and none of the service's to a test.

    Args:
        given: The URL that was given, which goes before, or None.
        base_url: The base URL of the client.

    Raises:
        ConfigurationError: What was given is no URL.
    """
    if given is not None:
        return _checked("oauth_url", given)
    host = urlsplit(base_url).hostname or ""
    return OAUTH_URL if host.endswith(".twilio.com") else f"{base_url}/v2/token"


def proxy_of_environment(base_url: str) -> str | None:
    """Return the URL of the proxy that the environment names for a host, or None.

    ``HTTPS_PROXY`` or ``HTTP_PROXY``, by the scheme of `base_url`, else ``ALL_PROXY``; not for
    the hosts of ``NO_PROXY``. Small letters do as well.
    """
    parts = urlsplit(base_url)
    named = getproxies_environment()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def split_proxy(proxy: str | None) -> tuple[str | None, dict[str, str]]:
    """Return a proxy's URL without its user, and the headers that make the user known to it.

    The URL of a proxy that refuses stands in tracebacks, where no password belongs.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    if proxy is None:
        return None, {}
    try:
        parts = urlsplit(_text(proxy))
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        parts, fits = urlsplit(""), False
    if not fits:
        raise ConfigurationError(Words("proxy must be like http://user:password@host:3128"))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.username is None:
        return bare, {}
    known = basic(unquote(parts.username), unquote(parts.password or ""))
    return bare, {"Proxy-Authorization": known}


def basic(user: str, secret: str) -> str:
    """Return the header that makes a user known by a secret."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


def _text(given: object) -> str:
    return given if isinstance(given, str) else ""


def _checked(name: str, given: str) -> str:
    try:
        parts = urlsplit(_text(given))
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ConfigurationError(
            f"{name} must be like https://host or http://127.0.0.1:8000, not {given!r}"
        )
    if parts.username or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} may not carry a user, a query or a fragment")
    return plain(given).rstrip("/")
