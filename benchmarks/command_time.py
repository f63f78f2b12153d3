"""How much processor time do commands take, beside an earlier checkout of edgeunet?

    python -m benchmarks.command_time --before CHECKOUT [--rounds N]

CHECKOUT is a folder with another version of the repository, such as
``git worktree add ../before COMMIT``. Both versions run in turn with this Python and its
packages, so a busy machine slows both. The figure is the median of the ratios. What is counted is
the processor time of a command and of all its children, which waiting for others does not change.
Both must report the same bytes, or the script stops. Writes ``results/command_time.csv``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.helpers.record import write_csv
from edgeunet.cli.console import note, print_table

NAME = "command_time"
HERE = Path(__file__).resolve().parents[1]
# Both versions take the earlier one's recipe, weights and calibration set.
COMMANDS = {
    "memory --measure": (
        "memory {before}/export/unetmm.toml --size 1080x1920 --budget 200MiB --measure --json",
        "arena_bytes",
    ),
    "export --int8 --budget": (
        "export --model {before}/export/unetmm.toml --size 1080x1920 --int8 --budget 64MiB "
        "--calibration {before}/calibration/photographs.toml --json",
        "memory",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows, table = [], []
    earlier = arguments.before.resolve()
    for name, (command, key) in COMMANDS.items():
        words = command.format(before=earlier).split()
        seconds: dict[str, list[float]] = {"before": [], "after": []}
        for _ in range(arguments.rounds):
            answers = {}
            for side, checkout in (("before", earlier), ("after", HERE)):
                taken, document = _run(checkout, words)
                seconds[side].append(taken)
                answers[side] = document[key]
                note(f"{name}, {side}: {taken:.1f} s of processor time")
            if answers["before"] != answers["after"]:
                raise SystemExit(f"{name} answers {answers['after']}, before {answers['before']}")
        ratio = statistics.median(
            after / before
            for before, after in zip(seconds["before"], seconds["after"], strict=True)
        )
        before, after = (statistics.median(seconds[side]) for side in ("before", "after"))
        rows.append(
            {
                "command": name,
                "before_s": round(before, 2),
                "after_s": round(after, 2),
                "ratio": round(ratio, 3),
                "rounds": arguments.rounds,
            }
        )
        table.append((name, f"{before:.1f} s", f"{after:.1f} s", f"{ratio:.2f}"))
    path = write_csv(NAME, rows)
    print_table("processor time", ("command", "before", "after", "after / before"), table)
    note(f"wrote {path}")


def _run(checkout: Path, words: list[str]) -> tuple[float, dict[str, object]]:
    """Return the seconds of processor time that a command took, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        where = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "edgeunet", *words],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, **where},
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{checkout}: {done.stderr}")
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return taken, json.loads(done.stdout)


if __name__ == "__main__":
    main()
