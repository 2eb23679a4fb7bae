"""Bring phones into a Twilio conference from asyncio.

The public names and the modules that they live in stand in ``__init__.pyi``, once, where type
checkers read them. Here each name is loaded when it is first used, so that
``conference_async.webhooks`` can be imported without an HTTP client.
"""

import logging
from functools import cache
from importlib import import_module
from pkgutil import get_data

from conference_async._version import __version__ as __version__

# A library writes nothing to a terminal that did not ask for it.
logging.getLogger(__name__).addHandler(logging.NullHandler())


@cache
def _homes() -> dict[str, str]:
    """Return the module of each public name."""
    stub = (get_data(__name__, "__init__.pyi") or b"").decode()
    imports = (line.split() for line in stub.splitlines())  # from MODULE import NAME as NAME
    return {name: module for _, module, _, name, *_ in imports if not name.startswith("_")}


def __getattr__(name: str) -> object:
    if name == "__all__":
        return sorted(_homes())
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module 'conference_async' has no attribute {name!r}")
    value: object = getattr(import_module(_homes()[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_homes(), "__version__"])
