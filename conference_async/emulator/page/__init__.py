"""The page at the emulator's root: what goes on, live, and buttons to meddle with it."""

from conference_async.emulator.page.overview import Overview
from conference_async.emulator.page.site import Site

__all__ = ["Overview", "Site"]
