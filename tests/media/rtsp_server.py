"""A real RTSP server for tests, run by the system's Python: GStreamer's gst-rtsp-server.

Arguments: PORT HEIGHTxWIDTH CODEC [USER PASSWORD]. CODEC is h264, jpeg, sound without video, or
h264-udp, which is sent by UDP only and has a key frame every 20 s. A password is asked for
by a digest, so that it is not sent. The server prints "ready" and serves /cam on loopback. On
SIGUSR1 its frames become half as wide.
"""

from __future__ import annotations

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

_H264 = (
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={} ! "
    "rtph264pay name=pay0 config-interval=-1"
)
CODERS = {
    "h264": _H264.format(10),
    "h264-udp": _H264.format(600),
    "jpeg": "videoconvert ! video/x-raw,format=I420 ! jpegenc ! rtpjpegpay name=pay0",
}
SOUND = "( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 )"
PIPELINE = "( videotestsrc is-live=true pattern=ball ! capsfilter name=size ! {coder} )"


def caps(height: int, width: int) -> Gst.Caps:
    return Gst.Caps.from_string(f"video/x-raw,width={width},height={height},framerate=30/1")


def main(port: str, size: str, codec: str, *user: str) -> None:
    Gst.init(None)
    height, width = (int(side) for side in size.split("x"))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(SOUND if codec == "sound" else PIPELINE.format(coder=CODERS[codec]))
    if codec == "h264-udp":
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    factory.set_shared(True)
    filters = []

    def configure(_: object, media: GstRtspServer.RTSPMedia) -> None:
        found = media.get_element().get_by_name("size")
        if found is None:
            return
        found.set_property("caps", caps(height, width))
        filters.append(found)

    factory.connect("media-configure", configure)
    if user:
        name, password = user
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(name, password, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)

    def shrink() -> bool:
        for one in filters:
            one.set_property("caps", caps(height, width // 2))
        return True

    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, shrink)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
