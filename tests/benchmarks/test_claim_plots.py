"""Gates are read from the table in the order of their levels, once per arm and seed."""

from __future__ import annotations

from benchmarks.claim_plots import curves_of


def test_gates_by_level() -> None:
    rows = [
        {"claim": "gates", "arm": "both", "seed": "0", "gates": "level 10: 0.5 level 2: 1.25"},
        {"claim": "gates", "arm": "both", "seed": "1", "gates": "level 2: 1 level 10: 0.75"},
        {"claim": "gates", "arm": "none", "seed": "0", "gates": ""},
        {"claim": "gate", "arm": "gated", "seed": "0", "gates": "level 0: 0.9"},
    ]
    assert curves_of(rows) == {"both": {"0": (1.25, 0.5), "1": (1.0, 0.75)}}
