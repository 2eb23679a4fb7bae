"""Made-up numbers at whose other end something else happens than a person who picks up.

The `emulator` fixture and ``conference-async emulator`` know them; one of your own learns them by
``for number, script in SCRIPTS.items(): emulator.script(number, script)``. Every other number is
answered by a person who stays on the line.
"""

from collections.abc import Mapping

from conference_async.emulator.calls.scripts import Script

BUSY = "+15550000001"
"""Is busy."""
NEVER_ANSWERS = "+15550000002"
"""Rings until the call's ``timeout`` and its five seconds of grace are over."""
MACHINE = "+15550000003"
"""An answering machine picks up, and is reported as such if the call asks for detection."""
UNREACHABLE = "+15550000004"
"""The call fails at once."""
HANGS_UP = "+15550000005"
"""A person picks up, and hangs up ten seconds later."""

SCRIPTS: Mapping[str, Script] = {
    BUSY: Script(outcome="busy"),
    NEVER_ANSWERS: Script(outcome="no_answer"),
    MACHINE: Script(answered_by="machine_start", detected_after=2.0),
    UNREACHABLE: Script(outcome="failed", after=0.0),
    HANGS_UP: Script(hang_up_after=10.0),
}
"""How calls to these numbers go."""
