"""The requests that came, and how often each target was called."""

from collections import Counter, deque
from collections.abc import Mapping

import attrs

from conference_async.emulator.routing import Kind

KEPT_HEADERS = (
    "Accept",
    "Accept-Charset",
    "Content-Type",
    "Idempotency-Key",
    "Retry-After",
    "User-Agent",
)
"""Headers that are recorded; credentials are not among them."""


@attrs.frozen(kw_only=True)
class Request:
    """One request as it came."""

    kind: Kind
    """The operation: create, fetch, list, …, or ``unknown``."""
    method: str
    """The HTTP method."""
    path: str = attrs.field(repr=False)
    """The raw path, without the query."""
    query: Mapping[str, list[str]] = attrs.field(repr=False)
    """The query parameters, decoded."""
    form: Mapping[str, list[str]] = attrs.field(repr=False)
    """The form parameters, decoded."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """A few headers, no credentials among them."""
    at: float
    """Loop time of its arrival."""
    status: int | None = None
    """The HTTP status of the answer; None if there was none."""
    fault: str | None = None
    """The fault that spoiled it."""


class Recorder:
    """Keeps the latest requests, and counts all of them."""

    def __init__(self) -> None:
        self.requests: deque[Request] = deque(maxlen=20_000)
        self.kinds: Counter[str] = Counter()
        self.rings: Counter[str] = Counter()
        self.starts: deque[float] = deque(maxlen=1_000_000)

    def forget(self) -> None:
        """Begin again at nothing."""
        for kept in (self.requests, self.kinds, self.rings, self.starts):
            kept.clear()

    def received(self, request: Request) -> None:
        """Keep a request and count its kind."""
        self.requests.append(request)
        self.kinds[request.kind] += 1

    def placed(self, to: str, at: float) -> None:
        """Count an accepted create."""
        self.rings[to] += 1
        self.starts.append(at)
