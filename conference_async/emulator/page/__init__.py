"""The page at the emulator's root: rooms, calls, pace and requests, live, with buttons for them."""

from conference_async.emulator.page.site import Site

__all__ = ["Site"]
