"""Unusual boards, drivers and JetPack releases."""

from __future__ import annotations

from pathlib import Path

from tests.doctor.looking import look, of, said
from tests.doctor.machines import DESKTOP, ORIN_NANO, broken, tegra_release


def test_a_driver_that_does_not_answer(tmp_path: Path) -> None:
    refused = broken("RuntimeError: cuInit: CUDA_ERROR_NO_DEVICE")
    simulated = ORIN_NANO.with_(packages={"driver": refused})
    found = look(simulated, tmp_path)
    assert found.engines == ("onnxruntime",)
    assert said(found, "gpu") == (
        "problem",
        "CUDA cannot be used: RuntimeError: cuInit: CUDA_ERROR_NO_DEVICE",
        ("sudo usermod -aG video,render $USER, and log in again",),
    )
    inside = simulated.with_(files={"/.dockerenv": "", "/etc/nv_tegra_release": None})
    (tmp_path / "etc/nv_tegra_release").unlink()
    contained = look(inside, tmp_path)
    assert of(contained, "gpu").mend == ("start the container with: docker run --runtime nvidia",)
    assert said(contained, "jetpack") == (
        "warning",
        "the L4T release cannot be read from /etc/nv_tegra_release",
        ("in a container, mount it: docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro",),
    )
    desktop = look(DESKTOP.with_(packages={"driver": refused}), tmp_path / "desktop")
    assert said(desktop, "gpu")[2] == (
        "nvidia-smi says why; after an update of the driver: sudo reboot",
    )


def test_the_release_is_read_from_the_package_without_the_file(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={"/etc/nv_tegra_release": None},
        commands={"dpkg-query": "36.4.7-20250918154033"},
    )
    assert of(look(simulated, tmp_path), "jetpack").text == "JetPack 6.2.1 (L4T 36.4.7)"


def test_an_unknown_release_and_board(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(
        files={
            "/etc/nv_tegra_release": tegra_release(41, "1.0"),
            "/proc/device-tree/compatible": b"nvidia,p9999-0000\0nvidia,tegra999\0",
            "/proc/device-tree/model": b"NVIDIA Jetson Next\0",
        }
    )
    found = look(simulated, tmp_path)
    assert said(found, "jetpack") == (
        "note",
        "L4T 41.1.0 is not in the table, whose newest is 39.2.2 (JetPack 7.2.2)",
        (),
    )
    assert said(found, "board") == (
        "note",
        "NVIDIA Jetson Next: not in the list of --board",
        ("give --budget instead of --board",),
    )
    assert found.engines == ("tensorrt", "onnxruntime")


def test_a_jetpack_older_than_the_board(tmp_path: Path) -> None:
    simulated = ORIN_NANO.with_(files={"/etc/nv_tegra_release": tegra_release(35, "1.0")})
    assert said(look(simulated, tmp_path), "jetpack") == (
        "warning",
        "JetPack 5.0.2 (L4T 35.1.0), and NVIDIA Jetson Orin Nano 4GB is supported from 5.1.1",
        ("flash JetPack 7.2.1",),
    )
