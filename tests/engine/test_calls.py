"""No source uses an attribute of TensorRT that a supported version lacks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeunet.engine.trt.calls import ALWAYS, VARYING
from tests.engine.guarded_calls import complaints
from tests.engine.simulated_tensorrt import simulate
from tests.engine.tensorrt_versions import RTX, matrix, offered, provider_at, versions
from tests.house.source import PACKAGE

SOURCES = sorted((PACKAGE / "engine" / "trt").glob("*.py"))
NAMES = [f"{owner}.{name}".lstrip(".") for owner, names in ALWAYS.items() for name in names]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_version_has_what_is_called(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("version", versions())
def test_the_lists_agree_with_the_matrix(version: str) -> None:
    provider, there = provider_at(version), offered(version)
    assert [name for name in NAMES if name not in there] == []
    assert {n: provider.offers(n) for n in VARYING} == {n: n in there for n in VARYING}


def test_the_matrix_covers_what_is_listed() -> None:
    assert {*NAMES, *VARYING} <= set(matrix())


def test_rtx_has_what_the_lists_say() -> None:
    trt = pytest.importorskip("tensorrt_rtx")

    def is_there(name: str) -> bool:
        found: Any = SimpleNamespace(**{"": trt}).__dict__[""]
        for part in name.split("."):
            found = getattr(found, part, None)
        return found is not None

    assert {n: is_there(n) for n in matrix()} == {n: cells[RTX] for n, cells in matrix().items()}


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("config.max_workspace_size = 1", "max_workspace_size is not listed in calls.py"),
        ("x.max_workspace_size = 1", "max_workspace_size is not in 10.0.1, 10.1.0, "),
        ("config.progress_monitor = 1", "progress_monitor is not in 8.6.1"),
        ("config.set_flag(kinds.FP16)", "FP16 is not in 11.0, 11.1, rtx"),
        ("engine.device_memory_size", "device_memory_size is not in 11.0, 11.1, rtx"),
        ("self._engine.num_bindings", "num_bindings is not listed in calls.py"),
        ('getattr(kinds, "EXPLICIT_BATCH")', "EXPLICIT_BATCH is not in 11.0, 11.1, rtx"),
        (
            "if provider.strongly_typed:\n    x = kinds.EXPLICIT_BATCH",
            "EXPLICIT_BATCH is not in 11.0, 11.1, rtx",
        ),
        (
            "if not provider.offers('ICudaEngine.device_memory_size_v2'):\n"
            "    engine.device_memory_size\nengine.device_memory_size_v2",
            "device_memory_size_v2 is not in 8.6.1, 10.0.1",
        ),
        (
            "for i in range(2):\n    try:\n        context.set_device_memory(1, 2)\n"
            "    finally:\n        pass",
            "set_device_memory is not in 8.6.1, 10.0.1",
        ),
    ],
)
def test_a_planted_call_is_caught(planted: str, said: str) -> None:
    (complaint,) = complaints(planted)
    assert said in complaint


@pytest.mark.parametrize(
    "guarded",
    [
        "if not provider.strongly_typed:\n    config.set_flag(kinds.FP16)",
        "def f():\n    if provider.strongly_typed:\n        return\n"
        "    config.set_flag(kinds.FP16)",
        "x = engine.device_memory_size_v2 if "
        "provider.offers('ICudaEngine.device_memory_size_v2') else engine.device_memory_size",
        "x = provider.has_user_managed_memory and module.ExecutionContextAllocationStrategy",
        "x = provider.rtx or engine.get_tensor_name(0)",
        'x = getattr(kinds, "EXPLICIT_BATCH", 0)',
        "if provider.has_user_managed_memory and provider.has_sized_device_memory:\n"
        "    context.set_device_memory(1, 2)",
    ],
)
def test_guarded_calls_are_accepted(guarded: str) -> None:
    assert complaints(guarded) == []


def test_the_simulation_has_exactly_a_versions_attributes() -> None:
    old, new = simulate("8.6.2").module, simulate("11.1.0").module
    assert int(old.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) == 0
    with pytest.raises(AttributeError, match="8.6.2 has no IProgressMonitor"):
        _ = old.IProgressMonitor
    with pytest.raises(AttributeError, match="has no NetworkDefinitionCreationFlag.EXPLICIT_BATCH"):
        _ = new.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    config = new.Builder(None).create_builder_config()
    with pytest.raises(AttributeError, match="11.1.0 has no IBuilderConfig.max_workspace_size"):
        config.max_workspace_size = 1
    with pytest.raises(AttributeError, match="8.6.2 has no IBuilderConfig.progress_monitor"):
        old.Builder(None).create_builder_config().progress_monitor = None
