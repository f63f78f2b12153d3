"""Everything here needs a GPU, and is skipped with the reason where there is none."""

from __future__ import annotations

import pytest

from edgeunet.engine.cuda import open_device
from edgeunet.engine.cuda.settings import read_settings
from edgeunet.engine.trt.provider import load_provider
from edgeunet.errors import EdgeUnetError


def missing() -> str | None:
    """Return what is missing here, in words; None when all is there."""
    settings = read_settings()
    try:
        open_device(settings.backend, settings.ordinal).close()
        load_provider()
    except EdgeUnetError as error:
        return error.message
    return None


# Of the session, so that nothing is exported or built before it.
@pytest.fixture(scope="session", autouse=True)
def _needs_a_gpu() -> None:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
