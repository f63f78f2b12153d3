"""What docs/findings/latency.md quotes, from CSV files alone."""

from __future__ import annotations

from tests.house.quoted import Rows, rounded, rows_of

_ASKED = {
    "none": "whole",
    "auto": "`--tile auto`",
    "200MiB": "`--budget 200MiB`",
    "120MiB": "`--budget 120MiB`",
}
_SUBJECTS = [(model, size) for size in ("720x1280", "1080x1920") for model in ("unetmm", "joint")]


def latency(threads: str, figure: str) -> Rows:
    """A figure of every way to run a frame, for each network and size; empty where it has none."""
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for row in rows_of("latency"):
        if row["threads"] != threads:
            continue
        title = row["run"]
        if title == "edgeunet":
            title = f"{row['precision'].upper()}, {_ASKED[row['windows']]}"
            title += ", 2 workers" if row["workers"] == "2" else ""
            title += ", threads spin" if row["spinning"] == "on" else ""
        rows.setdefault(title, {})[row["model"], row["size"]] = row[figure]
    return [
        [title, *(rounded(of[one], 2) if one in of else "" for one in _SUBJECTS)]
        for title, of in rows.items()
    ]


def latency_span(threads: str, figure: str, **wanted: str) -> str:
    """Return the smallest and the largest of a figure over all networks and sizes, as in a text."""
    wanted = {"run": "edgeunet", "spinning": "off", "threads": threads, **wanted}
    rows = [
        row for row in rows_of("latency") if all(row[key] == is_ for key, is_ in wanted.items())
    ]
    assert len(rows) == len(_SUBJECTS)
    least, most = (pick((row[figure] for row in rows), key=float) for pick in (min, max))
    return f"{rounded(least, 2)} to {rounded(most, 2)}"


def workers() -> Rows:
    """What one worker and two take."""
    return [
        [
            f"{row['precision'].upper()}, {_ASKED[row['windows']]}",
            row["workers"],
            row["predicted_mib"],
            row["measured_mib"],
        ]
        for row in rows_of("workers")
    ]
