"""``edgeunet doctor``: a table or one document on stdout, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeunet.cli import doctor
from edgeunet.doctor import Machine
from edgeunet.doctor.machine import Outcome
from tests.cli.command import edgeunet
from tests.doctor.machines import BARE, OLD_NANO, ORIN_NANO, Simulated, meminfo


def _on(simulated: Simulated, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = simulated.machine(root)
    monkeypatch.setattr(doctor, "Machine", lambda: machine)


def test_a_table_and_what_mends_each_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(ORIN_NANO.with_(files={"/proc/meminfo": meminfo(3425, 1000)}), tmp_path, monkeypatch)
    ran = edgeunet("doctor")
    assert ran.code == 0
    assert "JetPack 6.2 (L4T 36.4.3)" in ran.out
    assert "    end other programs, or plan with --budget 750MiB\n" in ran.out
    assert ran.out.rstrip().endswith("tensorrt, onnxruntime")
    assert "error:" not in ran.err


def test_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on(ORIN_NANO, tmp_path, monkeypatch)
    ran = edgeunet("doctor", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["jetpack"] == "6.2"


@pytest.mark.parametrize("simulated", [BARE, OLD_NANO])
def test_where_nothing_runs_it_fails_after_saying_why(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on(simulated, tmp_path, monkeypatch)
    ran = edgeunet("doctor", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["engines"] == []
    assert ran.err.splitlines()[-2:] == [
        "error: no engine can run a bundle on this machine",
        'hint: pip install "edgeunet[cpu]" runs on the processor; what keeps TensorRT away '
        "stands above",
    ]
    assert "what mends it" in edgeunet("doctor").out


def test_this_machine_is_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own files; only the packages, which take long to load, are not asked."""
    monkeypatch.setattr(doctor, "Machine", lambda: Machine(run=_installed_nowhere))
    document = json.loads(edgeunet("doctor", "--json").out)
    topics = {finding["topic"] for finding in document["findings"]}
    assert {"board", "gpu", "python", "onnxruntime", "memory", "disk", "cameras"} <= topics


def _installed_nowhere(words: Sequence[str], timeout_s: float) -> Outcome:
    return Outcome(None, err="No such file or directory")


def test_it_takes_nothing_else() -> None:
    message, hint = edgeunet("doctor", "please").failure
    assert "unexpected extra argument" in message
    assert hint == "see: edgeunet doctor --help"
