"""From a request to its event, or to the status that refuses it."""

import asyncio
from collections.abc import AsyncIterable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import attrs

from conference_async.errors import ConfigurationError, SignatureMismatch
from conference_async.webhooks.bodies import BodyKind, body_kind, form_pairs, json_pairs
from conference_async.webhooks.events import Event
from conference_async.webhooks.parsing import parse_event
from conference_async.webhooks.signature import Keys


class Refused(Exception):
    """The request is answered with `status`, and the application does not see it."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


def check_public_url(url: str) -> str:
    """Return a callback URL that is absolute, and free of query and fragment.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and not {"?", "#"} & set(url)
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            "public_url must be absolute and without a query or fragment, "
            "such as https://example.com/hooks/twilio"
        )
    return url


@attrs.frozen(kw_only=True)
class Admission:
    """What a request must be like to be believed."""

    keys: Keys
    """What the service signs with."""

    public_url: str = attrs.field(converter=check_public_url)
    """The callback URL without its query, as the service is given it."""

    max_body: int
    """The largest body in bytes; no more than one above it is kept."""

    body_timeout: float
    """Seconds in which the body must come."""

    async def event_of(
        self, method: str, query: str, headers: Mapping[str, str], body: AsyncIterable[bytes]
    ) -> Event:
        """Return the event that a request tells.

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
            return parse_event(self._checked(query, headers, kind, content or b""))
        except SignatureMismatch:
            raise Refused(HTTPStatus.FORBIDDEN) from None
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST) from None

    async def _read(self, body: AsyncIterable[bytes]) -> bytes:
        content = bytearray()
        try:
            async with asyncio.timeout(self.body_timeout):
                async for part in body:
                    content += part
                    if len(content) > self.max_body:
                        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT) from None
        return bytes(content)

    def _checked(
        self, query: str, headers: Mapping[str, str], kind: BodyKind | None, body: bytes
    ) -> list[tuple[str, str]]:
        url = f"{self.public_url}?{query}" if query else self.public_url
        own = form_pairs(query)
        if kind is BodyKind.FORM:
            form = form_pairs(body.decode())
            self.keys.check(url, headers=headers, body=form)
            return own + form
        if kind is BodyKind.JSON:
            self.keys.check(url, headers=headers, body=body)
            return own + json_pairs(body)
        self.keys.check(url, headers=headers)
        return own
