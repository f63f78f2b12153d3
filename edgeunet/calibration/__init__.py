"""Calibration sets: ``calibration/*.toml`` read into frozen types.

Their frames are read by ``set_frames.py``.

A set does not hold its frames. It names them, with a hash for each, so it is small and readable. It
gives the same bytes everywhere, or an error that names the frame that differs.
"""

from __future__ import annotations

from edgeunet.calibration.sets import (
    FEWEST_MEMBERS,
    FOLDER,
    SCHEMA_VERSION,
    CalibrationSet,
    Member,
    calibration_names,
    calibration_path,
    is_set_name,
    load_calibration_set,
    read_set,
    text_of,
)

__all__ = [
    "FEWEST_MEMBERS",
    "FOLDER",
    "SCHEMA_VERSION",
    "CalibrationSet",
    "Member",
    "calibration_names",
    "calibration_path",
    "is_set_name",
    "load_calibration_set",
    "read_set",
    "text_of",
]
