"""Frozen values that are filled in before they freeze.

attrs gives a frozen value each of its fields by a call, since nothing may set one afterwards. For
values of many fields, made by the thousand, that takes longer than all else that is done with
them. So they are filled in as any object is, under a class that differs in this alone, and become
frozen by a change of their class.
"""

from functools import cache
from typing import Any

import attrs


@cache
def blank_of(cls: type[attrs.AttrsInstance]) -> Any:  # noqa: ANN401 -- a class whose instances take any value
    """Return a class whose instances can be filled in, and become those of `cls`."""
    # Both, or the interpreter looks them up for each attribute that is set: ten times as slow.
    settable = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(cls.__name__, (cls,), {"__slots__": (), **settable})
