"""A request of the control API, its names, its query and its body checked for their shape."""

import json
from collections.abc import Collection, Mapping
from typing import Any, cast
from urllib.parse import parse_qs

import attrs

from conference_async.emulator.control.answers import Refusal

_MOST_FIELDS = 100


@attrs.frozen(kw_only=True)
class Asked:
    """One admitted request of the control API."""

    names: Mapping[str, str]
    """What its path names."""
    query: Mapping[str, str]
    """Its query, each name once."""
    body: Mapping[str, Any]
    """Its JSON object, empty where it has none."""

    def only(self, *, query: Collection[str] = (), body: Collection[str] = ()) -> None:
        """Refuse what is not among these names.

        Raises:
            Refusal: 400, with the names that there are.
        """
        for kind, given, known in (("query", self.query, query), ("body", self.body, body)):
            if unknown := sorted(set(given).difference(known)):
                names = ", ".join(sorted(known)) or "nothing"
                raise Refusal(400, f"Unknown in the {kind}: {unknown[0]!a}; it takes {names}")

    def given(self, name: str) -> Any:  # noqa: ANN401 - JSON; what takes it checks it
        """Return a field of the body that must be there.

        Raises:
            Refusal: 400: it is missing.
        """
        if name not in self.body:
            raise Refusal(400, f"The body must have {name}")
        return self.body[name]

    def count(self, name: str, usual: int, *, most: int) -> int:
        """Return a whole number of the query, from 0 to `most`.

        Raises:
            Refusal: 400: it is none.
        """
        text = self.query.get(name, str(usual))
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
            raise Refusal(400, f"{name} must be a whole number from 0 to {most}")
        if int(text) > most:
            raise Refusal(400, f"{name} must be at most {most}")
        return int(text)


def read_query(text: str) -> dict[str, str]:
    """Return the parameters of a query.

    Raises:
        Refusal: 400: they cannot be decoded, or a name comes twice.
    """
    try:
        read = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        json.dumps(read, ensure_ascii=False).encode()
    except ValueError:
        raise Refusal(400, "The query cannot be decoded") from None
    if any(len(values) > 1 for values in read.values()):
        raise Refusal(400, "Each name may be in the query once")
    return {name: values[0] for name, values in read.items()}


def read_body(raw: bytes | None) -> dict[str, Any]:
    """Return the JSON object of a body, an empty one for no body.

    Raises:
        Refusal: 400: it is not one, or has numbers or characters that JSON does not have.
    """
    if raw == b"":
        return {}
    try:
        read = json.loads(raw or b"-")
        json.dumps(read, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, "The body must be a JSON object, of at most 1 MiB") from None
    if not isinstance(read, dict):
        raise Refusal(400, "The body must be a JSON object")
    return cast("dict[str, Any]", read)
