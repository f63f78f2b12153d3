"""What a missing package is called: not installed, or without a library of the system."""

from __future__ import annotations

import pytest

from edgeunet.errors import MissingPackageError

LOADER = "{}: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libatomic.so.1", "libatomic1"),
        ("libGL.so.1", "libgl1"),
        ("libglib-2.0.so.0", "libglib-2.0-0"),
        ("libstdc++.so.6", "libstdc++6"),
    ],
)
def test_a_library_of_the_system_is_named(library: str, package: str) -> None:
    error = ImportError(LOADER.format(library))
    found = MissingPackageError("opencv-python", purpose="reading", extra="video", error=error)
    assert found.message == (
        f"the package 'opencv-python' is installed, but this system lacks {library}"
    )
    assert found.hint == f"install it; on Debian and Ubuntu: apt install {package}"


@pytest.mark.parametrize("error", [None, ModuleNotFoundError("No module named 'cv2'")])
def test_a_package_that_is_not_there_is_installed(error: ImportError | None) -> None:
    found = MissingPackageError("opencv-python", purpose="reading", extra="video", error=error)
    assert found.message == "reading needs the package 'opencv-python', which is not installed"
    assert found.hint == 'pip install "edgeunet[video]"'
