"""How do the learned gates of `addunet-joint` change with depth?

    python -m benchmarks.claim_plots

Draws ``results/claims_gates.svg`` from ``results/claims.csv``: the factor of every gated skip by
level (0 is the finest), a thin line per seed and a thick one for their mean, of the network that
denoises and classifies and of the same network when nobody asks for classes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.helpers.record import RESULTS, read_csv

SOURCE, TARGET = RESULTS / "claims.csv", RESULTS / "claims_gates.svg"
_COLOURS = ("#c2571a", "#33658a")
_LEVEL = re.compile(r"level (\d+): (-?[\d.]+)")

Curves = dict[str, dict[str, tuple[float, ...]]]
"""By arm and seed, the gates from the finest level on."""


def main() -> None:
    curves = curves_of(read_csv(SOURCE))
    if not curves:
        raise SystemExit(
            f"{SOURCE.name} has no gates yet: python -m benchmarks.claims --claims gates"
        )
    draw(curves)
    print(TARGET)


def curves_of(rows: Sequence[Mapping[str, object]]) -> Curves:
    """Return the gates of the claim of that name; every sigma's row has the same ones."""
    found: Curves = defaultdict(dict)
    for row in rows:
        gates = [(int(level), float(gate)) for level, gate in _LEVEL.findall(str(row["gates"]))]
        if row["claim"] == "gates" and gates:
            found[str(row["arm"])][str(row["seed"])] = tuple(gate for _, gate in sorted(gates))
    return dict(found)


def draw(curves: Curves) -> None:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for (arm, seeds), colour in zip(curves.items(), _COLOURS, strict=False):
        for gates in seeds.values():
            axes.plot(range(len(gates)), gates, color=colour, linewidth=0.7, alpha=0.6)
        means = [fmean(level) for level in zip(*seeds.values(), strict=True)]
        plural = "s" if len(seeds) > 1 else ""
        label = f"{arm} ({len(seeds)} seed{plural})"
        axes.plot(range(len(means)), means, color=colour, linewidth=2.2, marker="o", label=label)
    axes.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xticks(range(max(len(g) for seeds in curves.values() for g in seeds.values())))
    axes.set_xlabel("level of the skip: 0 has the frame's resolution, each other half of the last")
    axes.set_ylabel("softplus(beta), 1 at the start")
    axes.legend(frameon=False)
    # The same table gives the same file.
    with rc_context({"svg.hashsalt": SOURCE.name}):
        figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
