"""Every task learns, alone and with others; a run says what it began with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeunet.errors import WeightsError
from edgeunet.models import build_network
from edgeunet.models.weights import save_weights
from edgeunet.recipes import Recipe, load_recipe, recipe_names
from edgeunet.schedules import ClipsTable, TrainTable
from edgeunet.specs import Task
from edgeunet.train.curve import FILE_NAME as CURVE_FILE
from edgeunet.train.loop import train
from edgeunet.train.optimization import learning_rate
from edgeunet.train.run_checks import recipe_digest
from edgeunet.train.run_records import Outcome, TrainingOptions
from edgeunet.train.samples import Sample
from tests.train.toys import TABLE, labelled_samples, toy_recipe


def curve(out: Path) -> list[list[str]]:
    return [line.split(",") for line in (out / CURVE_FILE).read_text().splitlines()]


def halves(count: int = 6) -> list[Sample]:
    """Dark images of class 0 and bright ones of class 1; every pixel has its image's class."""
    samples = []
    for index in range(count):
        number = index % 2
        image = np.full((20, 20, 3), 40 + 150 * number + index, np.uint8)
        samples.append(Sample(image, np.full((20, 20), number, np.uint8), number))
    return samples


def only(recipe: Recipe, *tasks: Task) -> Recipe:
    pathways = tuple(
        msgspec.structs.replace(pathway, classes=pathway.classes[:2])
        for pathway in recipe.pathways
        if pathway.head in tasks
    )
    return msgspec.structs.replace(recipe, pathways=pathways)


@pytest.mark.parametrize(
    ("name", "tasks", "figures"),
    [
        ("joint", (Task.DENOISE, Task.SEGMENT), ["psnr_db", "mean_iou"]),
        ("addunet-joint", (Task.DENOISE, Task.CLASSIFY), ["psnr_db", "accuracy"]),
        ("joint", (Task.SEGMENT,), ["mean_iou"]),
        ("addunet-joint", (Task.CLASSIFY,), ["accuracy"]),
    ],
)
def test_every_task_learns(
    name: str, tasks: tuple[Task, ...], figures: list[str], tmp_path: Path
) -> None:
    table = msgspec.structs.replace(TABLE, steps=60, learning_rate=1e-2, ema_decay=0.5)
    recipe = only(toy_recipe(name, table=table), *tasks)
    outcome = train(recipe, halves(), tmp_path, TrainingOptions(validation=halves(2)))
    assert list(outcome.figures) == figures
    assert outcome.figures[figures[-1]] == 1
    head, *rows = curve(tmp_path)
    outputs = [pathway.output for pathway in recipe.pathways]
    losses = [f"loss_{output}" for output in outputs] if len(outputs) > 1 else []
    assert head == ["step", "loss", *losses, *figures]
    assert [row[0] for row in rows] == ["60"]
    assert float(rows[0][-1]) == 1


def test_the_sum_in_the_curve_is_the_weighted_one(tmp_path: Path) -> None:
    table = msgspec.structs.replace(TABLE, weights={"denoised": 2.0, "labels": 0.5})
    train(
        toy_recipe("joint", table=table),
        labelled_samples(),
        tmp_path,
        TrainingOptions(save_every=4),
    )
    _, *rows = curve(tmp_path)
    assert len(rows) == 3
    for _, loss, denoised, labels, *_ in rows:
        assert float(loss) == pytest.approx(2 * float(denoised) + 0.5 * float(labels), abs=1e-5)


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    path = tmp_path / "unetmm-4.safetensors"
    save_weights(build_network(toy_recipe(), seed=5), toy_recipe(), path)
    return path


def started(trunk: Path | None, out: Path, *, resume: bool = False) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    outcome = train(
        toy_recipe("joint"),
        labelled_samples(),
        out,
        TrainingOptions(init=trunk, resume=resume, notice=said.append),
    )
    return outcome, said


