"""How a run stands, as a JSON document: for JSON lines and for the preview."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgeunet.stream.meter import Latency
from edgeunet.stream.run_summary import RunStatus


def status_document(status: RunStatus) -> dict[str, Any]:
    """Return the JSON document of a status; times in seconds or milliseconds, as keys say."""
    return {
        "running_s": round(status.running_s, 3),
        "frames": status.frames,
        "total": status.total,
        "fps": round(status.frames_per_second, 3),
        "fresh_s": None if status.fresh_s is None else round(status.fresh_s, 3),
        "dropped": status.dropped,
        "reconnections": status.reconnections,
        "latency_ms": times_document(status.latency_ms),
        "age_ms": times_document(status.age_ms),
        "sinks": [
            {
                "sink": sink.name,
                "written": sink.written,
                "missed": sink.missed,
                "failure": sink.failure,
            }
            for sink in status.sinks
        ],
        "resident_bytes": status.resident_bytes,
        "hangs": [{"stage": hang.stage, "busy_s": round(hang.busy_s, 1)} for hang in status.hangs],
    }


def times_document(times: Latency | None) -> dict[str, float] | None:
    """Return percentiles and mean in milliseconds, rounded to a microsecond."""
    if times is None:
        return None
    return {
        "p50": round(times.p50, 3),
        "p95": round(times.p95, 3),
        "p99": round(times.p99, 3),
        "mean": round(times.mean, 3),
    }


def resident_bytes() -> int:
    """Return the memory of this process that is in use now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
