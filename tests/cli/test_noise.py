"""``edgeunet noise`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from edgeunet.noise_profile.profile import read_profile
from tests.cli.command import contents, edgeunet
from tests.noise_profile.scenes import Bytes, correlated_shots, ramp, shots, textured


def _save(folder: Path, images: list[Bytes]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images, 1):
        cv2.imwrite(str(folder / f"{number}.png"), image[:, :, ::-1])
    return folder


@pytest.fixture
def wall(there: Path) -> Path:
    return _save(there / "wall", shots(ramp(96, 128), 4))


def test_the_tables_say_what_the_noise_is_and_which_weights_suit(wall: Path) -> None:
    ran = edgeunet("noise", "wall")
    assert ran.code == 0, ran.err
    words = ran.out.split()
    assert "noise of wall: 4 shots of 96x128" in " ".join(words)
    for row in ("luma, horizontal", "Cb, vertical", "Cr, diagonal", "offset of rows"):
        assert row in ran.out
    kind, suits = ran.notes
    assert kind.startswith("the noise is white: its largest correlation to a neighbour is ")
    assert suits.startswith("weights trained for such noise: ")


def test_correlated_noise_is_called_so(there: Path) -> None:
    _save(there / "wall", correlated_shots(ramp(96, 128), 4))
    ran = edgeunet("noise", "wall")
    assert ran.code == 0, ran.err
    assert ran.notes[0].startswith("the noise is correlated: its largest correlation")
    assert "+0.6" in ran.notes[0] or "+0.7" in ran.notes[0]


def test_noise_stronger_than_trained_for_is_said(there: Path) -> None:
    generator = np.random.default_rng(0)
    scene = np.full((96, 128, 3), 128.0)
    images = [
        np.clip(scene + generator.normal(0, 75, scene.shape), 0, 255).astype(np.uint8)
        for _ in range(4)
    ]
    _save(there / "night", images)
    document = json.loads(edgeunet("noise", "night", "--json").out)
    outside = [entry for entry in document["suits"] if not entry["in_range"]]
    assert outside
    assert all(entry["trained_for"][1] < document["sigma"] for entry in outside)
    name = outside[0]["recipe"]
    assert any(
        line.startswith(f"{name} was trained for sigma 0 to ") and line.endswith(" is outside")
        for line in edgeunet("noise", "night").notes
    )


def test_json_profile_and_plot_say_the_same(wall: Path, there: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("--json", "--profile", "out/me.toml", "--plot", "out/me.svg", "--frames", "3")
    ran = edgeunet("noise", "wall", *words)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    profile = read_profile(there / "out" / "me.toml")
    assert document["profile"]["shots"] == profile.shots == 3
    assert document["profile"]["curves"]["luma"]["deviation"] == list(profile.curves.luma.deviation)
    assert document["sigma"] == pytest.approx(profile.sigma, abs=1e-3)
    assert document["white"] is profile.white is True
    assert document["lags"] == [1, 2, 4]
    assert document["written"] == "out/me.toml"
    assert document["warnings"] == []
    svg = (there / "out" / "me.svg").read_bytes()
    assert b"<svg" in svg
    edgeunet("noise", "wall", "--frames", "3", "--plot", "again.svg")
    assert (there / "again.svg").read_bytes() == svg


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("nowhere",), 1, "there is no file or folder 'nowhere'", "check the path"),
        (("wall", "--frames", "0"), 2, "0 is not a number of shots", "use --frames 2 to 100000"),
        (
            ("wall", "--profile", "me.json"),
            2,
            "a noise profile is a TOML file, and 'me.json' does not end in .toml",
            "write --profile FILE.toml",
        ),
        (
            ("wall", "--plot", "me.pdf"),
            2,
            "cannot draw 'me.pdf': its ending says no known format",
            "end the name in .png or .svg",
        ),
        (("wall", "--size", "big"), 2, "'big' is not a frame size", "write height x width"),
        (("0x", "--frames", "2"), 1, "there is no file or folder '0x'", "check the path"),
    ],
)
def test_what_cannot_be_measured(
    wall: Path, there: Path, words: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    before = contents(there)
    ran = edgeunet("noise", *words)
    assert ran.code == code
    assert ran.failure[0].startswith(message)
    assert ran.failure[1].startswith(hint)
    assert contents(there) == before


def test_a_scene_that_moves_writes_nothing(there: Path) -> None:
    first, second = shots(textured(), 2)
    _save(there / "street", [first, np.roll(second, 2, axis=0)])
    before = contents(there)
    ran = edgeunet("noise", "street", "--profile", "me.toml")
    assert ran.code == 1
    assert ran.failure[0].startswith("the picture moves by about 2.")
    assert "between 1.png and 2.png" in ran.failure[0]
    assert contents(there) == before


def test_an_image_is_not_drawn_over(wall: Path, there: Path) -> None:
    before = contents(there)
    ran = edgeunet("noise", "wall", "--plot", "wall/2.png")
    assert ran.code == 2
    assert ran.failure == (
        "--plot would write over wall/2.png, which is measured",
        "choose another name",
    )
    assert contents(there) == before
