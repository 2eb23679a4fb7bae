"""Waiting for what happens on the phone: by callbacks, or by asking again and again."""

from conference_async.waiting.call_view import CallView, Unknown
from conference_async.waiting.callbacks import Calls
from conference_async.waiting.goals import (
    CallbackFields,
    Called,
    LabelledFields,
    Mark,
    Placed,
    Waits,
)

__all__ = [
    "CallView",
    "CallbackFields",
    "Called",
    "Calls",
    "LabelledFields",
    "Mark",
    "Placed",
    "Unknown",
    "Waits",
]
