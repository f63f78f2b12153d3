from __future__ import annotations

import re
from importlib import resources

import pytest

from edgeunet.boards import board_ids, find_board, read_boards
from edgeunet.errors import RecipeError, UsageError
from edgeunet.specs import Precision
from edgeunet.units import MIB

_TEXT = resources.files("edgeunet").joinpath("boards.toml").read_text(encoding="utf-8")


def _versions(texts: tuple[str, ...]) -> list[tuple[int, ...]]:
    return [tuple(int(part) for part in text.split(".")) for text in texts]


@pytest.mark.parametrize("board_id", board_ids())
def test_a_board_is_consistent(board_id: str) -> None:
    board = find_board(board_id)
    assert board.id == board_id
    assert board.name.startswith("NVIDIA Jetson ")
    assert 0 < board.usable_bytes < board.memory_bytes
    assert board.usable_bytes == board.memory_bytes - board.reserved_bytes
    assert board.memory_bytes % (1024 * MIB) == 0, "modules have whole GiB"
    assert re.fullmatch(r"\d+\.\d", board.compute_capability)
    assert board.precisions
    assert Precision.FP32 not in board.precisions
    assert (Precision.INT8 in board.precisions) == (float(board.compute_capability) >= 7.2)
    assert board.dla_cores in (0, 1, 2)
    for versions in (_versions(board.jetpack), _versions(board.tensorrt)):
        assert versions
        assert versions == sorted(set(versions)), "oldest first, each once"
    stated = re.search(r"(\d+)GB", board.name)
    assert stated is not None
    assert board.memory_bytes == int(stated.group(1)) * 1024 * MIB
    in_id = re.search(r"(\d+)gb", board_id)
    assert in_id is None or in_id.group(1) == stated.group(1)


def test_ids_and_names_are_unique() -> None:
    names = [find_board(board_id).name for board_id in board_ids()]
    assert len(set(board_ids())) == len(board_ids()) == len(set(names))


def test_boards_are_read_once() -> None:
    assert find_board("orin-nano-4gb") is find_board("orin-nano-4gb")


@pytest.mark.parametrize(
    ("board_id", "carve_outs_mib", "measured"),
    [
        ("orin-nano-4gb", 4096 - 3425, True),
        ("orin-nx-16gb", 16384 - 14486, True),
        ("nano-4gb", 717, False),
        ("agx-orin-64gb", 65536 // 8, False),
    ],
)
def test_the_reserve_follows_the_rule(board_id: str, carve_outs_mib: int, measured: bool) -> None:
    board = find_board(board_id)
    assert board.carve_outs_measured is measured
    assert board.reserved_bytes == (carve_outs_mib + 717 + 600) * MIB


def test_what_is_estimated_is_not_below_what_was_measured() -> None:
    boards = [find_board(board_id) for board_id in board_ids()]
    for measured in (board for board in boards if board.carve_outs_measured):
        for board in boards:
            if not board.carve_outs_measured and board.memory_bytes == measured.memory_bytes:
                assert board.reserved_bytes >= measured.reserved_bytes


def test_software_follows_the_family_and_begins_with_the_board() -> None:
    assert find_board("orin-nano-4gb").jetpack[0] == "5.1.1"
    assert find_board("agx-orin-32gb").tensorrt == (
        *("8.4.1", "8.5.2", "8.6.2", "10.3.0", "10.16.2"),
    )
    assert find_board("nano-4gb").tensorrt == ("8.0.1", "8.2.1")
    assert find_board("thor-t4000").jetpack == ("7.1", "7.2", "7.2.1")


def test_an_unknown_board_names_the_nearest_and_all() -> None:
    with pytest.raises(UsageError) as caught:
        find_board("orin-nano-4g")
    assert caught.value.message == "there is no board 'orin-nano-4g'"
    assert caught.value.hint == (f"did you mean 'orin-nano-4gb'? known: {', '.join(board_ids())}")


def test_nothing_is_guessed_for_a_word_near_to_none() -> None:
    with pytest.raises(UsageError) as caught:
        find_board("")
    assert caught.value.hint == f"known: {', '.join(board_ids())}"


@pytest.mark.parametrize(
    ("given", "instead", "problem"),
    [
        ("schema = 1", "schema = 2", "schema is 2, this version reads 1"),
        ("schema = 1", "schema = 1\nrank = 3", "unknown field `rank`"),
        ("visible_mib = 3425", "visible_bytes = 3425", "unknown field `visible_bytes`"),
        ("libraries_mib = 600", "libraries_mib = -1", "no negative size"),
        ("carve_out_divisor = 8", "carve_out_divisor = 0", "carve_out_divisor must be at least 1"),
        ('capability = "8.7"', 'capability = "87"', "of family 'orin' must be like '8.7'"),
        ('precisions = ["fp16"]', 'precisions = ["fp4"]', "Invalid enum value 'fp4'"),
        ('precisions = ["fp16"]', "precisions = []", "must name at least one, each once"),
        ('jetpack = ["6.0"]', 'jetpack = ["6.0 DP"]', "'6.0 DP' is not a version"),
        ('jetpack = ["6.0"]', 'jetpack = ["6.1"]', "JetPack 6.1 is listed twice"),
        ('families = ["thor"]', 'families = ["thorn"]', "names no known family: 'thorn'"),
        ('id = "tx2-8gb"', 'id = "nano-4gb"', "two boards have the id 'nano-4gb'"),
        ('id = "tx2-8gb"', 'id = "TX2"', "an id must be words of a-z and 0-9"),
        ('name = "NVIDIA Jetson TX2 8GB"', 'name = " "', "board 'tx2-8gb' has no name"),
        ('family = "nano"', 'family = "micro"', "is of no known family: 'micro'"),
        ('since = "7.0"', 'since = "6.0"', "since '6.0' is no release for family 'thor'"),
        ("visible_mib = 3425", "visible_mib = 4096", "visible_mib must be below memory_mib"),
        ("visible_mib = 3425", "visible_mib = 1317", "has no memory left after its reserve"),
        ("dla_cores = 1", "dla_cores = -1", "dla_cores must not be negative"),
        ("schema = 1", "schema = ", "boards.toml is not a valid list of boards"),
    ],
)
def test_an_invalid_file_says_what_is_wrong(given: str, instead: str, problem: str) -> None:
    assert given in _TEXT
    with pytest.raises(RecipeError) as caught:
        read_boards(_TEXT.replace(given, instead, 1).encode())
    assert caught.value.message.startswith("boards.toml is not a valid list of boards: ")
    assert problem in caught.value.message
    assert "install it again" in caught.value.hint


def test_a_file_without_boards_is_refused() -> None:
    text = _TEXT[: _TEXT.index("[[boards]]")].replace("schema = 1", "schema = 1\nboards = []")
    with pytest.raises(RecipeError, match=r"it has no \[\[boards\]\]"):
        read_boards(text.encode())
