"""The control API: what tests in Python do with the emulator, over HTTP, in any language.

``openapi.json`` beside this file describes it, and is served by it.
"""

from conference_async.emulator.control.answers import Refusal
from conference_async.emulator.control.control import Control
from conference_async.emulator.control.guard import Guard
from conference_async.emulator.control.overview import Overview

__all__ = ["Control", "Guard", "Overview", "Refusal"]
