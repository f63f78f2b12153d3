"""A real RTSP server that takes a stream and keeps it, run by the system's Python.

Arguments: PORT FILE.mkv. It prints "ready" and takes what is sent to /live on loopback.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(port: str, path: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( rtph264depay name=depay0 ! h264parse ! matroskamux streamable=true ! "
        f"filesink buffer-mode=unbuffered location={path} )"
    )
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
