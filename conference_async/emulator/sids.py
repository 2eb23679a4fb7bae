"""Identifiers that look like the service's and remember the order in which they were issued."""

import hashlib
import random
import re

_ISSUED = re.compile(r"[A-Z]{2}[0-9a-f]{32}")


class SidMint:
    """Issues SIDs: two letters and 32 hex digits, of which the first 12 are a serial number.

    The other 20 are keyed, so a SID cannot be made up, and whether we issued one can be checked
    without keeping it. So page tokens stay valid when the row that they name is over.
    """

    def __init__(self, randomness: random.Random) -> None:
        self._key = randomness.randbytes(16)
        self._issued = 0

    def issue(self, prefix: str) -> str:
        """Return the next SID with this two-delivery prefix."""
        self._issued += 1
        return self._compose(prefix, self._issued)

    def issued(self, sid: str) -> bool:
        """Return whether `sid` was issued here."""
        return _ISSUED.fullmatch(sid) is not None and self._compose(sid[:2], serial_of(sid)) == sid

    def _compose(self, prefix: str, serial: int) -> str:
        head = f"{prefix}{serial:012x}"
        return head + hashlib.blake2s(head.encode(), key=self._key, digest_size=10).hexdigest()


def serial_of(sid: str) -> int:
    """Return the serial number inside an issued SID: its place in the order of creation."""
    return int(sid[2:14], 16)
