"""``edgeunet build`` as a person sees it, with a simulated TensorRT behind it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from edgeunet.bundle import Bundle, write_bundle
from edgeunet.cli import build
from edgeunet.engine import cuda
from edgeunet.engine.trt import provider as providers
from edgeunet.engine.trt.plans import Gpu, info_path, plan_path, read_plan
from edgeunet.errors import EngineError
from edgeunet.specs import Precision
from tests.bundle.tiny import tiny_bundle, windowed_bundle, windowed_files, windowed_manifest
from tests.cli.command import contents, edgeunet
from tests.engine.simulated_tensorrt import ERROR, Simulation, simulate

ORIN = Gpu("Orin", "8.7")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return windowed_bundle(tmp_path)


@pytest.fixture
def simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    return _installed(simulate("10.3.0", work_bytes=3 << 20), tmp_path, monkeypatch)


def _installed(
    simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Simulation:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(providers, "load_provider", lambda name=None: simulation.provider)
    monkeypatch.setattr(build, "_gpu_here", lambda: ORIN)
    return simulation


def test_the_table_has_what_the_compiler_says_beside_what_was_predicted(
    bundle: Bundle, simulation: Simulation
) -> None:
    ran = edgeunet("build", bundle.path)
    assert ran.code == 0, ran.err
    title, header, _, *rows = [line for line in ran.out.splitlines() if line.strip()]
    assert title.strip() == "TensorRT plans of windowed.bundle, as tensorrt 10.3.0 reports them"
    assert header.split() == [
        "stage", "predicted", "activations", "scratch", "weights", "persistent", "file", "seconds",
    ]  # fmt: skip
    assert [row.split()[0] for row in rows] == ["once", "twice"]
    assert all("3.0 MiB" in row and "1.0 KiB" in row and "2.0 KiB" in row for row in rows)
    assert ran.notes[-1] == "stages share one block: 3.0 MiB, and hold 0 B"

    again = edgeunet("build", bundle.path)
    assert again.notes[:2] == [
        "the TensorRT plan of stage 'once' is up to date: kept",
        "the TensorRT plan of stage 'twice' is up to date: kept",
    ]
    assert len(simulation.configs) == 2
    edgeunet("build", bundle.path, "--force")
    assert len(simulation.configs) == 4


def test_the_document_has_every_fact(bundle: Bundle, simulation: Simulation) -> None:
    words = ("--workspace", "64MiB", "--tactic-memory", "1GiB", "--optimization-level", "1")
    ran = edgeunet("build", bundle.path, *words, "--aux-streams", "2", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["largest_activation_bytes"] == 3 << 20
    first, _ = document["stages"]
    assert first["gpu"] == "Orin"
    assert first["memory"]["activation_bytes"] == 3 << 20
    assert first["predicted_bytes"] > 0
    assert not first["kept"]
    assert first["flags"] == [
        "strongly typed",
        f"workspace bytes {64 << 20}",
        f"tactic bytes {1 << 30}",
        "optimization level 1",
        "auxiliary streams 2",
    ]
    assert simulation.configs[0]["TACTIC_DRAM"] == 1 << 30


def test_a_timing_cache_that_does_not_load_is_said(
    bundle: Bundle, simulation: Simulation, tmp_path: Path
) -> None:
    cache = tmp_path / "x.cache"
    cache.write_bytes(b"timings of 8.6.2")
    ran = edgeunet("build", bundle.path, "--timing-cache", cache)
    assert f"warning: the timing cache {cache} is broken or of another TensorRT" in ran.err
    assert cache.read_bytes().startswith(b"timings of 10.3.0")


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("--trtexec",), 2, "--trtexec needs the version its flags are for", "--for-version"),
        (("--for-version", "8.6"), 2, "--for-version is for --trtexec", "add --trtexec"),
        (("--adopt", "x"), 2, "--adopt and --stage go together", "edgeunet build BUNDLE"),
        (
            ("--trtexec", "--for-version", "8.6", "--adopt", "x", "--stage", "y"),
            2,
            "--trtexec and --adopt contradict each other",
            "give one of them",
        ),
        (("--provider", "rtx"), 2, "there is no provider 'rtx'", "known: tensorrt, tensorrt-rtx"),
        (
            ("--compute-capability", "sm86"),
            2,
            "'sm86' is not a compute capability",
            "write it like 8.6, or 8.6,8.9",
        ),
        (
            ("--compute-capability", "8.6"),
            2,
            "TensorRT 10.3.0 builds for the GPU it runs on, and for no other",
            "leave --compute-capability out, or use --provider tensorrt-rtx",
        ),
        (("--workspace", "lots"), 2, "'lots' is not a size in bytes", "128MiB"),
        (("--optimization-level", "9"), 2, "9 is not an optimization level", "use 0"),
        (("--dla", "0"), 1, "DLA computes fp16 and int8, and this bundle is fp32", "--fp16"),
    ],
)
def test_refusals_leave_the_bundle_as_it_was(
    bundle: Bundle,
    simulation: Simulation,
    words: tuple[str, ...],
    code: int,
    message: str,
    hint: str,
) -> None:
    before = contents(bundle.path)
    ran = edgeunet("build", bundle.path, *words)
    assert ran.code == code
    assert ran.failure[0] == message
    assert hint in ran.failure[1]
    assert contents(bundle.path) == before


def test_a_build_that_fails_names_the_pool(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "Tactic Device request: 538MB Available: 166MB. Device memory is insufficient."
    _installed(simulate("10.3.0", failure=[(ERROR, line)]), tmp_path, monkeypatch)
    ran = edgeunet("build", bundle.path)
    assert ran.failure[0] == (
        "TensorRT 10.3.0 cannot build stage 'once': too little tactic memory (TACTIC_DRAM) to try "
        "a kernel: 538 MiB were asked for, 166 MiB were there"
    )
    assert not plan_path(bundle, "once").parent.exists()


def test_without_a_gpu_rtx_asks_for_one(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(simulate("rtx"), tmp_path, monkeypatch)

    def none_here() -> Gpu:
        raise EngineError("no driver", hint="install one")

    monkeypatch.setattr(build, "_gpu_here", none_here)
    ran = edgeunet("build", bundle.path)
    assert ran.failure == (
        "there is no GPU here to build for, so TensorRT-RTX 1.7.1.116 must be told which",
        "name one with --compute-capability, like 8.6 or 8.9",
    )
    assert edgeunet("build", bundle.path, "--compute-capability", "8.6, 8.9").code == 0
    _installed(simulate("10.3.0"), tmp_path, monkeypatch)
    monkeypatch.setattr(build, "_gpu_here", none_here)
    assert edgeunet("build", bundle.path).failure == ("no driver", "install one")


class TestTrtexec:
    def commands(self, bundle: Bundle, version: str, *words: str) -> list[str]:
        ran = edgeunet("build", bundle.path, "--trtexec", "--for-version", version, *words)
        assert ran.code == 0, ran.err
        first, *lines = ran.out.splitlines()
        assert first == f"mkdir -p {bundle.path}/engines"
        return [
            line.replace(f"{bundle.path}/", "")
            .replace("--onnx=graph.onnx --saveEngine=engines/frame.plan", "IO")
            .removeprefix("trtexec ")
            for line in lines
        ]

    def at(self, folder: Path, precision: Precision) -> Bundle:
        tiny = tiny_bundle(folder, 8, 8)
        manifest = msgspec.structs.replace(tiny.manifest, precision=precision)
        return write_bundle(tiny.path, manifest, {"graph.onnx": tiny.file("graph.onnx")})

    @pytest.mark.parametrize(
        ("version", "precision", "line"),
        [
            ("8.5.2", Precision.FP16, "IO --fp16 --buildOnly"),
            ("8.6", Precision.FP32, "IO --maxAuxStreams=0 --skipInference"),
            ("8.6", Precision.INT8, "IO --fp16 --int8 --maxAuxStreams=0 --skipInference"),
            ("10.3", Precision.FP16, "IO --stronglyTyped --maxAuxStreams=0 --skipInference"),
            ("11.1", Precision.INT8, "IO --maxAuxStreams=0 --skipInference"),
        ],
    )
    def test_flags_are_the_versions(
        self, tmp_path: Path, version: str, precision: Precision, line: str
    ) -> None:
        assert self.commands(self.at(tmp_path, precision), version) == [line]

    def test_options_become_flags(self, tmp_path: Path) -> None:
        words = ("--workspace", "64MiB", "--optimization-level", "1", "--dla", "0")
        bundle = self.at(tmp_path, Precision.FP16)
        (line,) = self.commands(bundle, "10.3", *words, "--timing-cache", "t.cache")
        assert line == (
            "IO --stronglyTyped --memPoolSize=workspace:64 --builderOptimizationLevel=1 "
            "--maxAuxStreams=0 --useDLACore=0 --allowGPUFallback --timingCacheFile=t.cache "
            "--skipInference"
        )

    def test_every_stage_has_one_and_the_notes_say_what_comes_next(self, bundle: Bundle) -> None:
        ran = edgeunet("build", bundle.path, "--trtexec", "--for-version", "10.3")
        assert len(ran.out.splitlines()) == 3
        assert ran.notes[-1] == (
            f"then add every TensorRT plan to the bundle: edgeunet build {bundle.path} --adopt "
            f"{bundle.path}/engines/once.plan --stage once"
        )
        old = edgeunet("build", bundle.path, "--trtexec", "--for-version", "8.5")
        assert old.notes[-1] == (
            "its Python is too old for edgeunet: the TensorRT plans are for a program of your own"
        )
        document = edgeunet("build", bundle.path, "--trtexec", "--for-version", "8.6", "--json")
        assert len(json.loads(document.out)["commands"]) == 2

    def test_int8_borders_are_named(self, tmp_path: Path) -> None:
        manifest = windowed_manifest(16, 16, (16, 16))
        once, twice = manifest.stages
        soft = msgspec.structs.replace(once.outputs[0], dtype="int8")
        plan = manifest.plan
        assert plan is not None
        held = tuple(
            msgspec.structs.replace(t, dtype="int8") if t.name == "soft" else t
            for t in plan.tensors
        )
        changed = msgspec.structs.replace(
            manifest,
            stages=(
                msgspec.structs.replace(once, outputs=(soft,)),
                msgspec.structs.replace(twice, inputs=(soft,)),
            ),
            plan=msgspec.structs.replace(plan, tensors=held),
        )
        bundle = write_bundle(tmp_path / "x.bundle", changed, windowed_files(changed))
        first, second = self.commands(bundle, "10.3")
        assert "--inputIOFormats=uint8:chw --outputIOFormats=int8:chw" in first
        assert "--inputIOFormats=int8:chw --outputIOFormats=uint8:chw" in second

    @pytest.mark.parametrize(
        ("version", "words", "message"),
        [
            ("eight", (), "'eight' is no version of TensorRT"),
            (
                "8.2.1",
                (),
                "TensorRT 8.2.1 has no uint8 tensors, and the frames of this bundle are uint8",
            ),
            (
                "10.3",
                ("--tactic-memory", "1GiB"),
                "trtexec has no option for tactic memory",
            ),
            (
                "8.5",
                ("--optimization-level", "1"),
                "trtexec 8.5 has no optimization levels: 8.6 is the first",
            ),
            (
                "8.5",
                ("--aux-streams", "1"),
                "trtexec 8.5 has no auxiliary streams: 8.6 is the first",
            ),
        ],
    )
    def test_what_a_version_cannot_do_is_refused(
        self, bundle: Bundle, version: str, words: tuple[str, ...], message: str
    ) -> None:
        ran = edgeunet("build", bundle.path, "--trtexec", "--for-version", version, *words)
        assert ran.code == 2
        assert ran.failure[0] == message


class TestExport:
    WORDS = ("export", "--model", "unetmm", "--width", "8", "--size", "32x48", "--random-weights")

    def test_plans_are_built_with_the_bundle(self, simulation: Simulation, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        ran = edgeunet(*self.WORDS, "--fp16", "--build", "--out", tmp_path / "x.bundle", "--json")
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert [stage["stage"] for stage in document["plans"]["stages"]] == ["whole"]
        assert (tmp_path / "x.bundle" / "engines" / "whole.plan").is_file()

    def test_what_is_missing_is_told_before_the_export(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def not_installed(name: str | None = None) -> None:
            raise EngineError("tensorrt is not installed", hint="install it")

        monkeypatch.setattr(providers, "load_provider", not_installed)
        ran = edgeunet(*self.WORDS, "--build", "--out", tmp_path / "x.bundle")
        assert ran.failure == ("tensorrt is not installed", "install it")
        assert ran.notes == []
        assert not (tmp_path / "x.bundle").exists()


class TestAdopting:
    @pytest.fixture(autouse=True)
    def _device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        device = SimpleNamespace(
            facts=SimpleNamespace(name="Orin", compute_capability_text="8.7"),
            active=contextlib.nullcontext,
            close=lambda: None,
        )
        monkeypatch.setattr(cuda, "open_device", lambda: device)

    def test_a_plan_of_trtexec_is_loaded_and_taken_in(
        self, bundle: Bundle, simulation: Simulation, tmp_path: Path
    ) -> None:
        edgeunet("build", bundle.path)
        given = plan_path(bundle, "twice").rename(tmp_path / "mine.plan")
        info_path(bundle, "twice").unlink()
        ran = edgeunet("build", bundle.path, "--adopt", given, "--stage", "twice", "--json")
        assert ran.code == 0, ran.err
        (stage,) = json.loads(ran.out)["stages"]
        assert stage["flags"] == ["built by trtexec"]
        assert stage["device_memory_bytes"] == 3 << 20
        read_plan(bundle, "twice", simulation.provider, ORIN)

    def test_what_does_not_load_or_is_another_stages_is_not_taken(
        self, bundle: Bundle, simulation: Simulation, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong.plan"
        wrong.write_bytes(b"no plan")
        words = ("build", bundle.path, "--adopt", wrong, "--stage")
        assert (
            edgeunet(*words, "once")
            .failure[0]
            .startswith("TensorRT cannot load the plan of stage 'once': Serialization assertion")
        )
        edgeunet("build", bundle.path)
        wrong.write_bytes(plan_path(bundle, "twice").read_bytes())
        before = contents(bundle.path)
        assert "another 'denoised' than the bundle" in edgeunet(*words, "once").failure[0]
        assert contents(bundle.path) == before
