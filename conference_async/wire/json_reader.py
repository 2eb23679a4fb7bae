"""The reader of JSON: the standard library's, or a faster one where that is installed."""

import json
from collections.abc import Callable
from typing import Any

read_json: Callable[[bytes], Any] = json.loads
"""Reads a body. What is no JSON is a ValueError, and what is nested too deeply a RecursionError."""

try:
    import orjson  # reads a page in half the time
except ModuleNotFoundError:
    pass
else:

    def _quickly(body: bytes) -> Any:  # noqa: ANN401 -- JSON
        try:
            return orjson.loads(body)
        except ValueError:
            # What has happened, happened: half a character or an endless number in some property
            # must not make it unknown, or depend on what is installed.
            return json.loads(body)

    read_json = _quickly
