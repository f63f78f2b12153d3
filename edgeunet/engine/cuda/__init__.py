"""Access to the CUDA driver: memory, copies, streams, events and graphs.

This project has no CUDA kernels of its own.
"""

from __future__ import annotations

import importlib.util

from edgeunet.engine.cuda.device import Device
from edgeunet.engine.cuda.driver import Driver
from edgeunet.engine.cuda.settings import Backend
from edgeunet.errors import EngineError

__all__ = ["Device", "open_device"]


def open_device(backend: Backend | None = None, ordinal: int = 0) -> Device:
    """Open a GPU.

    backend: the Python package that calls CUDA. None takes pycuda where it is installed, else
        cuda-python.
    ordinal: number of the GPU, from 0.
    Raises EngineError when no such package is installed, and when the driver or the GPU cannot
    be used.
    """
    return Device(_driver(backend), ordinal)


def _driver(backend: Backend | None) -> Driver:
    from edgeunet.engine.cuda import cuda_python_device, pycuda_device

    installed = {
        "pycuda": _is_installed("pycuda"),
        "cuda-python": cuda_python_device.is_installed(),
    }
    if backend is None and not any(installed.values()):
        raise EngineError(
            "neither pycuda nor cuda-python is installed; one of them is needed to call CUDA",
            hint='pip install "edgeunet[cuda]"; on a Jetson pip install pycuda',
        )
    if backend is not None and not installed[backend]:
        raise EngineError(f"{backend} is not installed", hint=f"pip install {backend}")
    if backend == "pycuda" or (backend is None and installed["pycuda"]):
        return pycuda_device.PycudaDriver()
    return cuda_python_device.CudaPythonDriver()


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # the module is in sys.modules and has no spec
        return False
