"""``edgeunet doctor``: what this machine has, and how to install what it lacks."""

from __future__ import annotations

from edgeunet.cli.console import note, print_json, print_table, stdout
from edgeunet.cli.options import AsJson
from edgeunet.doctor import Examination, Level, Machine, examine
from edgeunet.errors import EngineError

_WORD = {Level.OK: "", Level.NOTE: "note", Level.WARNING: "warning", Level.PROBLEM: "problem"}


def command(
    as_json: AsJson = False,
) -> None:
    """Report what this machine has and lacks for running bundles.

    For what it lacks, print the command that installs it.
    """
    note("looking; heavy packages are loaded in processes of their own ...")
    examination = examine(Machine())
    if as_json:
        print_json(examination.document())
    else:
        _print(examination)
    if not examination.engines:
        raise EngineError(
            "no engine can run a bundle on this machine",
            hint='pip install "edgeunet[cpu]" runs on the processor; '
            "what keeps TensorRT away stands above",
        )


def _print(examination: Examination) -> None:
    print_table(
        "this machine",
        ("what", "", "found"),
        [(f.topic, _WORD[f.level], f.text) for f in examination.findings],
        text_columns=3,
    )
    if examination.to_mend:
        console = stdout()
        console.print("what mends it", style="bold")
        for finding in examination.to_mend:
            console.print(f"{finding.topic}: {finding.text}", markup=False)
            for mend in finding.mend:
                console.print(f"    {mend}", markup=False)
        console.print()
    if examination.engines:
        print_table(None, ("engines that can run here",), [(", ".join(examination.engines),)])
