"""What the page about streams quotes from the results of benchmarks."""

from __future__ import annotations

from tests.house.quoted import Rows, one_row, rows_of


def streaming() -> Rows:
    """How a stream overlaps its stages, and whether its memory stays the same."""
    overlap, processor, steady = (
        one_row("streaming", what=what) for what in ("overlap", "processor", "steady")
    )
    return [
        ["reading a frame alone (ms)", overlap["read_ms"]],
        ["the network, which only waits (ms)", overlap["network_ms"]],
        ["writing a frame alone (ms)", overlap["write_ms"]],
        ["share of a bare loop's rate", overlap["share_of_bare_loop"]],
        ["reading, processor time (ms)", processor["read_ms"]],
        ["a real network, processor time (ms)", processor["network_ms"]],
        ["writing, processor time (ms)", processor["write_ms"]],
        ["share of a bare loop, in processor time", processor["share_of_bare_loop"]],
        ["frames of the camera", steady["frames"]],
        ["times that it was lost", steady["reconnections"]],
        ["memory per 1000 frames, second half (KiB)", steady["slope_kib_per_1000_frames"]],
        ["threads at the half, at the end", f"{steady['threads_half']}, {steady['threads_end']}"],
        ["open files at the half, at the end", f"{steady['files_half']}, {steady['files_end']}"],
        [
            "load average of the three parts",
            f"{overlap['load']}, {processor['load']}, {steady['load']}",
        ],
    ]


def live_age() -> Rows:
    """How old a live stream's frames are when their answers are there."""
    (row,) = rows_of("live_age")
    return [
        ["seconds", row["seconds"]],
        ["frames answered, dropped", f"{row['frames']}, {row['dropped']}"],
        ["network, p99 (ms)", row["network_p99_ms"]],
        ["age, p50 (ms)", row["age_p50_ms"]],
        ["age, p99 (ms)", row["age_p99_ms"]],
        ["two p99 of the network and a frame interval (ms)", row["limit_ms"]],
        ["lag of the plain loop at the end (s)", row["plain_lag_at_the_end_s"]],
        ["load average, before and after", row["load"]],
    ]


def coding_share() -> Rows:
    """What a run reaches of its slowest stage, where that is reading or writing."""
    keys = ("read_ms", "network_ms", "write_ms", "run_ms")
    shares = ("share_of_slowest", "share_of_bound", "processor_share")
    return [[row["what"], *(row[key] for key in keys + shares)] for row in rows_of("coding_share")]
