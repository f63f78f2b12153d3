"""Figures of a run in Prometheus' text format. Only this file imports prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator

from edgeunet.errors import MissingPackageError
from edgeunet.stream.meter import Latency
from edgeunet.stream.run_summary import RunStatus

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise MissingPackageError(
        "prometheus_client", purpose="--metrics", extra="metrics"
    ) from missing

_MS_PER_S = 1e3


class MetricsPage(Collector):
    """The newest status of a run, as metrics in a registry of its own."""

    content_type: str = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._status: RunStatus | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def show(self, status: RunStatus) -> None:
        self._status = status

    def text(self) -> bytes:
        """Return the page's text."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; none before the first status."""
        status = self._status
        if status is None:
            return
        for name, what, count in (
            ("frames", "Frames that the network has finished", status.frames),
            ("dropped_frames", "Frames that came too fast for the network", status.dropped),
            ("reconnections", "How often the source was lost and came back", status.reconnections),
        ):
            yield CounterMetricFamily(f"edgeunet_{name}", what, value=count)
        written = CounterMetricFamily(
            "edgeunet_sink_frames", "Frames that a sink has", labels=["sink"]
        )
        missed = CounterMetricFamily(
            "edgeunet_sink_missed_frames", "Frames that a busy sink missed", labels=["sink"]
        )
        failed = GaugeMetricFamily(
            "edgeunet_sink_failed", "1 for a sink that has ended by an error", labels=["sink"]
        )
        for sink in status.sinks:
            written.add_metric([sink.name], sink.written)
            missed.add_metric([sink.name], sink.missed)
            failed.add_metric([sink.name], bool(sink.failure))
        yield written
        yield missed
        yield failed
        gauges: list[tuple[str, str, float]] = [
            ("frames_per_second", "Frames per second now", status.frames_per_second),
            ("resident_bytes", "Memory of the process", status.resident_bytes),
            ("hanging_stages", "Stages that hang", len(status.hangs)),
        ]
        if status.fresh_s is not None:
            gauges.append(("fresh_seconds", "Seconds since the newest frame", status.fresh_s))
        for name, what, value in gauges:
            yield GaugeMetricFamily(f"edgeunet_{name}", what, value=value)
        yield _times("network_latency", "Time in the network", status.latency_ms)
        yield _times("frame_age", "From a frame's arrival to its results", status.age_ms)


def _times(name: str, what: str, times: Latency | None) -> Metric:
    family = GaugeMetricFamily(f"edgeunet_{name}_seconds", what, labels=["quantile"])
    if times is not None:
        for quantile, value_ms in (("0.5", times.p50), ("0.95", times.p95), ("0.99", times.p99)):
            family.add_metric([quantile], value_ms / _MS_PER_S)
    return family
