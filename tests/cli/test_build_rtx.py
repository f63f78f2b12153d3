"""``edgeunet build`` with the real TensorRT-RTX, which compiles where there is no GPU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: nothing compiles here")

from edgeunet.bundle import Bundle, open_bundle
from edgeunet.cli import build
from edgeunet.engine.trt.plans import Gpu, info_path, plan_path, read_info, read_plan
from edgeunet.engine.trt.provider import load_provider
from edgeunet.errors import EngineError
from tests.cli.command import edgeunet

pytestmark = pytest.mark.slow

EXPORT = (
    *("export", "--model", "unetmm", "--width", "8", "--size", "64x96", "--fp16"),
    "--random-weights",
)
RTX = ("--provider", "tensorrt-rtx", "--compute-capability", "8.6")
UNKNOWN = "no GPU that the plan is for is here to load it"
MODES = {
    "whole": (("--tile", "none"), ["whole"]),
    "tiled": (("--tile", "32x32"), ["encode", "core", "decode"]),
}


@pytest.fixture(scope="module", params=list(MODES))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    words, _ = MODES[request.param]
    path = tmp_path_factory.mktemp("rtx") / f"{request.param}.bundle"
    ran = edgeunet(*EXPORT, *words, "--out", path)
    assert ran.code == 0, ran.err
    return path


@pytest.fixture
def bundle(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle without plans, on a machine without a GPU even if this one has one."""

    def none_here() -> Gpu:
        raise EngineError("no driver", hint="install one")

    monkeypatch.setattr(build, "_gpu_here", none_here)
    return open_bundle(shutil.copytree(exported, tmp_path / exported.name))


def test_plans_and_what_the_compiler_says_of_them(bundle: Bundle) -> None:
    stages = MODES[bundle.path.stem][1]
    ran = edgeunet("build", bundle.path, *RTX, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert [stage["stage"] for stage in document["stages"]] == stages
    assert document["largest_activation_bytes"] > 0
    provider = load_provider("tensorrt-rtx")
    for stage in document["stages"]:
        plan, info = read_plan(bundle, stage["stage"], provider, Gpu("any", "8.6"))
        assert len(plan) == info.plan_bytes == stage["plan_bytes"] > 0
        assert (info.provider, info.gpu) == ("tensorrt-rtx", None)
        assert info.compute_capabilities == ("8.6",)
        assert info.flags == ("strongly typed", "auxiliary streams 0")
        assert info.memory.activation_bytes is not None
        assert stage["predicted_bytes"] == pytest.approx(info.memory.activation_bytes, rel=0.2)
        assert info.memory.weight_bytes is not None
        assert (info.device_memory_bytes, info.device_memory_unknown) == (None, UNKNOWN)
    files = sorted(path.name for path in plan_path(bundle, stages[0]).parent.iterdir())
    assert files == sorted(f"{name}.{kind}" for name in stages for kind in ("json", "plan"))


def test_what_belongs_is_kept_and_what_is_cut_short_is_built_again(bundle: Bundle) -> None:
    stages = MODES[bundle.path.stem][1]
    words = ("build", bundle.path, *RTX)
    first = edgeunet(*words)
    assert first.code == 0, first.err
    assert (
        first.notes[-2]
        == f"how much memory a TensorRT plan needs when it runs is not known: {UNKNOWN}"
    )
    kept = [f"the TensorRT plan of stage {name!r} is up to date: kept" for name in stages]
    before = [read_info(bundle, name) for name in stages]
    assert edgeunet(*words).notes[: len(stages)] == kept
    assert [read_info(bundle, name) for name in stages] == before

    last = stages[-1]
    path, whole = plan_path(bundle, last), before[-1].plan_bytes
    path.write_bytes(path.read_bytes()[:1000])
    cut = f"the plan of stage {last!r} is cut short: 1000 of {whole} bytes are there"
    with pytest.raises(EngineError) as refused:
        read_plan(bundle, last, load_provider("tensorrt-rtx"), None)
    assert refused.value.message == cut
    again = edgeunet(*words)
    assert again.code == 0, again.err
    assert again.notes[: len(stages)] == [*kept[:-1], f"{cut}: built again"]
    assert path.stat().st_size == read_info(bundle, last).plan_bytes > 1000


def test_other_options_and_gpus_make_other_plans(bundle: Bundle) -> None:
    first = MODES[bundle.path.stem][1][0]
    assert edgeunet("build", bundle.path, *RTX).code == 0
    other = edgeunet("build", bundle.path, *RTX, "--workspace", "64MiB")
    assert (
        other.notes[0] == f"the plan of stage {first!r} was built with other options: built again"
    )
    newer = edgeunet("build", bundle.path, *RTX[:2], "--compute-capability", "8.9")
    assert newer.notes[0] == (
        f"the plan of stage {first!r} was built for compute capability 8.6: built again"
    )
    assert read_info(bundle, first).compute_capabilities == ("8.9",)


def test_a_jetson_is_refused_and_nothing_is_left(bundle: Bundle) -> None:
    ran = edgeunet("build", bundle.path, *RTX[:2], "--compute-capability", "8.7")
    assert ran.failure[0] == "TensorRT-RTX builds nothing for compute capability 8.7"
    assert not info_path(bundle, MODES[bundle.path.stem][1][0]).parent.exists()
