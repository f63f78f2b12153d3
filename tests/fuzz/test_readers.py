"""Damaged files end in two lines: those that once did not, and some new ones.

``python -m benchmarks.fuzz`` looks for more of them, for as long as it is told.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL")
pytest.importorskip("cv2")
pytest.importorskip("onnx_ir")
pytest.importorskip("torch")

from edgeunet.errors import RecipeError, WeightsError
from edgeunet.models import build_network
from edgeunet.models.weights import load_weights, read_tensors
from edgeunet.recipes import load_recipe, read_recipe
from tests.fuzz.readers import READERS, damaged

FOUND = Path(__file__).parent / "found"
CHEAP = ("image", "image by OpenCV", "labels", "ONNX", "recipe", "calibration set", "manifest")


def found() -> list[tuple[str, Path]]:
    names = {name.replace(" ", "-"): name for name in READERS}
    return [(names[path.parent.name], path) for path in sorted(FOUND.glob("*/*"))]


@pytest.mark.parametrize(("reader", "path"), found(), ids=lambda value: getattr(value, "name", ""))
def test_what_was_found_is_mended(reader: str, path: Path, tmp_path: Path) -> None:
    fault, _ = READERS[reader].ending(path.read_bytes(), tmp_path)
    assert fault is None


@pytest.mark.parametrize("reader", READERS)
def test_whole_files_are_read(reader: str, tmp_path: Path) -> None:
    """A reader that refuses its seeds would be tested on nothing."""
    seeds = READERS[reader].seeds()
    endings = [READERS[reader].ending(data, tmp_path) for data in seeds[:20]]
    assert {fault for fault, _ in endings} == {None}
    assert any(was_read for _, was_read in endings) or reader == "manifest"


@pytest.mark.parametrize("reader", CHEAP)
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_damaged_files_end_in_two_lines(reader: str, data: st.DataObject, tmp_path: Path) -> None:
    seeds = READERS[reader].seeds()
    fault, _ = READERS[reader].ending(data.draw(damaged(seeds)), tmp_path)
    assert fault is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = " + "[" * 100_000, "nested too deep"),
        ("name" + ".a" * 100_000 + " = 1", "keys are nested more than 64 deep"),
        ('[name."a b"' + ".a" * 100_000 + "]", "keys are nested more than 64 deep"),
        ("schema = " + "9" * 5000, "Exceeds the limit"),
        ("#" * (16 << 20) + "\n", "more than 16 MiB"),
    ],
    ids=["arrays", "keys", "tables", "digits", "size"],
)
def test_text_that_takes_much_memory_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=said):
        read_recipe(path)


@pytest.mark.parametrize("network", ["{", "[]", '{"width": 12}', "[" * 5000, "null"])
def test_weights_of_another_network_with_odd_words_about_it(network: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "odd.safetensors"
    (tmp_path / "w").mkdir()
    whole = READERS["weights"].seeds()[0]
    (tmp_path / "w" / "w.safetensors").write_bytes(whole)
    tensors, _ = read_tensors(tmp_path / "w" / "w.safetensors")
    tensors.popitem()
    save_file(tensors, path, {"recipe": "mine", "network": network})
    recipe = load_recipe("unetmm").with_width(2)
    with pytest.raises(WeightsError, match="weights of another network") as caught:
        load_weights(build_network(recipe), path)
    width = "12" if "12" in network else "?"
    assert caught.value.hint.startswith(f"they were made for mine at width {width}:")
