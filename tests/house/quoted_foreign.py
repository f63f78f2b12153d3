"""The table of networks of others as its source says it; see ``quoted.py``."""

from __future__ import annotations

import statistics

from tests.house.quoted import Rows, mib, rounded, rows_of


def foreign_networks() -> Rows:
    """Networks of others: onnxruntime's own, whole and in windows."""
    found = []
    for name in dict.fromkeys(row["network"] for row in rows_of("foreign")):
        own, whole, tiled = (row for row in rows_of("foreign") if row["network"] == name)
        sizes = [own["measured_bytes"]]
        for row in (whole, tiled):
            sizes += [row["predicted_bytes"], row["measured_bytes"]]
        times = [whole["time_ratio"], tiled["time_ratio"]]
        found.append([name, tiled["levels"], *map(mib, sizes), tiled["to_default"], *times])
    return found


def networks_cut() -> Rows:
    """Return what becomes of every network of the zoo."""
    return [
        [
            row["network"],
            row["size"],
            row["outcome"],
            row["whole_mib"],
            row["auto_mib"],
            rounded(row["share"], 2) if row["share"] else "",
            row["operator"].replace("operator ", "").split(" (")[0],
            row["held_mib"],
        ]
        for row in rows_of("foreign_cuts")
    ]


def regions() -> Rows:
    """Regions of the arena that are predicted for networks of others, over those that they need."""
    found = []
    for run in ("whole", "--tile auto"):
        rows = [row for row in rows_of("foreign_regions") if row["run"] == run]
        ratios = [float(row["ratio"]) for row in rows]
        stages, equal = (sum(int(row[key]) for row in rows) for key in ("stages", "stages_equal"))
        figures = (min(ratios), statistics.median(ratios), max(ratios))
        title = "whole frames" if run == "whole" else f"`{run}`"
        shown = map("{:.2f}".format, figures)
        found.append([title, str(len(rows)), f"{equal} of {stages}", *shown])
    return found
