"""A run that is stopped while its sinks are opened leaves no file of theirs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edgeunet.media.frames import Sink
from edgeunet.media.sinks import open_sink
from edgeunet.stream import RunOptions, opening, run_pipeline
from edgeunet.stream.opening import StoppedWhileOpening
from tests.bundle.tiny import tiny_bundle
from tests.media.clips import listing


def test_a_sink_that_opens_after_the_stop_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    out = tmp_path / "out"
    out.mkdir()
    stop = threading.Event()

    def stopped_meanwhile(*args: Any) -> Sink:
        stop.set()
        time.sleep(0.2)
        return open_sink(*args)

    monkeypatch.setattr(opening, "open_sink", stopped_meanwhile)
    with pytest.raises(StoppedWhileOpening):
        run_pipeline(RunOptions("test://", bundle.path, (str(out / "o.mp4"),)), stop=stop)
    # A process that ends now must not leave what a thread is still opening.
    assert "edgeunet-open" not in {thread.name for thread in threading.enumerate()}
    assert listing(out) == []