def test_a_run_says_what_it_began_with(trunk: Path, tmp_path: Path) -> None:
    outcome, said = started(trunk, tmp_path / "a")
    assert said == [f"starting from {outcome.initial}"]
    assert str(outcome.initial).startswith("unetmm-4.safetensors: ")
    plain, said = started(None, tmp_path / "b")
    assert said == []
    assert plain.initial is None
    assert curve(tmp_path / "a") != curve(tmp_path / "b")
    # A resumed run still knows, whether it is told again or not.
    for init in (trunk, None):
        outcome.weights.unlink()
        again, said = started(init, tmp_path / "a", resume=True)
        assert said == []
        assert again.initial == outcome.initial


def test_a_run_does_not_go_on_from_other_weights(trunk: Path, tmp_path: Path) -> None:
    started(None, tmp_path / "a")
    with pytest.raises(WeightsError, match="of a run that began with random weights, not with"):
        started(trunk, tmp_path / "a", resume=True)


def test_a_run_of_other_processes_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(None, tmp_path)
    checkpoint = next(tmp_path.glob("checkpoint*"))
    data = checkpoint.read_bytes()
    assert data.count(b'"processes":"1"') == 1
    checkpoint.write_bytes(data.replace(b'"processes":"1"', b'"processes":"2"'))
    with pytest.raises(WeightsError, match="of a run with 2 processes, not 1") as caught:
        started(None, tmp_path, resume=True)
    assert "launch as many" in caught.value.hint


# Its weights are those of another recipe, and a memory as training would begin with.
UNTRAINED = {"joint-video"}


@pytest.mark.parametrize("name", sorted({*recipe_names()} - UNTRAINED))
def test_every_shipped_recipe_has_a_schedule(name: str) -> None:
    table = load_recipe(name).train
    assert table is not None
    sides = [table.crops_at(step)[1] for step in range(0, table.steps, max(1, table.steps // 50))]
    assert sides == sorted(sides)


def test_a_digest_from_before_the_later_keys_still_holds() -> None:
    """Runs begun before joint training go on: what was hashed then is hashed now."""
    recipe = msgspec.structs.replace(load_recipe("unetmm"), train=TrainTable(steps=26000, batch=16))
    expected = "619e8ce69b65ffb43565c8852d9f56f47762d3ec8eb65a4bca61101d3c05e964"
    assert recipe_digest(recipe) == expected
    changes: list[Callable[[TrainTable], TrainTable]] = [
        lambda table: msgspec.structs.replace(table, rotations=False),
        lambda table: msgspec.structs.replace(table, weights={"denoised": 2.0}),
        lambda table: msgspec.structs.replace(table, seed=1),
    ]
    assert recipe.train is not None
    for change in changes:
        other = msgspec.structs.replace(recipe, train=change(recipe.train))
        assert recipe_digest(other) != expected


def test_a_digest_of_clips_from_before_their_later_key_still_holds() -> None:
    table = TrainTable(steps=10, clips=ClipsTable())
    recipe = msgspec.structs.replace(load_recipe("unetmm-video"), train=table)
    expected = "ab3e1ddf10d39475e5567d5da7f0e6c753055d6de9a31a8ab9c3ff7be209bc8f"
    assert recipe_digest(recipe) == expected
    table = TrainTable(steps=10, clips=ClipsTable(flicker_weight=0.1))
    assert recipe_digest(msgspec.structs.replace(recipe, train=table)) != expected


def test_learning_rate_rises_then_falls_along_a_cosine() -> None:
    table = TrainTable(steps=1000, warmup_steps=100, learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [learning_rate(table, step) for step in range(table.steps)]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[49] == pytest.approx(5e-4)
    assert rates[99] == rates[100] == pytest.approx(1e-3)
    # A quarter, a half and three quarters of the way from step 100 to step 1000.
    span = 1e-3 - 1e-5
    assert rates[325] == pytest.approx(1e-5 + span * (1 + 0.5**0.5) / 2)
    assert rates[550] == pytest.approx(1e-5 + span / 2)
    assert rates[-1] == pytest.approx(1e-5, rel=0.01)
    assert rates[100:] == sorted(rates[100:], reverse=True)


def test_warm_up_is_at_most_a_tenth_of_a_short_run() -> None:
    table = TrainTable(steps=20, warmup_steps=200, learning_rate=1e-3)
    assert [learning_rate(table, step) for step in (0, 1, 2)] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert learning_rate(TrainTable(steps=1, learning_rate=1e-3), 0) == pytest.approx(1e-3)
