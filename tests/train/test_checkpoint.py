"""A checkpoint is whole, belongs to one run, and survives what happens to the next one."""

from __future__ import annotations

import copy
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from edgeunet.errors import WeightsError
from edgeunet.models import Network, build_network
from edgeunet.train.checkpoint import FILE_NAME, Standing, load_checkpoint, save_checkpoint
from edgeunet.train.run_checks import recipe_digest, with_steps
from tests.train.toys import toy_recipe

RECIPE = toy_recipe()
DIGEST = recipe_digest(RECIPE)


@dataclass
class Run:
    network: Network
    average: Network
    optimizer: torch.optim.Optimizer

    def save(self, path: Path, standing: Standing) -> None:
        save_checkpoint(
            path, self.network, self.average, self.optimizer, standing, recipe_digest=DIGEST
        )

    def load(self, path: Path, digest: str = DIGEST) -> Standing:
        return load_checkpoint(
            path, self.network, self.average, self.optimizer, recipe_digest=digest
        )


def run_after(steps: int, *, seed: int = 0) -> Run:
    network = build_network(RECIPE, seed=seed)
    optimizer = torch.optim.AdamW(network.parameters())
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        output = network(torch.rand(1, 3, 16, 16, generator=generator))["denoised"]
        optimizer.zero_grad()
        output.square().mean().backward()
        optimizer.step()
    return Run(network, copy.deepcopy(build_network(RECIPE, seed=seed + 1)), optimizer)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / FILE_NAME
    run_after(2).save(path, Standing(2, 1.5, 1))
    return path


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """The system itself refuses to write more: the nearest thing to a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_everything_comes_back(saved: Path) -> None:
    wanted, given = run_after(2), run_after(0, seed=9)
    assert given.load(saved) == Standing(2, 1.5, 1)
    for a, b in ((wanted.network, given.network), (wanted.average, given.average)):
        assert all(torch.equal(t, b.state_dict()[n]) for n, t in a.state_dict().items())
    first, second = (run.optimizer.state_dict()["state"] for run in (wanted, given))
    assert first.keys() == second.keys()
    assert first
    for index, state in first.items():
        assert all(torch.equal(torch.as_tensor(t), second[index][n]) for n, t in state.items())


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_a_truncated_checkpoint(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="is not a whole checkpoint") as caught:
        run_after(0).load(saved)
    assert caught.value.hint == "remove it to start from the beginning"


def test_a_checkpoint_of_another_recipe_or_schedule(saved: Path) -> None:
    others = (
        toy_recipe("unetmm-naf"),
        RECIPE.with_width(8),
        with_steps(RECIPE, 13),
    )
    for other in others:
        with pytest.raises(WeightsError, match="was made by another recipe") as caught:
            run_after(0).load(saved, recipe_digest(other))
        assert "--width and --steps" in caught.value.hint


def test_a_full_disk_keeps_the_last_checkpoint(saved: Path) -> None:
    before = saved.read_bytes()
    with files_of_at_most(len(before) // 2), pytest.raises(OSError, match="File too large"):
        run_after(4).save(saved, Standing(4, 3.0, 0))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
    assert run_after(0).load(saved).step == 2


def test_an_interrupted_write_keeps_the_last_checkpoint(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()
    write = Path.write_bytes

    def write_half(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(KeyboardInterrupt):
        run_after(4).save(saved, Standing(4, 3.0, 0))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
