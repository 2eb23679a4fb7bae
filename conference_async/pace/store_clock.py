"""What a store's clock says, on the loop's clock."""

import asyncio
from collections import deque

_ANSWERS = 8
_FIRST_TRIP = 0.005  # what is believed of a round trip until `_ANSWERS` of them say otherwise


class StoreClock:
    """Learns from each answer how far a store's clock is from the loop's."""

    def __init__(self) -> None:
        self._offsets: deque[float] = deque()

    def offset(self, said: float, sent: float) -> float:
        """Return what to add to the store's clock to have the loop's.

        It is the least that one of the last answers took to arrive, so that no answer that was
        delayed, nor one for which the process was stopped, makes its slot look later than it is.

        Args:
            said: What the store's clock said, in seconds.
            sent: When it was asked, on the loop's clock.
        """
        if not self._offsets or min(self._offsets) < sent - said:  # the store's clock was set back
            self._offsets = deque([sent + _FIRST_TRIP - said], maxlen=_ANSWERS)
        self._offsets.append(asyncio.get_running_loop().time() - said)
        return min(self._offsets)
