"""What ``edgeunet export`` refuses: two lines that say why, and no trace of a bundle."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgeunet.recipes import folder
from tests.cli.command import RANDOM, SMALL, contents, edgeunet


def command(*words: str) -> tuple[str, ...]:
    """The random export with other words; a later option wins over an earlier one."""
    return (*RANDOM, *words)


WRONG = {
    "a model nobody knows": (
        ("export", "--model", "unetm", "--random-weights"),
        "there is no model 'unetm'",
        "did you mean 'unetmm'?",
    ),
    "no model": (("export",), "no network is given", "--onnx FILE for one of your own"),
    "a width that is none": (command("--width", "smal"), "'smal' is not a network", "small (16)"),
    "a width of nothing": (command("--width", "0"), "'0' is not a network width", "tiny (8)"),
    "a size that is none": (command("--size", "axb"), "'axb' is not a frame size", "480x640"),
    "a size of nothing": (command("--size", "0x0"), "0x0 pixels is too small", "at least 16"),
    "a size nobody has": (
        command("--size", "99999999999999999999x99999999999"),
        "99999999999999999999x99999999999 pixels is too large a frame",
        "at most 32768",
    ),
    "a width nobody has": (
        command("--width", "99999"),
        "99999 channels is too large a network width",
        "at most 1024",
    ),
    "too small a size": (command("--size", "8x8"), "8x8 pixels is too small", "at least 16"),
    "too low a size": (command("--size", "8x640"), "8x640 pixels is too small", "at least 16"),
    "a set without int8": (
        command("--calibration", "photographs"),
        "--calibration is for INT8, and the export is fp32",
        "add --int8",
    ),
    "a target without int8": (
        command("--fp16", "--target", "tensorrt"),
        "--target is for INT8, and the export is fp16",
        "leave --target out",
    ),
    "a drop without int8": (
        command("--fp32", "--max-drop", "0.1dB"),
        "--max-drop is for INT8, and the export is fp32",
        "leave --max-drop out",
    ),
    "no drop at all": (
        command("--int8", "--max-drop", "0dB"),
        "--max-drop '0dB' is no loss that could be allowed",
        "like 0.1dB",
    ),
    "windows timed in int8": (
        command("--int8", "--tune"),
        "--tune does not time INT8 windows in this version",
        "leave --tune out",
    ),
    "a target nobody knows": (
        command("--int8", "--target", "tensort"),
        "there is no target 'tensort'",
        "did you mean 'tensorrt'? known: onnxruntime, tensorrt",
    ),
    "a set nobody knows": (
        command("--int8", "--calibration", "photos"),
        "there is no calibration set 'photos'",
        "known: photographs",
    ),
    "fp32 and fp16": (command("--fp32", "--fp16"), "--fp32 and --fp16 contradict", "one precision"),
    "fp32 and int8": (command("--fp32", "--int8"), "--fp32 and --int8 contradict", "one precision"),
    "fp16 and int8": (command("--fp16", "--int8"), "--fp16 and --int8 contradict", "one precision"),
    "all precisions": (
        command("--fp32", "--fp16", "--int8"),
        "--fp32 and --fp16 and --int8 contradict each other",
        "one precision",
    ),
    "two kinds of weights": (
        command("--weights", "mine.safetensors"),
        "a weight file and random weights contradict",
        "one of them",
    ),
    "no weights at this width": (
        ("export", "--model", "unetmm", "--width", "24"),
        "no shipped weights for unetmm at width 24 (widths with weights: 8, 16)",
        "--random-weights",
    ),
    "no weights at this width, but of a deeper network": (
        ("export", "--model", "unetmm", "--width", "base"),
        "no shipped weights for unetmm at width 32 (widths with weights: 8, 16)",
        "--model unetmm-base is trained; or give --weights FILE.safetensors",
    ),
    "no weights at all": (
        ("export", "--model", "nafnet"),
        "no shipped weights for nafnet at width 32 (widths with weights: none yet)",
        "--weights FILE.safetensors",
    ),
}


@pytest.mark.parametrize(("words", "error", "hint"), WRONG.values(), ids=WRONG)
def test_a_wrong_command_line(words: tuple[str, ...], error: str, hint: str, there: Path) -> None:
    ran = edgeunet(*words)
    assert ran.code == 2
    assert error in ran.failure[0]
    assert hint in ran.failure[1]
    assert ran.notes == [], "nothing was begun"
    assert contents(there) == {}


def test_no_recipe_there(there: Path) -> None:
    ran = edgeunet("export", "--model", "./nowhere.toml", "--random-weights")
    assert ran.code == 1
    assert ran.failure[0] == "there is no recipe file './nowhere.toml'"
    assert contents(there) == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("schema = 1\nname =", "mine.toml is not a valid recipe"),
        ("\x00\xff", "mine.toml is not a valid recipe"),
        ("schema = 1", "missing required field `name`"),
        ('[weights]\nsmall = "w.safetensors"\n', "missing required field"),
    ],
)
def test_a_malformed_recipe(text: str, error: str, there: Path) -> None:
    (there / "mine.toml").write_bytes(text.encode("latin-1"))
    before = contents(there)
    ran = edgeunet("export", "--model", "mine.toml", "--random-weights")
    assert ran.code == 1
    assert error in ran.failure[0]
    assert "export/README.md" in ran.failure[1]
    assert contents(there) == before


def test_a_recipe_that_names_weights_by_words(there: Path) -> None:
    """Widths are numbers, but a slip in a recipe must not end in a traceback."""
    text = (folder("export") / "unetmm.toml").read_text()
    (there / "mine.toml").write_text(text.replace("16 = ", "small = ", 1))
    ran = edgeunet("export", "--model", "mine.toml")
    assert ran.code == 1
    assert "[weights] has the key 'small', which is not a width" in ran.failure[0]


def test_weights_beside_a_recipe_that_are_not_there(there: Path) -> None:
    text = (folder("export") / "unetmm.toml").read_text()
    (there / "mine.toml").write_text(text.replace("weights/unetmm-16", "nowhere", 1))
    before = contents(there)
    ran = edgeunet("export", "--model", "mine.toml", "--size", "32x48")
    assert ran.code == 1
    assert "there is no weight file 'nowhere.safetensors'" in ran.failure[0]
    assert "[weights] in mine.toml names it" in ran.failure[1]
    assert ran.notes == []
    assert contents(there) == before


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        ("missing", "there is no weight file"),
        ("truncated", "mine.safetensors is not a whole safetensors file"),
        ("another width", "mine.safetensors holds weights of another network"),
        ("another network", "mine.safetensors holds weights of another network"),
    ],
)
def test_weights_that_cannot_be_used(spoil: str, error: str, there: Path, weights: Path) -> None:
    path = there / "mine.safetensors"
    model, width = "unetmm", "8"
    if spoil != "missing":
        path.write_bytes(weights.read_bytes()[: -100 if spoil == "truncated" else None])
    if spoil == "another width":
        width = "16"
    if spoil == "another network":
        model = "unet"
    before = contents(there)
    ran = edgeunet(
        "export", "--model", model, "--width", width, "--size", "32x48", "--weights", path
    )
    assert ran.code == 1
    assert error in ran.failure[0]
    if spoil.startswith("another"):
        assert "they were made for unetmm at width 8" in ran.failure[1]
    assert contents(there) == before


def test_parity_that_misses_writes_nothing(there: Path) -> None:
    text = (folder("export") / "joint.toml").read_text()
    (there / "mine.toml").write_text(text + "[tolerance]\nfp16_db = 1000.0\n")
    before = contents(there)
    ran = edgeunet(
        "export", "--model", "mine.toml", *SMALL, "--fp16", "--random-weights", "--out", "b"
    )
    assert ran.code == 1
    error, hint = ran.failure
    assert "denoised on the astronaut frame has psnr_db" in error
    assert re.search(r"the limit is 1000 \(1?[0-9] of 18 checks missed\)", error)
    assert "--fp32" in hint
    assert contents(there) == before


@pytest.mark.parametrize(
    "text", ["DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes", "a bug"]
)
def test_memory_that_is_not_there(text: str, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("torch.zeros", refuse)
    if text == "a bug":
        with pytest.raises(RuntimeError, match=text):
            edgeunet(*RANDOM)
    else:
        ran = edgeunet(*RANDOM)
        assert ran.code == 1
        assert ran.failure == (
            "out of memory: unetmm at width 8 and 32x48 pixels does not fit on this machine",
            "use a smaller --size or --width",
        )
    assert contents(there) == {}


@pytest.mark.parametrize(
    ("words", "what"),
    [(RANDOM, "exporting"), (("memory", "unetmm"), "making the graph of unetmm")],
)
@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_without_a_package_the_extra_is_named(
    package: str, words: tuple[str, ...], what: str, there: Path
) -> None:
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == PACKAGE:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
from edgeunet.cli import main
sys.exit(main(sys.argv[1:]))
""".replace("PACKAGE", repr(package))
    ran = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        f"error: {what} needs the package {package!r}, which is not installed",
        'hint: pip install "edgeunet[export]"',
    ]
    assert contents(there) == {}


def test_frames_nobody_has() -> None:
    assert edgeunet(*RANDOM, "--frame", "floats").failure == (
        "there is no frame 'floats'",
        "did you mean 'float'? known: uint8, float",
    )
    assert edgeunet(*RANDOM, "--int8", "--frame", "float").failure == (
        "--frame float is for TensorRT before 8.5, for which no INT8 graph is made",
        "export --fp16 or --fp32, or leave --frame out",
    )
