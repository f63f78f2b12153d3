"""The builder with every TensorRT version: its settings, the plans it keeps, its messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeunet.bundle import Bundle
from edgeunet.engine.trt.build_options import BuildOptions
from edgeunet.engine.trt.bundles import build_bundle
from edgeunet.engine.trt.plans import Gpu, info_path, plan_path, read_plan
from edgeunet.engine.trt.progress import Progress
from edgeunet.engine.trt.timing_cache import timing_cache_path
from edgeunet.errors import UsageError
from edgeunet.specs import Precision
from tests.bundle.tiny import windowed_bundle
from tests.engine.building import ORIN, PLAIN, SM86, at, refusal
from tests.engine.simulated_tensorrt import ERROR, simulate

pytestmark = pytest.mark.usefixtures("own_cache")
VERSIONS = ("8.6.2", "10.3.0", "10.13.3", "11.1.0")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_what_its_runtime_loads(bundle: Bundle, version: str) -> None:
    simulation = simulate(version)
    (stage,) = build_bundle(bundle, simulation.provider, BuildOptions(), ORIN)
    assert not stage.kept
    plan, info = read_plan(bundle, "frame", simulation.provider, ORIN)
    assert info == stage.info
    assert (info.provider, info.version, info.gpu) == ("tensorrt", version, "Orin")
    assert info.compute_capabilities == ("8.7",)
    assert info.memory.activation_bytes == 4096
    assert info.memory.scratch_bytes == 1024
    assert info.memory.persistent_host_bytes == 80
    assert info.memory.weight_bytes == (None if version.startswith("8.") else 2048)
    assert (info.device_memory_bytes, info.device_memory_unknown) == (4096, None)
    runtime = simulation.module.Runtime(simulation.module.ILogger())
    assert runtime.deserialize_cuda_engine(plan).num_io_tensors == 3


@pytest.mark.parametrize(
    ("precision", "flags"),
    [
        (Precision.FP32, set()),
        (Precision.FP16, {"FP16"}),
        (Precision.INT8, {"FP16", "INT8"}),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_precisions_are_flags_on_8_6_alone(
    bundle: Bundle, version: str, precision: Precision, flags: set[str]
) -> None:
    simulation = simulate(version)
    (stage,) = build_bundle(at(bundle, precision), simulation.provider, BuildOptions(), ORIN)
    old = version.startswith("8.")
    assert simulation.configs[0].keys() & {"FP16", "INT8"} == (flags if old else set())
    assert stage.info.flags[0] == (f"{precision} allowed" if old else "strongly typed")


@pytest.mark.parametrize("version", VERSIONS)
def test_limits_reach_the_compiler(bundle: Bundle, version: str) -> None:
    simulation = simulate(version, dla_cores=2)
    options = BuildOptions(
        workspace_bytes=1 << 26, tactic_bytes=1 << 28, optimization_level=2, aux_streams=1
    )
    (stage,) = build_bundle(bundle, simulation.provider, options, ORIN)
    (settings,) = simulation.configs
    assert settings["WORKSPACE"] == 1 << 26
    assert settings["TACTIC_DRAM"] == 1 << 28
    assert settings["builder_optimization_level"] == 2
    assert settings["max_aux_streams"] == 1
    assert "workspace bytes 67108864" in stage.info.flags
    plain = simulate(version)
    build_bundle(bundle, plain.provider, BuildOptions(), ORIN, force=True)
    assert plain.configs[0].keys() - {"progress_monitor"} == {"max_aux_streams"}
    assert plain.configs[0]["max_aux_streams"] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_reports_progress(bundle: Bundle, version: str) -> None:
    told: list[Progress] = []
    build_bundle(
        bundle,
        simulate(version).provider,
        BuildOptions(),
        ORIN,
        report=lambda stage, progress: told.append(progress),
    )
    if version.startswith("8."):
        assert [p.doing for p in told] == [
            "optimising the graph",
            "assigning memory",
            "writing the plan",
        ]
    else:
        assert told == [Progress("Building engine", done, 2) for done in (0, 1, 2)]


@pytest.mark.parametrize("version", VERSIONS)
def test_ctrl_c_in_a_callback_ends_the_build_and_leaves_nothing(
    bundle: Bundle, version: str
) -> None:
    def interrupt(stage: Any, progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_bundle(bundle, simulate(version).provider, BuildOptions(), ORIN, report=interrupt)
    assert not plan_path(bundle, "frame").exists()


def test_a_plan_that_cannot_be_loaded_has_unknown_device_memory(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = simulate("10.3.0")

    def too_little(self: Any, data: bytes) -> None:
        self._logger.log(ERROR, "Error Code 1: Cuda Runtime (out of memory)")

    runtime = type(simulation.module.Runtime(simulation.module.ILogger()))
    monkeypatch.setattr(runtime, "deserialize_cuda_engine", too_little)
    (stage,) = build_bundle(bundle, simulation.provider, BuildOptions(), ORIN)
    assert stage.info.device_memory_bytes is None
    assert stage.info.device_memory_unknown == (
        "TensorRT cannot load the plan of stage 'frame': Error Code 1: Cuda Runtime (out of memory)"
    )


def test_a_valid_plan_is_kept(bundle: Bundle) -> None:
    simulation = simulate("10.3.0")
    provider = simulation.provider

    def build(options: BuildOptions = PLAIN, *, force: bool = False) -> bool:
        (stage,) = build_bundle(bundle, provider, options, ORIN, force=force)
        return stage.kept

    assert [build(), build(), build(force=True)] == [False, True, False]
    (again,) = build_bundle(bundle, provider, BuildOptions(aux_streams=1), ORIN)
    assert again.replaced == "the plan of stage 'frame' was built with other options"
    (first,) = build_bundle(bundle, provider, BuildOptions(aux_streams=1), ORIN, force=True)
    assert first.replaced is None
    build()
    level = BuildOptions(optimization_level=1)
    assert [build(level), build(level), build()] == [False, True, False]
    plan_path(bundle, "frame").write_bytes(b"cut")
    assert [build(), build()] == [False, True]
    info_path(bundle, "frame").write_text("{")
    assert [build(), build()] == [False, True]
    newer = simulate("10.13.3").provider
    assert not build_bundle(bundle, newer, BuildOptions(), ORIN)[0].kept
    assert not build_bundle(bundle, newer, BuildOptions(), Gpu("Thor", "11.0"))[0].kept


def test_all_stages_of_a_windowed_bundle_are_built(tmp_path: Path) -> None:
    bundle = windowed_bundle(tmp_path)
    stages = build_bundle(bundle, simulate("10.3.0").provider, BuildOptions(), ORIN)
    assert [stage.info.stage for stage in stages] == ["once", "twice"]
    names = sorted(path.name for path in plan_path(bundle, "once").parent.iterdir())
    assert names == ["once.json", "once.plan", "twice.json", "twice.plan"]


class TestTimingCache:
    def test_it_is_kept_and_used_again(self, bundle: Bundle) -> None:
        provider = simulate("10.3.0").provider
        path = timing_cache_path(provider, ORIN)
        assert path.name == "tensorrt-10.3.0-Orin.cache"
        build_bundle(bundle, provider, BuildOptions(), ORIN)
        assert path.read_bytes() == b"timings of 10.3.0"
        (stage,) = build_bundle(bundle, provider, BuildOptions(), ORIN, force=True)
        assert path.read_bytes() == b"timings of 10.3.0|timed"
        assert stage.notes == ()

    def test_one_of_another_version_is_ignored_and_reported(
        self, bundle: Bundle, tmp_path: Path
    ) -> None:
        path = tmp_path / "mine.cache"
        path.write_bytes(b"timings of 8.6.2")
        options = BuildOptions(timing_cache=path)
        (stage,) = build_bundle(bundle, simulate("10.3.0").provider, options, ORIN)
        (note,) = stage.notes
        assert note == (
            f"the timing cache {path} is broken or of another TensorRT or GPU: it is ignored and "
            "replaced"
        )
        assert path.read_bytes() == b"timings of 10.3.0"

    def test_one_that_cannot_be_read_or_written_costs_only_time(
        self, bundle: Bundle, tmp_path: Path
    ) -> None:
        options = BuildOptions(timing_cache=tmp_path)  # a folder
        (stage,) = build_bundle(bundle, simulate("10.3.0").provider, options, ORIN)
        assert [note.partition(":")[0] for note in stage.notes] == [
            f"the timing cache {tmp_path} cannot be read",
            f"the timing cache {tmp_path} cannot be written",
        ]

    def test_rtx_has_none(self, bundle: Bundle) -> None:
        provider = simulate("rtx").provider
        build_bundle(bundle, provider, SM86, None)
        assert not timing_cache_path(provider, None).exists()

    def test_a_relative_cache_folder_is_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "here")
        path = timing_cache_path(simulate("10.3.0").provider, ORIN)
        assert path.is_relative_to(Path.home() / ".cache" / "edgeunet")


class TestRtx:
    def test_it_builds_for_named_gpus_without_one(self, bundle: Bundle) -> None:
        simulation = simulate("rtx")
        options = BuildOptions(compute_capabilities=("8.6", "8.9"))
        (stage,) = build_bundle(bundle, simulation.provider, options, None)
        assert simulation.configs[0]["capabilities"] == {0: 86, 1: 89}
        assert stage.info.gpu is None
        read_plan(bundle, "frame", simulation.provider, Gpu("any", "8.9"))

    def test_without_a_gpu_one_must_be_named(self, bundle: Bundle) -> None:
        with pytest.raises(UsageError, match="there is no GPU here to build for") as caught:
            build_bundle(bundle, simulate("rtx").provider, BuildOptions(), None)
        assert caught.value.hint == "name one with --compute-capability, like 8.6 or 8.9"
        with pytest.raises(UsageError, match="there is no GPU here to build for") as caught:
            build_bundle(bundle, simulate("10.3.0").provider, BuildOptions(), None)
        assert caught.value.hint == "build on the device that runs the plan"

    def test_it_does_not_build_for_a_jetson(self, bundle: Bundle) -> None:
        options = BuildOptions(compute_capabilities=("8.7",))
        with pytest.raises(UsageError, match="nothing for compute capability 8.7") as caught:
            build_bundle(bundle, simulate("rtx").provider, options, None)
        assert caught.value.hint == (
            "it knows 8.6, 8.9; a Jetson's plans are built on it, by its TensorRT"
        )

    def test_tensorrt_builds_only_for_the_gpu_of_this_machine(self, bundle: Bundle) -> None:
        with pytest.raises(UsageError, match="TensorRT 10.3.0 builds for the GPU it runs on"):
            build_bundle(bundle, simulate("10.3.0").provider, SM86, ORIN)


class TestDla:
    OPTIONS = BuildOptions(dla_core=1)

    @pytest.mark.parametrize("version", ["8.6.2", "10.3.0", "10.7.0", "11.4.1"])
    def test_it_is_used_with_the_gpu_behind_it(self, bundle: Bundle, version: str) -> None:
        simulation = simulate(version, dla_cores=2)
        build_bundle(at(bundle, Precision.FP16), simulation.provider, self.OPTIONS, ORIN)
        (settings,) = simulation.configs
        assert settings["default_device_type"].name == "DLA"
        assert settings["DLA_core"] == 1
        assert settings["GPU_FALLBACK"]

    @pytest.mark.parametrize(
        ("version", "cores", "precision", "message"),
        [
            ("10.3.0", 0, Precision.FP16, "TensorRT finds no DLA on this board"),
            ("10.3.0", 1, Precision.FP16, "there is no DLA core 1"),
            ("10.3.0", 2, Precision.FP32, "DLA computes fp16 and int8, and this bundle is fp32"),
            ("10.13.3", 2, Precision.FP16, "TensorRT 10.13.3 has no DLA: 10.7 was the last"),
            ("11.1.0", 2, Precision.INT8, "TensorRT 11.1.0 has no DLA: 10.7 was the last"),
            ("rtx", 2, Precision.FP16, "TensorRT-RTX runs on desktop GPUs, which have no DLA"),
        ],
    )
    def test_it_is_refused_with_the_reason(
        self, bundle: Bundle, version: str, cores: int, precision: Precision, message: str
    ) -> None:
        simulation = simulate(version, dla_cores=cores)
        options = BuildOptions(
            dla_core=1, compute_capabilities=("8.6",) if version == "rtx" else ()
        )
        error = refusal(at(bundle, precision), simulation, options)
        assert error.message.startswith(message)
        assert not plan_path(bundle, "frame").exists()
