"""Replies as the API words them: JSON with ``.json`` in the path, XML without, and errors."""

import html
import json
import re
from collections.abc import Mapping, Sequence

import attrs

API_VERSION = "2010-04-01"

Json = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@attrs.frozen(kw_only=True)
class Reply:
    """One HTTP answer, not yet on its way."""

    status: int = 200
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


class ApiError(Exception):
    """The API refuses a request.

    Attributes:
        code: The service's error code, or None where its body carries none.
        status: The HTTP status.
    """

    def __init__(self, code: int | None, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def reply(self, *, xml: bool = False, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the error body: ``code``, ``message``, ``more_info``, ``status``."""
        body: dict[str, Json] = {"message": self.message, "status": self.status}
        if self.code is not None:
            body = {
                "code": self.code,
                "message": self.message,
                "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
                "status": self.status,
            }
        return render(body, "RestException", xml=xml, status=self.status, headers=headers)


def not_found(path: str) -> ApiError:
    """Return the 404 for a resource that is not there."""
    return ApiError(20404, f"The requested resource {path} was not found", status=404)


def render(
    content: Mapping[str, Json],
    element: str,
    *,
    xml: bool,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Return `content` as JSON, or as XML inside an `element` of a ``TwilioResponse``."""
    if xml:
        return _xml_reply(_xml(element, content), status=status, headers=headers)
    return Reply(status=status, body=json.dumps(content).encode(), headers=headers or {})


def render_page(envelope: Mapping[str, Json], key: str, *, xml: bool) -> Reply:
    """Return a page of a list; in XML its links and numbers are attributes of the list."""
    if not xml:
        return render(envelope, key, xml=False)
    element = _camel(key)
    attributes = "".join(
        f' {name.replace("_", "")}="{"" if value is None else html.escape(str(value))}"'
        for name, value in envelope.items()
        if name != key
    )
    rows = _xml(element, envelope[key]).removeprefix(f"<{element}>")
    return _xml_reply(f"<{element}{attributes}>{rows}", status=200, headers=None)


def _xml_reply(content: str, *, status: int, headers: Mapping[str, str] | None) -> Reply:
    text = f"<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse>{content}</TwilioResponse>"
    return Reply(
        status=status,
        body=text.encode(),
        content_type="application/xml",
        headers=headers or {},
    )


def _xml(element: str, content: Json) -> str:
    if isinstance(content, Mapping):
        inner = "".join(_xml(_camel(name), value) for name, value in content.items())
    elif isinstance(content, str):
        inner = html.escape(_NOT_XML.sub("\ufffd", content), quote=False)
    elif isinstance(content, Sequence):
        inner = "".join(_xml(element.removesuffix("s"), item) for item in content)
    else:
        inner = "" if content is None else str(content).lower()
    return f"<{element}>{inner}</{element}>"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
