"""A heavy package is imported only by its owners, so that the rest runs without it."""

from __future__ import annotations

import pytest

from tests.house.source import PACKAGE, imports_of, module_paths

# Package -> the files, or folders with a slash, under edgeunet/ that may import it.
OWNERS: dict[str, tuple[str, ...]] = {
    "torch": ("models/", "train/", "convert/", "qat/", "evaluate/torch_backend.py"),
    "accelerate": ("train/processes.py",),
    "safetensors": ("models/", "train/"),
    "onnx": ("graph/", "foreign/", "convert/", "qat/"),
    "onnx_ir": ("graph/", "foreign/", "convert/", "qat/"),
    "onnxscript": ("graph/", "foreign/", "convert/", "qat/"),
    "onnxruntime": ("ort/",),
    "tensorrt": ("engine/trt/provider.py",),
    "tensorrt_rtx": ("engine/trt/provider.py",),
    "pycuda": ("engine/cuda/pycuda_device.py",),
    "cuda": ("engine/cuda/cuda_python_device.py",),
    "cv2": ("media/opencv.py", "images/opencv_file.py"),
    "matplotlib": (
        "analysis/memory_plot.py",
        "noise_profile/curves_plot.py",
        "calibration/sensitivity_plot.py",
    ),
    "skimage": ("photographs.py", "evaluate/ssim.py"),
    "scipy": ("camera/finishing.py", "camera/sensor.py", "evaluate/interval.py", "graph/mincut.py"),
    "av": ("camera/coding.py", "media/pyav.py", "media/live/stream_decoder.py"),
    "gi": ("media/gstreamer_binding.py",),
    "aiohttp": ("stream/preview/web_server.py",),
    "prometheus_client": ("stream/service/metrics_page.py",),
    "distributed": ("stream/many/dask_cluster.py",),
    "colour_demosaicing": ("camera/demosaicing.py",),
    "PIL": ("images/pillow_file.py", "photographs.py"),
}


@pytest.mark.parametrize("package", OWNERS)
def test_only_its_owners_import_a_package(package: str) -> None:
    strangers = [
        entry.where
        for path in module_paths()
        if not path.relative_to(PACKAGE).as_posix().startswith(OWNERS[package])
        for entry in imports_of(path)
        if entry.name.partition(".")[0] == package
    ]
    assert strangers == []
