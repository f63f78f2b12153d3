"""The table of budgets in docs/findings/windows.md, from its CSV file alone."""

from __future__ import annotations

import statistics

from tests.house.quoted import Rows, rounded, rows_of

_PROCESSORS = {"here": "AVX-512, VNNI", "avx2": "AVX2"}
GOOD = frozenset({"kept", "right"})


def budgets() -> Rows:
    """Per case: accepted and refused budgets, all of them rightly, and predicted over measured."""
    cases: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows_of("budgets"):
        key = row["model"], row["precision"], row["size"], row["processor"]
        cases.setdefault(key, []).append(row)
    found = []
    for (model, precision, size, processor), rows in cases.items():
        assert {row["verdict"] for row in rows} <= GOOD
        accepted = [row for row in rows if row["answer"] == "accepted"]
        least = min(float(row["budget_mib"]) for row in accepted)
        shares = sorted({float(row["prediction_ratio"]) for row in rows})
        figures = (shares[0], statistics.median(shares), shares[-1])
        found.append(
            [
                f"`{model}`, {precision.upper()}",
                size,
                _PROCESSORS[processor],
                str(len(accepted)),
                str(len(rows) - len(accepted)),
                rounded(str(least), 1),
                *(rounded(str(one), 2) for one in figures),
            ]
        )
    return found
