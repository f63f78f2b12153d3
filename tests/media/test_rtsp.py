"""Network cameras on a real RTSP server, through PyAV and through GStreamer's binding."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from edgeunet.media.live.live_inputs import Loss, LostInputError
from edgeunet.media.live.reconnecting import Patience
from edgeunet.media.live.stream_decoder import StreamDecoder
from edgeunet.media.sources import LiveOptions, open_source
from tests.media.gstreamer_here import (
    RtspServer,
    free_port,
    needs_gstreamer,
    run_with_gstreamer,
)

pytestmark = needs_gstreamer

# Opens a source with a patience, then follows commands; prints JSON lines about what happens.
FOLLOW = """
import json, sys, threading, time
from edgeunet.media.live.reconnecting import Patience
from edgeunet.media.sources import LiveOptions, open_source
text, timeout_s, reconnect_s, frames = sys.argv[1:5]
def tell(**more):
    print(json.dumps(more), flush=True)
started_s = time.monotonic()
try:
    live = LiveOptions(Patience(float(timeout_s), float(reconnect_s)),
                       on_event=lambda line: tell(event=line))
    source = open_source(text, None, live)
    tell(size=[source.height, source.width], rate=source.frame_rate)
    count, means = 0, []
    while count < int(frames) and (frame := source.read()) is not None:
        count += 1
        means.append(round(float(frame.image.mean()), 2))
    tell(frames=count, means=means[:3], ended=frame is None)
    source.close()
    report = source.report()
    tell(reconnections=report.reconnections, dropped=report.dropped, early=report.early)
except Exception as error:
    tell(error=type(error).__name__, message=error.message, hint=error.hint,
         code=error.exit_code, took_s=time.monotonic() - started_s)
deadline_s = time.monotonic() + 3
while threading.active_count() > 1 and time.monotonic() < deadline_s:
    time.sleep(0.02)
tell(threads=[thread.name for thread in threading.enumerate()])
"""


def follow(
    text: str, timeout_s: float = 5, reconnect_s: float = 0, frames: int = 100
) -> list[dict[str, object]]:
    words = (text, str(timeout_s), str(reconnect_s), str(frames))
    return [json.loads(line) for line in run_with_gstreamer(FOLLOW, *words).splitlines()]


def patient(timeout_s: float, reconnect_s: float, events: list[str]) -> LiveOptions:
    return LiveOptions(Patience(timeout_s, reconnect_s), on_event=events.append)


def test_a_server_that_is_killed_and_started_again() -> None:
    """It comes back with another codec, as after somebody changed the camera's settings."""
    events: list[str] = []
    port = free_port()
    with RtspServer(port=port) as first:
        source = open_source(first.address, None, patient(5, 30, events))
        assert (source.height, source.width) == (48, 64)
        for _ in range(5):
            assert source.read() is not None
        first.kill()
        again = threading.Event()
        found: list[object] = []

        def read_on() -> None:
            deadline_s = time.monotonic() + 30
            while time.monotonic() < deadline_s:
                frame = source.read()
                if frame is None or source.report().reconnections:
                    found.append(frame)
                    break
            again.set()

        threading.Thread(target=read_on, daemon=True).start()
        time.sleep(2)
        with RtspServer(port=port, codec="jpeg"):
            assert again.wait(30)
            source.close()
    assert found
    assert found[0] is not None
    assert source.report().reconnections == 1
    assert any("opening it again" in line for line in events)
    assert any(f"{first.address} is back after" in line for line in events)


def test_a_server_that_freezes_is_silent_and_then_given_up() -> None:
    with RtspServer() as server:
        source = open_source(server.address, None, patient(1, 0, []))
        assert source.read() is not None
        server.signal(signal.SIGSTOP)
        started_s = time.monotonic()
        with pytest.raises(LostInputError, match="has delivered no frame for 1 s") as caught:
            while source.read() is not None:
                pass
        assert caught.value.loss is Loss.SILENCE
        assert time.monotonic() - started_s < 10
        source.close()


