"""Whose ranges are taken, and which frames they are measured on."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from edgeunet.calibration import CalibrationSet, Member, load_calibration_set
from edgeunet.calibration.ranges import (
    SCHEMA_VERSION,
    Ranges,
    RangesKey,
    TensorRanges,
    find_ranges,
    held_back,
    ranges_path,
    write_ranges,
)
from edgeunet.choosing.int8 import int8_order
from edgeunet.errors import RecipeError
from edgeunet.recipes import folder, load_recipe
from edgeunet.specs import Calibrator, Engine

KEY = RangesKey(model="toy", width=4, calibration="street", members="m", weights="w", structure="s")
OTHER = msgspec.structs.replace(KEY, weights="others")


def write(place: Path, key: RangesKey, high: float = 1.0) -> Path:
    calibrators = dict.fromkeys(Calibrator, (-1.0, high))
    path = ranges_path(place, key)
    ranges = Ranges(
        schema=SCHEMA_VERSION,
        key=key,
        frames=(4, 1),
        fidelity_db={engine: dict.fromkeys(Calibrator, 40.0) for engine in Engine},
        factors=(1.0, 2.0),
        tensors=(TensorRanges(name="a", intervals=dict.fromkeys(Engine, calibrators)),),
    )
    write_ranges(path, ranges)
    return path


def highest(ranges: Ranges | None) -> float:
    assert ranges is not None
    return ranges.intervals(Engine.ONNXRUNTIME, Calibrator.MSE)[0][1]


def test_what_ships_serves_the_weights_that_ship(tmp_path: Path) -> None:
    shipped = write(tmp_path / "wheel", KEY, 1.0)
    own = write(tmp_path / "own", OTHER, 2.0)
    assert highest(find_ranges(shipped, own, KEY)) == 1.0
    assert highest(find_ranges(shipped, own, OTHER)) == 2.0
    own.unlink()
    assert find_ranges(shipped, own, OTHER) is None
    assert find_ranges(None, own, KEY) is None
    third = msgspec.structs.replace(KEY, weights="third")
    write(tmp_path / "own", OTHER)
    with pytest.raises(RecipeError, match=r"own.*cannot be used: it was measured with other"):
        find_ranges(shipped, own, third)


def test_in_a_checkout_what_ships_is_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, KEY)
    with pytest.raises(RecipeError, match="it was measured with other weights") as caught:
        find_ranges(path, path, OTHER)
    assert caught.value.hint == "delete the file, and the next export measures anew"


def test_shipped_ranges_that_somebody_edited_are_refused(tmp_path: Path) -> None:
    shipped = write(tmp_path / "wheel", KEY)
    document = json.loads(shipped.read_text())
    document["tensors"][0]["intervals"]["onnxruntime"]["mse"][1] = 3.0
    shipped.write_text(json.dumps(document))
    with pytest.raises(RecipeError, match="it was changed after it was written"):
        find_ranges(shipped, tmp_path / "own.json", KEY)


def test_ranges_on_a_shipped_set_are_kept_in_the_current_folder() -> None:
    choice = int8_order(load_recipe("unetmm"), calibration="photographs")
    assert (choice.folder, choice.shipped) == (Path("calibration"), folder("calibration"))


def test_ranges_on_ones_own_set_are_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "photographs.toml"
    path.write_bytes((folder("calibration") / "photographs.toml").read_bytes())
    choice = int8_order(load_recipe("unetmm"), calibration=str(path))
    assert (choice.folder, choice.shipped) == (tmp_path, None)


def of(*sigmas: float) -> CalibrationSet:
    members = tuple(
        Member(file="a", top=0, left=0, sigma=sigma, seed=0, sha256="") for sigma in sigmas
    )
    return CalibrationSet(
        schema=1, name="x", title="", licence="", height=1, width=1, members=members
    )


@pytest.mark.parametrize(
    "levels", [(0.0, 25.0), (0.0, 15.0, 25.0, 50.0), (0.0, 1.0, 2.0, 3.0, 4.0)]
)
def test_one_in_five_of_every_level_is_held_back(levels: tuple[float, ...]) -> None:
    calibration = of(*(levels * 10))
    measured, held = held_back(calibration)
    assert sorted([*measured, *held]) == list(range(len(levels) * 10))
    counts = [[calibration.members[n].sigma for n in held].count(level) for level in levels]
    assert counts == [2] * len(levels)


@pytest.mark.parametrize(("count", "held"), [(5, 1), (6, 2), (160, 32), (161, 32), (4096, 32)])
def test_few_enough_are_held_back_to_be_kept(count: int, held: int) -> None:
    assert [len(part) for part in held_back(of(*[0.0] * count))] == [count - held, held]


def test_what_is_held_back_of_the_shipped_set_is_of_many_crops() -> None:
    calibration = load_calibration_set("photographs")
    held = [calibration.members[number] for number in held_back(calibration)[1]]
    assert len({(member.source, member.top, member.left) for member in held}) > 5
