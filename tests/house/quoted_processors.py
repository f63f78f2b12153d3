"""The tables of docs/findings/processors.md, from CSV files alone."""

from __future__ import annotations

import statistics

from edgeunet.units import MIB
from tests.house.quoted import Rows, one_row, rounded, rows_of

_TITLES = {
    "here": "AVX-512 with VNNI",
    "avx512": "AVX-512 without VNNI",
    "avx2-vnni": "AVX2 with AVX-VNNI",
    "avx2": "AVX2",
    "x86-64": "x86-64 without AVX2",
    "cortex-a76": "Cortex-A76",
    "cortex-a72": "Cortex-A72",
}
_FIRST = "here"
_LAYOUTS = ("plain", "laid out")


def predicted_over_needed() -> Rows:
    """What is predicted on each processor, as a share of what is needed."""
    rows = []
    for name, title in _TITLES.items():
        shares = sorted(float(row["predicted_ratio"]) for row in _of(name))
        figures = (shares[0], statistics.median(shares), shares[-1])
        rows.append([title, str(len(shares)), *(rounded(str(one), 2) for one in figures)])
    return rows


def answers() -> Rows:
    """How far answers on each processor are from those of the first one."""
    rows = []
    for name, title in _TITLES.items():
        if name == _FIRST:
            continue
        shares = [_largest_share(name, "differing_share", precision) for precision in _PRECISIONS]
        labels = _largest_share(name, "labels_share", "int8")
        rows.append([title, *shares, labels, f"{rounded(str(_largest_loss(name)), 4)} dB"])
    return rows


_PRECISIONS = ("fp32", "int8")


def integer_layout() -> Rows:
    """What the layout of INT8 graphs changes: without it, and with it."""
    rows = []
    for row in rows_of("integer_layout"):
        if row["layout"] != _LAYOUTS[0] or row["processor"] != "arm64":
            continue
        about = {"model": row["model"], "run": row["run"]}
        run = "whole" if row["run"] == "whole" else "windows"
        cells = [f"`{row['model']}`, {run}", _both("kernels", about, "arm64")]
        cells += [_both("region_bytes", about, name) for name in ("avx512-vnni", "avx2", "arm64")]
        plain, laid = (int(_layout(about, one, "arm64")["macs"]) for one in _LAYOUTS)
        rows.append([*cells, f"{100 * (laid / plain - 1):+.1f} %"])
    return rows


def _both(key: str, about: dict[str, str], processor: str) -> str:
    """Return a figure without the layout and with it."""
    found = [_layout(about, one, processor)[key] for one in _LAYOUTS]
    shown = [f"{int(one) / MIB:.2f}" for one in found] if key == "region_bytes" else found
    return " / ".join(shown)


def _layout(about: dict[str, str], layout: str, processor: str) -> dict[str, str]:
    return one_row("integer_layout", **about, layout=layout, processor=processor)


def _of(machine: str) -> list[dict[str, str]]:
    return [row for row in rows_of("emulated") if row["machine"] == machine]


def _largest_share(machine: str, key: str, precision: str) -> str:
    found = [row[key] for row in _of(machine) if row["precision"] == precision and row[key]]
    largest = 100 * max(map(float, found))
    return f"{largest:.4f} %" if largest else "none"


def _largest_loss(machine: str) -> float:
    return max(
        abs(float(row["loss_db"]) - float(_same_case(row)["loss_db"]))
        for row in _of(machine)
        if row["loss_db"]
    )


def _same_case(row: dict[str, str]) -> dict[str, str]:
    """Return the row of the first processor."""
    return one_row(
        "emulated",
        machine=_FIRST,
        model=row["model"],
        precision=row["precision"],
        run=row["run"],
    )
