"""A local server that behaves like the API: an independent oracle for tests and demonstrations.

It shares nothing with the client: the API's vocabulary is typed in here a second time.
"""

from conference_async.emulator.callbacks import Callback
from conference_async.emulator.emulator import Emulator
from conference_async.emulator.faults import Fault, Injection
from conference_async.emulator.parties import Account, Call, Room
from conference_async.emulator.recorder import Request
from conference_async.emulator.scripts import Script

__all__ = [
    "Account",
    "Call",
    "Callback",
    "Emulator",
    "Fault",
    "Injection",
    "Request",
    "Room",
    "Script",
]