@pytest.mark.parametrize("library", ["PyAV", "GStreamer"])
def test_reasons_are_given_at_once_and_passwords_never(library: str) -> None:
    def failure(address: str) -> tuple[str, int, float]:
        if library == "GStreamer":
            told = follow(address)
            assert "error" in told[0], told
            assert told[-1]["threads"] == ["MainThread"]
            return str(told[0]["message"]), int(str(told[0]["code"])), float(str(told[0]["took_s"]))
        started_s = time.monotonic()
        with pytest.raises(LostInputError) as caught:
            open_source(address, None, patient(5, 0, []))
        assert "s3cret" not in caught.value.message + caught.value.hint
        return caught.value.message, caught.value.exit_code, time.monotonic() - started_s

    with RtspServer(user=("me", "right s3cret")) as server:
        here = f"127.0.0.1:{server.port}"
        expected = {
            f"rtsp://me:wr@ng/s3cret@{here}/cam": "does not accept the user or the password",
            f"rtsp://me:right%20s3cret@{here}/none": "is not there: the server answers",
            f"rtsp://me:s3cret@127.0.0.1:{free_port()}/cam": "cannot be read: ",
        }
        for address, words in expected.items():
            message, code, took_s = failure(address)
            assert words in message
            assert "s3cret" not in message
            assert code == 3
            assert took_s < 4


def test_the_password_is_given_to_the_camera() -> None:
    with RtspServer(user=("me", "s3c@r/e t")) as server:
        address = f"rtsp://me@127.0.0.1:{server.port}/cam"
        source = open_source(address, None, LiveOptions(Patience(5, 0), password="s3c@r/e t"))
        assert source.read() is not None
        assert source.name == address
        source.close()


@pytest.mark.parametrize("user", ["me", "me@home.org"])
def test_the_password_reaches_the_camera_through_gstreamer(user: str) -> None:
    with RtspServer(user=(user, "s3c@r/et%")) as server:
        address = f"rtsp://{user}:s3c@r/et%25@127.0.0.1:{server.port}/cam"
        pipeline = f"gst://rtspsrc location={address} protocols=tcp ! decodebin ! appsink"
        texts = [address, pipeline] if user == "me" else [address]
        for text in texts:
            assert follow(text, frames=2)[1]["frames"] == 2


@pytest.mark.parametrize("library", ["PyAV", "GStreamer"])
def test_a_change_of_size_is_said(library: str) -> None:
    with RtspServer("64x128") as server:
        threading.Timer(2.5, lambda: server.signal(signal.SIGUSR1)).start()
        if library == "GStreamer":
            told = follow(server.address, frames=400)
            assert told[0]["size"] == [64, 128]
            message = str(told[-2]["message"])
        else:
            source = open_source(server.address, None, patient(5, 30, []))
            with pytest.raises(LostInputError) as caught:
                for _ in range(400):
                    source.read()
            message = caught.value.message
            source.close()
        assert "changed its frame size from 64x128 to 64x64" in message


@pytest.mark.parametrize("library", ["PyAV", "GStreamer"])
def test_a_camera_that_sends_by_udp_only_and_seldom_a_key_frame(library: str) -> None:
    """The only key frame of the next 20 s is the first frame, which nobody may throw away."""
    with RtspServer(codec="h264-udp") as server:
        if library == "GStreamer":
            assert follow(server.address, frames=9)[1]["frames"] == 9
        else:
            source = open_source(server.address, None, patient(5, 0, []))
            for _ in range(9):
                assert source.read() is not None
            source.close()


@pytest.mark.parametrize("library", ["PyAV", "GStreamer"])
def test_sound_alone_is_no_video(library: str) -> None:
    with RtspServer(codec="sound") as server:
        if library == "GStreamer":
            message = follow(server.address)[0]["message"]
        else:
            with pytest.raises(LostInputError) as caught:
                open_source(server.address, None, patient(5, 0, []))
            message = caught.value.message
        assert message == f"'{server.address}' has no video"


def test_a_stream_that_is_not_read_leaves_nothing_behind() -> None:
    """Forty openings that fail leave no thread behind, where OpenCV leaves two each."""
    before = threading.active_count()
    for _ in range(40):
        with pytest.raises(LostInputError):
            StreamDecoder("x", f"rtsp://127.0.0.1:{free_port()}/x", 2)
    assert threading.active_count() == before
