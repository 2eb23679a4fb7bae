"""What a worker measures: by OpenTelemetry, for whatever reads that, and for Prometheus."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from conference_async.telemetry import Telemetry


@attrs.frozen
class Measures:
    """What watches a client, and what Prometheus reads of it."""

    telemetry: "Telemetry | None"
    """To be handed to the client; None without the extra ``otel``."""

    exposed: Callable[[], tuple[bytes, str]] | None
    """Returns what Prometheus reads, and the type of that text; None without its extra."""


def measures(*, scraped: bool) -> Measures:
    """Return what measures.

    Spans and measurements go to the providers that the process was set up with, as by
    ``opentelemetry-instrument``. Where none was set up for measurements, they are kept for
    Prometheus.

    Args:
        scraped: Whether there is a port where Prometheus could read them.
    """
    if find_spec("opentelemetry") is None:
        return Measures(None, None)
    from conference_async.telemetry import Telemetry

    if not scraped or find_spec("prometheus_client") is None:
        return Measures(Telemetry(), None)
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.metrics import get_meter_provider
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        ProcessCollector,
        generate_latest,
    )

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    own = None
    if not isinstance(get_meter_provider(), MeterProvider):
        own = MeterProvider([PrometheusMetricReader(registry=registry)])
    return Measures(
        Telemetry(meter_provider=own),
        lambda: (generate_latest(registry), CONTENT_TYPE_LATEST),
    )
