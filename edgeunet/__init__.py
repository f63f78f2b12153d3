"""U-Net-style image networks on devices with little memory: export, analyse, run.

The functions and classes in ``__all__`` are those of ``edgeunet.api``, which is imported when
the first of them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeunet.api import (
        Bundle,
        EdgeUnetError,
        Engine,
        FrameType,
        MemoryReport,
        Network,
        Precision,
        export,
        frames,
        make_calibration_set,
        memory,
        network_names,
        open_bundle,
    )

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "EdgeUnetError",
    "Engine",
    "FrameType",
    "MemoryReport",
    "Network",
    "Precision",
    "__version__",
    "export",
    "frames",
    "make_calibration_set",
    "memory",
    "network_names",
    "open_bundle",
]


if not TYPE_CHECKING:
    # Not for type checkers: they would take every name for one of edgeunet's.
    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'edgeunet' has no attribute {name!r}")
        from edgeunet import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
