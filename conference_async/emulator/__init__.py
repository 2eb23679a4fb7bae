"""A local server that behaves like the API: an independent oracle for tests and demonstrations.

It shares nothing with the client: the API's vocabulary is typed in here a second time.
"""

from conference_async.emulator.callbacks.delivery import Callback
from conference_async.emulator.calls.directory import NoSuchCall
from conference_async.emulator.calls.scripts import Script
from conference_async.emulator.emulator import Emulator
from conference_async.emulator.faults import Fault, Injection
from conference_async.emulator.phones import CannotJoin
from conference_async.emulator.recorder import Request
from conference_async.emulator.state import Account, Call, Recording, Room

__all__ = [
    "Account",
    "Call",
    "Callback",
    "CannotJoin",
    "Emulator",
    "Fault",
    "Injection",
    "NoSuchCall",
    "Recording",
    "Request",
    "Room",
    "Script",
]
