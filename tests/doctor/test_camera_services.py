from __future__ import annotations

from pathlib import Path

from tests.doctor.looking import look, said
from tests.doctor.machines import ORIN_NANO

UNIT = {"/etc/systemd/system/edgeunet-camera.service": "[Service]\n"}


def test_without_a_unit_there_is_no_finding(tmp_path: Path) -> None:
    found = look(ORIN_NANO, tmp_path)
    assert [finding for finding in found.findings if finding.topic == "service"] == []


def test_a_service_that_runs(tmp_path: Path) -> None:
    commands = {"systemctl is-active edgeunet-camera": "active\n"}
    found = look(ORIN_NANO.with_(files=UNIT, commands=commands), tmp_path)
    assert said(found, "service") == ("ok", "edgeunet-camera is active: frames flow", ())


def test_a_service_that_does_not(tmp_path: Path) -> None:
    mend = ("sudo systemctl enable --now edgeunet-camera", "journalctl -u edgeunet-camera -n 30")
    for state, commands in (
        ("failed", {"systemctl is-active edgeunet-camera": "failed\n"}),
        ("not known to systemctl", {}),
    ):
        found = look(ORIN_NANO.with_(files=UNIT, commands=commands), tmp_path)
        assert said(found, "service") == ("warning", f"edgeunet-camera is {state}", mend)
