"""Warnings: what the service would accept but ignore, or advises against.

They are ordinary Python warnings: `warnings.filterwarnings`, or ``python -W`` with a name such as
``error::conference_async.cautions.IgnoredParameter``, turns any of them into an error or silences
it. Each one points at the line of the caller, not at a line of this library.
"""

import inspect
import warnings
from pathlib import Path

from conference_async.privacy import mask

_OURS = str(Path(__file__).parent)
_GENERATED = "<attrs generated"


class ConferenceWarning(UserWarning):
    """The root of every warning of this library."""


class IgnoredParameter(ConferenceWarning):
    """A parameter was given that the service ignores in this request."""


class PersonalData(ConferenceWarning):
    """A name or label looks like a phone number or email address; it ends up in URLs and logs."""


def notify(category: type[ConferenceWarning], message: str) -> None:
    """Warn at the innermost line outside this package, with numbers masked.

    Args:
        category: The kind of warning.
        message: What is ignored or advised against, and what to do instead.
    """
    depth, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith((_OURS, _GENERATED)):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(mask(message), category, stacklevel=depth)
