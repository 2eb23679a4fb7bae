"""From a request to its event, or to the status that refuses it."""

import json
import re
from collections.abc import AsyncIterable, Callable, Mapping
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Final, TypeAlias, cast
from urllib.parse import unquote, urlsplit

import attrs

from conference_async.errors import ConfigurationError, SignatureMismatch
from conference_async.time_limits import time_limit
from conference_async.webhooks.events import Event
from conference_async.webhooks.parsing import moment, parse_event
from conference_async.webhooks.signature import Keys, signed_text

Pairs: TypeAlias = list[tuple[str, str]]

_MOST_FIELDS: Final = 500
# A name and its value stand side by side in what is signed, wherever the request parts them.
_SIGNED_MOMENT: Final = re.compile(
    r"Timestamp([A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [+-][0-9]{4})"
)


class BodyKind(Enum):
    """The kinds of body that the service sends."""

    FORM = "application/x-www-form-urlencoded"
    JSON = "application/json"


# The service always writes the same one.
@lru_cache(maxsize=64)
def body_kind(content_type: str) -> BodyKind | None:
    """Return the kind that a ``Content-Type`` announces; None if it cannot be read here."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = {
        value.strip(" \"'")
        for name, _, value in (parameter.partition("=") for parameter in parameters)
        if name.strip() == "charset"
    }
    if not charsets <= {"utf-8", "utf8", "us-ascii"}:
        return None
    return next((kind for kind in BodyKind if kind.value == media), None)


def form_pairs(text: str) -> Pairs:
    """Return the decoded names and values of a form or a query, blank ones included.

    Raises:
        ValueError: There are more than 500 fields, or something in it is no UTF-8.
    """
    if text.count("&") >= _MOST_FIELDS:
        raise ValueError("too many fields")
    pairs: Pairs = []
    for field in text.replace("+", " ").split("&"):
        if field:
            name, _, value = field.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    # Most are plain, and unquote takes far longer to find that out.
    return unquote(text, errors="strict") if "%" in text else text


def json_pairs(body: bytes) -> Pairs:
    """Return the names and values of a JSON object: text as it is, anything else as JSON.

    Raises:
        ValueError: It is no JSON object, or it is nested too deep.
    """
    try:
        content: object = json.loads(body.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError("no object")  # noqa: TRY004 - the one error of an unreadable body
    # JSON has no other names than text.
    fields = cast("dict[str, object]", content)
    return [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in fields.items()
    ]


_UNSIGNED = (
    "its signature is of none of the keys; if the service sent it, they are not this account's, or "
    "public_url is not the URL that it calls"
)


class Refused(Exception):
    """The request is answered with `status`, and the application does not see it."""

    def __init__(self, status: HTTPStatus, why: str = "") -> None:
        super().__init__(why or status.phrase)
        self.status = status


def check_public_url(url: str) -> str:
    """Return a callback URL that is absolute, free of query and fragment, and can be called.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        called = parts.scheme in {"http", "https"} and host and parts.port != 0
        fits = called and not set("?# ") & set(url)
    except (ValueError, AttributeError, TypeError):  # the latter two: it is no text
        host, fits = "", False
    if not fits:
        raise ConfigurationError(
            "public_url must be absolute and without a query or fragment, "
            "such as https://example.com/hooks/twilio"
        )
    if "_" in host:
        raise ConfigurationError(
            "public_url has an underscore in its host name, and the service calls none of those"
        )
    return url


def _are_keys(_instance: object, _attribute: "attrs.Attribute[Keys]", value: object) -> None:
    if not isinstance(value, Keys):
        raise ConfigurationError(
            f"keys must be Keys(auth_token), as in Keys('...'), not {type(value).__name__}"
        )


@attrs.frozen(kw_only=True)
class Admission:
    """The conditions under which a request is believed."""

    keys: Keys = attrs.field(validator=_are_keys)
    """The keys that the service signs with."""

    public_url: str = attrs.field(converter=check_public_url)
    """The callback URL without its query, as the service is given it."""

    max_body: int
    """The largest body in bytes; no more than one above it is kept."""

    body_timeout: float
    """Seconds in which the body must come."""

    max_age: float
    """Seconds after which a request can only be a replay."""

    now: Callable[[], float]
    """The wall clock, in seconds since the epoch."""

    async def event_of(
        self, method: str, query: str, headers: Mapping[str, str], body: AsyncIterable[bytes]
    ) -> Event:
        """Return the event that a request reports.

        Args:
            method: The HTTP method.
            query: The raw query, without its question mark.
            headers: The headers, by their names in lower case.
            body: The parts of the body, as they come; read only where the rest is in order.

        Raises:
            Refused: The request is not one of the service's.
        """
        if method not in {"GET", "POST"}:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        kind = content = None
        if method == "POST":
            kind = body_kind(headers.get("content-type", ""))
            if kind is None or headers.get("content-encoding", "identity") != "identity":
                raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
            content = await self._read(body)
        try:
            event, text = self._checked(query, headers, kind, content or b"")
        except SignatureMismatch:
            raise Refused(HTTPStatus.FORBIDDEN, _UNSIGNED) from None
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST) from None
        self._check_age(event, text)
        return event

    def _check_age(self, event: Event, text: str) -> None:
        """Refuse a replay, and an event whose age or place among others was taken out of sight.

        A replay cannot change the text that is signed, but it may move the border between a name
        and its value, so that no parameter has the name ``Timestamp`` any more. The text itself
        is searched, therefore, and what a kind always carries may not be missing.
        """
        if event.always_numbered and (event.timestamp is None or event.sequence_number is None):
            raise Refused(HTTPStatus.BAD_REQUEST, "an event without its timestamp or number")
        signed = (moment(found) for found in _SIGNED_MOMENT.findall(text))
        oldest = min((one.timestamp() for one in (event.timestamp, *signed) if one), default=None)
        if oldest is not None and oldest < self.now() - self.max_age:
            raise Refused(HTTPStatus.NO_CONTENT, "too old to be anything but a replay")

    async def _read(self, body: AsyncIterable[bytes]) -> bytes:
        content = bytearray()
        try:
            async with time_limit(self.body_timeout):
                async for part in body:
                    content += part
                    if len(content) > self.max_body:
                        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT) from None
        return bytes(content)

    def _checked(
        self, query: str, headers: Mapping[str, str], kind: BodyKind | None, body: bytes
    ) -> tuple[Event, str]:
        """Return the event, and the text whose signature was checked."""
        if "#" in query:  # no request has a fragment, and none is signed
            raise ValueError("a fragment")
        url = f"{self.public_url}?{query}" if query else self.public_url
        own = form_pairs(query)
        form: Pairs | None = None
        if kind is BodyKind.FORM:
            form = form_pairs(body.decode())
        self.keys.check(url, headers=headers, body=body if kind is BodyKind.JSON else form)
        fields = json_pairs(body) if kind is BodyKind.JSON else form or []
        return parse_event(own + fields), signed_text(url, form)
