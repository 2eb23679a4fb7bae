"""What was already taken, remembered for a while and within bounds."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence


class Duplicates:
    """The keys of the latest requests."""

    def __init__(self, *, size: int, age: float) -> None:
        """Remember at most `size` keys, each for `age` seconds."""
        self._size = size
        self._age = age
        self._seen: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, keys: Sequence[Hashable], now: float) -> bool:
        """Return whether none of the keys was seen, and remember them if so.

        Args:
            keys: Names for the same thing; any of them tells it again.
            now: The present instant of the loop's clock, in seconds.
        """
        seen = self._seen
        while seen and next(iter(seen.values())) <= now:
            seen.popitem(last=False)
        if any(key in seen for key in keys):
            return False
        for key in keys:
            seen[key] = now + self._age
        while len(seen) > self._size:
            seen.popitem(last=False)
        return True
