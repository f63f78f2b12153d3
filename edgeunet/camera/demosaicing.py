"""Interpolate three colours per pixel from a Bayer mosaic. Owns colour-demosaicing."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from edgeunet.errors import MissingPackageError
from edgeunet.pixels import Floats
from edgeunet.schedules import DemosaicKind

# bilinear; Malvar, He and Cutler (ICASSP 2004); Menon, Andriani and Calvagno (IEEE Trans. Image
# Processing 16, 2007), which follows edges.
_FUNCTIONS: dict[DemosaicKind, str] = {
    "bilinear": "demosaicing_CFA_Bayer_bilinear",
    "malvar": "demosaicing_CFA_Bayer_Malvar2004",
    "menon": "demosaicing_CFA_Bayer_Menon2007",
}


def demosaic(seen: Floats, pattern: str, kind: DemosaicKind) -> Floats:
    """Return an image (H, W, 3) from a mosaic (H, W); see ``sensor.mosaic`` for the pattern."""
    function = getattr(_library(), _FUNCTIONS[kind])
    image: Floats = np.asarray(function(seen, pattern), np.float32)
    return image


def _library() -> Any:
    try:
        with warnings.catch_warnings():
            # It imports by a path that SciPy calls deprecated; nobody here can change that.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("colour_demosaicing")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "colour-demosaicing", purpose="simulating a camera", extra="train"
        ) from error
