"""Which TensorRT is loaded, and the messages when there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeunet.engine.trt import provider as providers
from edgeunet.engine.trt.provider import load_provider, provider_of
from edgeunet.errors import EngineError, MissingPackageError


def put(folder: Path, module: str, text: str) -> None:
    (folder / f"{module}.py").write_text(text)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules are the only TensorRT."""
    for module in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *_without_tensorrt(sys.path)])
    return tmp_path


def _without_tensorrt(paths: list[str]) -> list[str]:
    return [p for p in paths if not any(Path(p).glob("tensorrt*"))]


def test_tensorrt_comes_before_rtx(installed: Path) -> None:
    put(installed, "tensorrt_rtx", "__version__ = '1.7.1.116'")
    assert load_provider().name == "tensorrt-rtx"
    sys.modules.pop("tensorrt_rtx")
    put(installed, "tensorrt", "__version__ = '10.3.0'")
    found = load_provider()
    assert (found.name, found.version, found.title) == ("tensorrt", (10, 3, 0), "TensorRT 10.3.0")
    assert load_provider("tensorrt-rtx").title == "TensorRT-RTX 1.7.1.116"
    for module in ("tensorrt", "tensorrt_rtx"):
        sys.modules.pop(module)


def test_none_is_installed(installed: Path) -> None:
    with pytest.raises(EngineError, match="neither tensorrt nor tensorrt-rtx is installed") as none:
        load_provider()
    assert "--system-site-packages" in none.value.hint
    assert 'pip install "edgeunet[rtx]"' in none.value.hint
    with pytest.raises(EngineError, match="^tensorrt is not installed$") as caught:
        load_provider("tensorrt")
    assert "comes with JetPack" in caught.value.hint
    with pytest.raises(MissingPackageError, match="needs the package 'tensorrt-rtx'") as missing:
        load_provider("tensorrt-rtx")
    assert missing.value.hint == 'pip install "edgeunet[rtx]"'


@pytest.mark.parametrize(
    "raised",
    [
        "ImportError('libnvinfer.so.10: cannot open shared object file')",
        "OSError('libnvinfer.so.10: cannot open shared object file')",
    ],
)
def test_a_library_that_is_missing_is_named(installed: Path, raised: str) -> None:
    put(installed, "tensorrt", f"raise {raised}")
    put(installed, "tensorrt_rtx", "__version__ = '1.7.1.116'")
    with pytest.raises(EngineError) as caught:
        load_provider()
    assert caught.value.message == (
        "tensorrt is installed but cannot be loaded, the library libnvinfer.so.10 is missing or "
        "unfit: libnvinfer.so.10: cannot open shared object file"
    )
    assert "JetPack" in caught.value.hint


def test_an_old_tensorrt_is_sent_to_trtexec() -> None:
    with pytest.raises(EngineError, match="TensorRT 8.5.2.2 is older than 8.6") as caught:
        provider_of("tensorrt", SimpleNamespace(__version__="8.5.2.2"))
    assert "--trtexec --for-version 8.5.2.2" in caught.value.hint


def test_what_versions_offer() -> None:
    old = provider_of("tensorrt", SimpleNamespace(__version__="8.6.2.3"))
    new = provider_of("tensorrt", SimpleNamespace(__version__="11.1.0"))
    rtx = provider_of("tensorrt-rtx", SimpleNamespace(__version__="1.7.1.116"))
    assert [p.strongly_typed for p in (old, new, rtx)] == [False, True, True]
    assert [p.offers("BuilderFlag.FP16") for p in (old, new, rtx)] == [True, False, False]
    assert [p.has_compute_capabilities for p in (old, new, rtx)] == [False, False, True]
    assert [p.has_sized_device_memory for p in (old, new, rtx)] == [False, True, True]


def test_one_logger_for_a_process_that_starts_empty() -> None:
    class NativeLogger:
        def log(self, severity: int, message: str) -> None: ...

    provider = provider_of("tensorrt", SimpleNamespace(__version__="10.3.0", ILogger=NativeLogger))
    logger = providers.make_logger(provider)
    seen: list[str] = []
    logger.log.on_line = lambda line: seen.append(line.text)
    logger.native.log(1, "it is broken")
    logger.native.log(3, "by the way")
    assert logger.log.errors == ["it is broken"]
    assert seen == ["it is broken", "by the way"]
    assert logger.log.text == "it is broken\nby the way"
    assert providers.make_logger(provider) is logger
    assert logger.log.lines == []
