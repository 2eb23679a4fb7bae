"""What clients are at now: their line, pace, live calls, requests; what their workers hold."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from opentelemetry import metrics

from conference_async.pace.contract import Limit, LimitSnapshot
from conference_async.sending.observing import Places
from conference_async.telemetry.conventions import ACCOUNT_SID, Value, server_of

_Read: TypeAlias = Callable[[LimitSnapshot, Places], float | None]

_GAUGES: Final[tuple[tuple[str, str, str, _Read], ...]] = (
    (
        "conference_async.line.waiting",
        "{create}",
        "Creates that stand in line.",
        lambda limit, _: limit.waiting,
    ),
    (
        "conference_async.line.next_start",
        "s",
        "Time until the earliest free slot.",
        lambda limit, _: limit.next_start,
    ),
    (
        "conference_async.pace.configured",
        "{create}/s",
        "Calls per second that the account has.",
        lambda limit, _: limit.cps,
    ),
    (
        "conference_async.pace.effective",
        "{create}/s",
        "Calls per second now, lower while the service's queue drains.",
        lambda limit, _: limit.effective_cps,
    ),
    (
        "conference_async.service.queue_time",
        "ms",
        "The wait that the service last reported for a call.",
        lambda limit, _: limit.queue_time,
    ),
    (
        "conference_async.calls.live",
        "{call}",
        "Lines that are taken, where they are counted.",
        lambda limit, _: limit.live,
    ),
    (
        "conference_async.calls.limit",
        "{call}",
        "Lines that there are now, where they are counted.",
        lambda limit, _: limit.effective_max_live,
    ),
    (
        "conference_async.requests.active",
        "{request}",
        "Requests that are under way.",
        lambda _, places: places.busy,
    ),
    (
        "conference_async.requests.limit",
        "{request}",
        "Requests that may be under way now, fewer after a 429.",
        lambda _, places: places.places,
    ),
)


class Gauges:
    """Observable gauges of every client that is watched, as long as it lives.

    Args:
        meter: What makes them.
    """

    def __init__(self, meter: metrics.Meter) -> None:
        self._watched: WeakKeyDictionary[Places, tuple[Limit, dict[str, Value]]] = (
            WeakKeyDictionary()
        )
        self._holding: dict[object, tuple[str, Callable[[], int]]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that the clients were last used on."""

        for name, unit, description, read in _GAUGES:
            meter.create_observable_gauge(
                name, [partial(self._observe, read)], unit=unit, description=description
            )

        meter.create_observable_gauge(
            "conference_async.targets.in_hand",
            [self._observe_targets],
            unit="{target}",
            description="Targets that a worker holds.",
        )

    def hold(self, account_sid: str, in_hand: Callable[[], int]) -> Callable[[], object]:
        """Observe what a worker holds of an account; return what ends that."""
        key = object()
        self._holding[key] = account_sid, in_hand
        return partial(self._holding.pop, key, None)

    def _observe_targets(self, _options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        """Yield what each worker holds of each account."""
        for account_sid, in_hand in list(self._holding.values()):
            yield metrics.Observation(in_hand(), {ACCOUNT_SID: account_sid})

    def watch(self, places: Places, limit: Limit, account_sid: str, base_url: str) -> None:
        """Observe a client from now on."""
        with suppress(RuntimeError):  # it may be made before there is a loop
            self.loop = asyncio.get_running_loop()
        attributes = {ACCOUNT_SID: account_sid, **server_of(base_url)}
        self._watched.setdefault(places, (limit, attributes))

    def _observe(
        self, read: _Read, _options: metrics.CallbackOptions
    ) -> Iterable[metrics.Observation]:
        """Yield what one gauge shows of each client; exporters ask in threads of their own."""
        if not self._may_look():
            return
        for places, (limit, attributes) in list(self._watched.items()):
            try:
                value = read(limit.snapshot(), places)
            except Exception:  # noqa: BLE001, S112 -- it changes while it is read, or its store is not there: next time
                continue
            if value is not None:
                yield metrics.Observation(value, attributes)

    def _may_look(self) -> bool:
        """Return whether limits will not take the loop that runs here, if any, for their own."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return True
        return running is self.loop
