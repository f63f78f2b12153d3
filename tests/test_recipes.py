"""Recipes: found by name or path, strict about their keys, honest in their errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeunet.errors import RecipeError, UsageError
from edgeunet.recipes import Recipe, folder, load_recipe, read_recipe, recipe_names
from edgeunet.schedules import GrowthTable, TrainTable

EXPECTED = {
    "addunet",
    "addunet-joint",
    "joint",
    "joint-video",
    "nafnet",
    "nafnet-small",
    "umc-causal",
    "umc-dense",
    "umc-shared",
    "unet",
    "unetmm",
    "unetmm-awgn",
    "unetmm-base",
    "unetmm-full",
    "unetmm-naf",
    "unetmm-video",
}


def edited(tmp_path: Path, old: str, new: str, *, name: str = "unetmm-awgn") -> Path:
    text = (folder("export") / f"{name}.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_all_networks_are_shipped() -> None:
    assert set(recipe_names()) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_recipe_reads_and_is_named_after_its_file(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.network.levels == (3 if name == "nafnet-small" else 4)
    assert recipe.source.startswith("arXiv")


def test_a_users_recipe_is_found_by_path(tmp_path: Path) -> None:
    path = edited(tmp_path, 'name = "unetmm-awgn"', 'name = "mine"')
    assert load_recipe(str(path)).name == "mine"


def test_unknown_model_has_a_near_match() -> None:
    with pytest.raises(UsageError, match="no model 'unetm'") as caught:
        load_recipe("unetm")
    assert "did you mean 'unetmm'?" in caught.value.hint


def test_missing_path() -> None:
    with pytest.raises(RecipeError, match="no recipe file './nowhere.toml'"):
        load_recipe("./nowhere.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 16", "width = 16\nwidht = 8", "unknown field `widht`"),
        ('block = "residual"', 'block = "resnet"', "Invalid enum value 'resnet'"),
        ("schema = 1", "schema = 9", "schema is 9, this version reads 1"),
        ("width = 16", "width = 0", "must be at least 1"),
        ("decoder_blocks = [1, 1, 1, 1]", "decoder_blocks = [1]", "must name the same levels"),
        ("[network]", "[network", "not a valid recipe"),
        ('down = "conv"', 'down = "conv"\ncascade = "dense"', "one map that all pathways share"),
        ('head = "denoise"', 'head = "segment"', "needs at least two classes"),
        ('head = "denoise"', 'head = "denoise"\nchannels = 4', "must have 3 channels"),
        ('name = "unetmm-awgn"', 'name = "../../evil"', "name '../../evil' must be of a-z"),
        ('name = "unetmm-awgn"', 'name = "mine\\n"', "must be of a-z"),
        ('name = "unetmm-awgn"', 'name = ""', "must be of a-z"),
        ('output = "denoised"', 'output = "De noised"', "output 'De noised' must be of a-z"),
        ('output = "denoised"', 'output = "frame"', "that is the input"),
        ("width = 16", "width = 1025", "width must be at most 1024"),
        ("width = 16", "width = 16\nhead_kernel = 4", "head_kernel must be an odd number"),
        ("width = 16", "width = 16\nhead_kernel = -1", "head_kernel must be an odd number"),
        ("middle_blocks = 1", "middle_blocks = 65", "at most 64"),
        ("encoder_blocks = [1, 1, 1, 1]", "encoder_blocks = []", "1 to 8 levels"),
        ("encoder_blocks = [1, 1, 1, 1]", f"encoder_blocks = {[1] * 9}", "1 to 8 levels"),
        ("[train]", "[export]\nsize = [15, 640]\n[train]", "at least 16 on both sides"),
        ("[train]", "[export]\nsize = [480, -1]\n[train]", "at least 16 on both sides"),
        ("width = 16", 'width = 16\nstem = false\ntemporal = "fuse"', "temporal needs stem = true"),
        ("width = 16", 'width = 16\ntemporal = "flow"', "Invalid enum value 'flow'"),
        ("width = 16", 'width = 16\ntemporal = "blend"', "[train.clips] is for a network with"),
        ('head = "denoise"', 'head = "denoise"\n[train.clips]', "not a valid recipe"),
        ("16 = ", "tiny = ", "[weights] has the key 'tiny'"),
        ("16 = ", "016 = ", "[weights] has the key '016'"),
        ("[quality]\n8", "[quality]\nbest", "[quality] has the key 'best'"),
    ],
)
def test_bad_recipes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match="mine.toml is not a valid recipe") as caught:
        read_recipe(edited(tmp_path, old, new))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("fp32_db", ["nan", "inf", "0.0", "-1.0"]),
        ("fp16_db", ["nan"]),
        ("label_share", ["nan"]),
        ("probability", ["-inf"]),
    ],
)
def test_tolerances_are_numbers_above_zero(field: str, values: list[str], tmp_path: Path) -> None:
    for value in values:
        path = edited(tmp_path, "[train]", f"[tolerance]\n{field} = {value}\n[train]")
        with pytest.raises(RecipeError, match=rf"\[tolerance\] {field} must be a number above 0"):
            read_recipe(path)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("steps", ["1"], ["0", "-5"]),
        ("batch", ["1"], ["0"]),
        ("crop", ["16"], ["15"]),
        ("learning_rate", ["1e-6"], ["0.0", "-1e-3", "nan", "inf"]),
        ("final_learning_rate", ["0.0", "1e-3"], ["-1e-9", "2e-3", "nan"]),
        ("weight_decay", ["0.0"], ["-0.1", "nan", "inf"]),
        ("warmup_steps", ["0"], ["-1"]),
        ("sigma", ["[0, 0]", "[255, 255]"], ["[-1, 5]", "[9, 5]", "[0, 256]", "[0, nan]"]),
        ("ema_decay", ["0.0"], ["-0.1", "1.0", "nan"]),
        ("seed", ["0"], ["-1", "9223372036854775808"]),
        ("gain", ["[1e-9, 1]", "[0.1, 0.1]"], ["[0, 1]", "[0.2, 0.1]", "[0.1, 1.1]", "[nan, 1]"]),
        ("labelled_share", ["1.0", "0.01"], ["0.0", "1.1", "nan"]),
        ("pairs_share", ["1.0", "0.01"], ["0.0", "-0.1", "1.1", "nan"]),
        ("bursts_share", ["1.0", "0.01"], ["0.0", "-0.1", "1.1", "nan"]),
        ("in_bytes", ["0.0", "1.0"], ["-0.1", "1.1", "nan"]),
        ("clean_share", ["0.0", "1.0"], ["-0.1", "1.1", "nan"]),
        ("statistics_until", ["0.1", "1.0"], ["0.0", "1.1", "nan"]),
        ("generated", ["0", "100000"], ["-1", "100001"]),
        ("growth", ["[{ start = 0.5, crop = 16 }]"], ["[{ start = 0.0, crop = 16 }]"]),
        ("growth", [], ["[{ start = 1.0, crop = 16 }]", "[{ start = nan, crop = 16 }]"]),
        ("growth", [], ["[{ start = 0.5, crop = 15 }]"]),
        ("growth", [], ["[{ start = 0.5, crop = 16, batch = 0 }]"]),
        ("growth", [], ["[{ start = 0.5, crop = 32 }, { start = 0.5, crop = 64 }]"]),
        ("weights", ["{ denoised = 0.1 }"], ["{ denoised = -1.0 }", "{ denoised = inf }"]),
        ("weights", [], ["{ denoised = 0.0 }"]),
    ],
)
def test_schedules_have_limits(field: str, good: list[str], bad: list[str], tmp_path: Path) -> None:
    path = edited(tmp_path, "schema", "schema")
    recipe = path.read_text()
    others = "" if field == "steps" else "steps = 9\n"
    head, _, tail = recipe.partition("[train]")
    tail = tail[tail.index("[weights]") :]
    for value in (*good, *bad):
        path.write_text(f"{head}[train]\n{others}{field} = {value}\n{tail}")
        if value in good:
            assert read_recipe(path).train is not None
            continue
        with pytest.raises(RecipeError, match=rf": (\[train\] {field} must|Integer)"):
            read_recipe(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("weights = { labels = 1.0 }", "[train.weights] names 'labels', the outputs are: denoised"),
        ('noise = "poisson"', "Invalid enum value 'poisson'"),
        ('image_loss = "l2"', "Invalid enum value 'l2'"),
        ('class_weights = "inverse"', "Invalid enum value 'inverse'"),
        ("growth = [{ at = 0.5, crop = 32 }]", "unknown field `at`"),
    ],
)
def test_words_of_a_schedule_are_known_ones(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not a valid recipe") as caught:
        read_recipe(edited(tmp_path, "[train]", f"[train]\n{line}"))
    assert message in caught.value.message


def test_a_cameras_limits_are_those_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (folder("export") / "unetmm.toml").read_text()
    assert text.count("[train.camera]") == 1
    path.write_text(text.replace("[train.camera]", "[train.camera]\ngain = [0.0, 0.01]"))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert caught.value.message == (
        "mine.toml is not a valid recipe: [train.camera] gain must be two numbers, rising, from "
        "1e-09 to 1"
    )
    assert caught.value.hint == "the fields are listed in export/README.md"


def test_crops_grow_and_batches_shrink() -> None:
    growth = (GrowthTable(start=0.6, crop=96), GrowthTable(start=0.85, crop=512))
    table = TrainTable(steps=100, batch=16, crop=64, growth=growth)
    assert table.largest_crop == 512
    assert [table.crops_at(step) for step in (0, 59, 60, 84, 85, 99)] == [
        *[(16, 64)] * 2,
        *[(7, 96)] * 2,
        *[(1, 512)] * 2,
    ]
    assert TrainTable(steps=1, crop=64).largest_crop == 64


def test_a_crop_reaches_the_bottleneck(tmp_path: Path) -> None:
    path = edited(tmp_path, "[1, 1, 1, 1]", "[1, 1, 1, 1, 1, 1, 1]")
    path.write_text(path.read_text().replace("[1, 1, 1, 1]\n", "[1, 1, 1, 1, 1, 1, 1]\n"))
    with pytest.raises(RecipeError, match="crop must be at least 128"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sky", colour = [128, 128, 128]', '"sky", colour = [128, 128, 256]', "class 'sky'"),
        ('"sky", colour = [128, 128, 128]', '"sky", colour = [-1, 0, 0]', "class 'sky'"),
        ('"sky"', '" "', "has a class without a name"),
    ],
)
def test_classes_can_be_named_and_drawn(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match="mine.toml is not a valid recipe") as caught:
        read_recipe(edited(tmp_path, old, new, name="joint"))
    assert message in caught.value.message


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (folder("export") / "unetmm.toml").read_bytes())
    assert read_recipe(path) == load_recipe("unetmm")


def test_two_pathways_of_one_name(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        '[[pathways]]\noutput = "denoised"',
        '[[pathways]]\noutput = "denoised"\nhead = "denoise"\n\n[[pathways]]\noutput = "denoised"',
    )
    with pytest.raises(RecipeError, match="same output name"):
        read_recipe(path)


def test_width_changes_only_the_width() -> None:
    recipe = load_recipe("unetmm")
    wide = recipe.with_width(32)
    assert wide.network.width == 32
    assert recipe.with_width(None) is recipe
    assert isinstance(wide, Recipe)
    assert wide.trained_weights(folder("export")) is None
    assert recipe.trained_weights(folder("export")) is not None


def test_width_below_one() -> None:
    with pytest.raises(UsageError, match="width 0"):
        load_recipe("unetmm").with_width(0)
