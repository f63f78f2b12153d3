"""Streams over UDP: a sender that goes away, packets that are lost or damaged, and colours."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from edgeunet.media.live.live_inputs import Loss, LostInputError
from edgeunet.media.live.reconnecting import Patience
from edgeunet.media.sources import LiveOptions, open_source
from edgeunet.stream import RunOptions, run_pipeline
from tests.bundle.tiny import tiny_bundle
from tests.media.clips import read_video
from tests.media.gstreamer_here import needs_gstreamer, run_with_gstreamer
from tests.media.udp_sender import LossyRelay, UdpSender

# Levels that coding takes. Read as BT.601 these colours would be 20 and more off.
_ROUNDING = 6


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def patient(timeout_s: float, reconnect_s: float, events: list[str]) -> LiveOptions:
    return LiveOptions(Patience(timeout_s, reconnect_s), on_event=events.append)


def test_a_sender_that_goes_away_and_comes_back() -> None:
    port, events = free_port(), list[str]()
    address = f"udp://127.0.0.1:{port}"
    with UdpSender(port):
        source = open_source(address, None, patient(1, 30, events))
        assert (source.height, source.width) == (48, 64)
        assert source.read() is not None
    deadline_s = time.monotonic() + 30
    while not events and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert events == [
        f"warning: '{address}' has delivered no frame for 1 s; opening it again",
    ]
    with UdpSender(port):
        while not source.report().reconnections and time.monotonic() < deadline_s:
            assert source.read() is not None
        assert source.report().reconnections == 1
        assert source.read() is not None
        source.close()
    assert events[-1].startswith(f"{address} is back after ")


def test_a_sender_that_stays_away_is_given_up() -> None:
    port = free_port()
    with UdpSender(port):
        source = open_source(f"udp://127.0.0.1:{port}", None, patient(1, 0, []))
    with pytest.raises(LostInputError, match="has delivered no frame for 1 s") as caught:
        while source.read() is not None:
            pass
    assert caught.value.loss is Loss.SILENCE
    source.close()


@pytest.mark.parametrize(("loss", "damage"), [(0.05, 0.0), (0.3, 0.0), (0.0, 0.1)])
def test_packets_that_are_lost_or_damaged_end_no_run(
    tmp_path: Path, loss: float, damage: float
) -> None:
    port, out = free_port(), tmp_path / "out.mkv"
    with LossyRelay(port) as relay, UdpSender(relay.port):
        # The stream begins whole, so that a broken beginning is not what is tested.
        relay.loss, relay.damage = 0.0, 0.0

        def spoil(frames: int, total: int | None, rate: float) -> None:
            relay.loss, relay.damage = loss, damage

        options = RunOptions(
            f"udp://127.0.0.1:{port}",
            tiny_bundle(tmp_path).path,
            (str(out),),
            frame_limit=60,
            patience=Patience(10, 30),
        )
        summary = run_pipeline(options, on_frame=spoil)
    assert (summary.frames, summary.reconnections) == (60, 0)
    assert summary.damaged > 0
    assert any("damaged frames or packets of udp://" in line for line in summary.warnings)
    written = summary.sinks[0].written
    assert written + summary.sinks[0].missed == 60
    assert len(read_video(out)[0]) == written


def patches() -> np.ndarray:
    """Six saturated colours, each 16x16 pixels, (32, 48, 3) uint8 BGR."""
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200)]
    colours.append((128, 128, 128))
    image = np.array(colours, np.uint8).reshape(2, 3, 3)
    return image.repeat(16, axis=0).repeat(16, axis=1)


def middles(image: np.ndarray) -> np.ndarray:
    return image[8::16, 8::16].astype(int)


def test_a_live_stream_in_bt709_has_its_colours() -> None:
    port = free_port()
    with UdpSender(port, patches()):
        source = open_source(f"udp://127.0.0.1:{port}", None, patient(5, 0, []))
        frame = source.read()
        source.close()
    assert frame is not None
    assert np.abs(middles(frame.image) - middles(patches())).max() <= _ROUNDING


@needs_gstreamer
def test_gstreamer_has_the_colours_of_bt709_too() -> None:
    code = """
import json, sys
from edgeunet.media.sources import open_source
source = open_source(sys.argv[1], None)
print(json.dumps(source.read().image[8::16, 8::16].tolist()))
source.close()
"""
    port = free_port()
    pipeline = f"gst://udpsrc port={port} ! tsdemux ! h264parse ! avdec_h264 ! appsink"
    with UdpSender(port, patches()):
        found = np.array(json.loads(run_with_gstreamer(code, pipeline)))
    assert np.abs(found - middles(patches())).max() <= _ROUNDING
