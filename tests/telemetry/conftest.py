"""An emulator, and what is exported of a client that talks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from conference_async import ConferenceClient, Credentials
from conference_async.emulator import Emulator
from conference_async.telemetry import Telemetry


@attrs.frozen
class Exported:
    """A `Telemetry` on the loop's clock, and what it has exported."""

    telemetry: Telemetry
    tracers: TracerProvider
    memory: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended, in that order."""
        return self.memory.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def children(self, span: ReadableSpan) -> list[ReadableSpan]:
        """Return the spans right below one, by their beginning."""
        below = [each for each in self.spans if each.parent and each.parent == span.context]
        return sorted(below, key=lambda each: each.start_time or 0)

    def tree(self, span: ReadableSpan, depth: int = 0) -> str:
        """Draw a span and what is below it, with when each began and how long it took."""
        begun, ended = (span.start_time or 0) / 1e9, (span.end_time or 0) / 1e9
        line = f"{'  ' * depth}{span.name} {begun:g}+{round(ended - begun, 3):g}"
        return "\n".join([line, *(self.tree(each, depth + 1) for each in self.children(span))])

    @property
    def metrics(self) -> dict[str, Metric]:
        """What is measured now, by name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[tuple[Mapping[str, Any], Any]]:
        """Return attributes and value of each point of a counter or gauge."""
        metric = self.metrics.get(name)
        points: Sequence[Any] = () if metric is None else metric.data.data_points
        return [(dict(point.attributes), point.value) for point in points]


def exported_by(**options: Any) -> Exported:
    """Return a `Telemetry` that exports to memory, and counts time as the loop does."""
    memory, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(memory))
    telemetry = Telemetry(
        tracer_provider=tracers,
        meter_provider=MeterProvider([reader]),
        now=lambda: asyncio.get_running_loop().time(),
        **options,
    )
    return Exported(telemetry, tracers, memory, reader)


@pytest.fixture
def exported() -> Exported:
    """Return what is exported in this test."""
    return exported_by()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator that answers every call after half a second."""
    async with Emulator(cps=1, seed=1) as emulator:
        yield emulator


Connect = Callable[..., ConferenceClient]


@pytest.fixture
def connect(emulator: Emulator, exported: Exported) -> Connect:
    """Return what makes a client that is watched."""

    def _connect(**options: Any) -> ConferenceClient:
        known: dict[str, Any] = {
            "credentials": Credentials(emulator.account_sid, emulator.auth_token),
            "base_url": emulator.base_url,
            "telemetry": exported.telemetry,
        }
        return ConferenceClient(**(known | options))

    return _connect
