"""Prints what every verb makes of kinds of video files. docs/findings/files.md sums it up.

    python -m tests.media.verb_table FFMPEG

prints it. The files are made, and their frames and times told, by the programs ffmpeg and ffprobe.
FFMPEG: the first; ffprobe lies beside it.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeunet.errors import EdgeUnetError
from edgeunet.media.sources import open_source
from tests.media.video_verbs import VERBS

_SCENE = "-f lavfi -i testsrc2=size={size}:rate=10:duration=1.2"
_H264 = "-c:v libx264 -qp 0 -pix_fmt yuv420p"
_UNEVEN = "-vf setpts='if(eq(mod(N\\,3)\\,0)\\,N\\,N+0.4)/10/TB' -fps_mode vfr"
_ALPHA = "-vf format=rgba,geq=r='r(X\\,Y)':g='g(X\\,Y)':b='b(X\\,Y)':a='X*4'"

KINDS: dict[str, tuple[str, str]] = {
    "H.264 in MP4": ("a.mp4", _H264),
    "H.264, size not a multiple of 16": ("c.mp4", f"66x50 {_H264}"),
    "H.264 in fragments": ("f.mp4", f"{_H264} -g 3 -movflags frag_keyframe+empty_moov"),
    "H.264, B-frames": ("b.mp4", f"{_H264} -bf 3"),
    "H.264, B-frames, in TS": ("b.ts", f"{_H264} -bf 3"),
    "H.264, B-frames, in AVI": ("b.avi", f"{_H264} -bf 3"),
    "H.264, grey": ("g.mp4", "-c:v libx264 -qp 0 -pix_fmt gray"),
    "H.264, 4:2:2": ("d.mkv", "-c:v libx264 -qp 0 -pix_fmt yuv422p"),
    "H.264, 4:4:4": ("e.mp4", "-c:v libx264 -qp 0 -pix_fmt yuv444p"),
    "H.264, RGB": ("r.mkv", "-c:v libx264rgb -qp 0 -pix_fmt rgb24"),
    "H.264, 10 bits": ("h.mp4", "-c:v libx264 -qp 0 -pix_fmt yuv420p10le"),
    "H.264, full range": (
        "i.mp4", "-vf scale=out_range=full -color_range pc -c:v libx264 -qp 0 -pix_fmt yuvj420p",
    ),
    "H.264, BT.709": (
        "j.mp4", f"-vf scale=out_color_matrix=bt709 {_H264} -colorspace bt709",
    ),
    "H.264, BT.2020": (
        "k.mp4", f"-vf scale=out_color_matrix=bt2020 {_H264} -colorspace bt2020nc",
    ),
    "H.264, interlaced": ("l.mp4", f"-flags +ilme+ildct -x264opts tff=1 {_H264}"),
    "H.264, pixels not square": ("m.mp4", f"-vf setsar=4/3 {_H264}"),
    "H.264, PQ": ("n.mp4", f"{_H264} -color_trc smpte2084 -colorspace bt2020nc"),
    "H.264, uneven intervals, in MP4": ("o.mp4", f"{_UNEVEN} {_H264}"),
    "H.264, starts at 5 s": ("p.mkv", f"{_H264} -output_ts_offset 5"),
    "H.264 without key frames, in TS": (
        "q.ts", f"{_H264} -x264-params intra-refresh=1:keyint=6",
    ),
    "HEVC, 10 bits": (
        "s.mp4", "-c:v libx265 -x265-params lossless=1:log-level=error -pix_fmt yuv420p10le",
    ),
    "HEVC, 12 bits": (
        "t.mp4", "-c:v libx265 -x265-params lossless=1:log-level=error -pix_fmt yuv420p12le",
    ),
    "AV1": ("u.mp4", "-c:v libaom-av1 -cpu-used 8 -crf 10"),
    "VP8 in WebM": ("v.webm", "-c:v libvpx -crf 4 -b:v 1M"),
    "VP9 in WebM, uneven intervals": ("w.webm", f"{_UNEVEN} -c:v libvpx-vp9 -lossless 1"),
    "VP9 in WebM, odd size": (
        "x.webm", "-vf scale=63:47 -c:v libvpx-vp9 -lossless 1 -pix_fmt yuv420p",
    ),
    "VP9 in WebM, transparent": (
        "y.webm", f"{_ALPHA},format=yuva420p -c:v libvpx-vp9 -lossless 1",
    ),
    "FFV1 in MKV, odd size": ("z.mkv", "-vf scale=63:47 -c:v ffv1 -pix_fmt yuv420p"),
    "QuickTime Animation, transparent": ("aa.mov", f"{_ALPHA} -c:v qtrle"),
    "ProRes 4444": ("ab.mov", "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le"),
    "Motion JPEG in AVI": ("ac.avi", "-c:v mjpeg -q:v 2 -pix_fmt yuvj422p"),
    "uncompressed BGR in AVI": ("ad.avi", "-c:v rawvideo -pix_fmt bgr24"),
    "uncompressed YUYV in AVI": ("ae.avi", "-c:v rawvideo -pix_fmt yuyv422"),
    "MPEG-4 in AVI": ("af.avi", "-c:v mpeg4 -q:v 2"),
    "MPEG-2 in TS": ("ag.ts", "-c:v mpeg2video -q:v 2"),
    "MPEG-2, interlaced, in a program stream": (
        "ah.mpg",
        "-vf tinterlace=interleave_top,setfield=tff -flags +ilme+ildct -c:v mpeg2video -q:v 2",
    ),
    "MPEG-1": ("ai.mpg", "-c:v mpeg1video -q:v 2 -r 25"),
    "Flash video": ("aj.flv", "-c:v flv1 -q:v 2"),
    "Windows Media": ("ak.wmv", "-c:v wmv2 -q:v 2"),
    "Theora": ("al.ogv", "-c:v libtheora -q:v 10"),
}  # fmt: skip
"""Name of a kind -> a file's name, and ffmpeg's options, after the scene's size unless 64x48."""

COPIES: dict[str, tuple[str, str]] = {
    **{
        f"turned by {angle} degrees": (f"ba{angle}.mp4", f"-metadata:s:v rotate={angle}")
        for angle in (90, 180, 270)
    },
    "turned by 90 degrees, in MOV": ("bb.mov", "-metadata:s:v rotate=90"),
    "edit list": ("bc.mp4", ""),
    "two videos": ("bd.mp4", "-map 0 -map 0"),
    "sound that is longer": ("be.mkv", "-f lavfi -i sine=d=3 -map 0 -map 1 -c:a aac"),
}  # fmt: skip
"""The same for copies of the first kind."""

SAID = {
    "H.264, 10 bits": "scale=in_h_chr_pos=0",
    "HEVC, 10 bits": "scale=in_h_chr_pos=0",
    "HEVC, 12 bits": "scale=in_h_chr_pos=0",
    "H.264, interlaced": "scale=interl=1",
    "MPEG-2, interlaced, in a program stream": "scale=interl=1",
}
"""What a file of a kind says of where its colours lie, as options of ffmpeg.

PyAV's FFmpeg follows what files say: H.264 and HEVC put colours on every second column (ITU-T
H.264, E.2.1), and those of an interlaced frame belong to its fields. The program ffmpeg has to be
told, fields in every version, and columns in those before 7.1.
"""

# A conversion of colours in two versions of FFmpeg, on the sharp edges of a drawn scene.
_MOST_APART, _MEAN_APART = 3, 0.5


def table(ffmpeg: str) -> str:
    """Return the table as Markdown."""
    lines = [["file", "frames", "times", *VERBS, "told"]]
    lines.append(["---"] * len(lines[0]))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for kind, (name, options) in KINDS.items():
            size = "64x48"
            if options[0].isdigit():
                size, _, options = options.partition(" ")
            _call(ffmpeg, f"{_SCENE.format(size=size)} {options}", root / name)
            lines.append(_row(ffmpeg, kind, root / name))
        first = root / "a.mp4"
        for kind, (name, options) in COPIES.items():
            start = "-ss 0.35 " if kind == "edit list" else ""
            _call(ffmpeg, f"{start}-i {first} {options} -c:v copy", root / name)
            lines.append(_row(ffmpeg, kind, root / name))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _call(ffmpeg: str, options: str, out: Path) -> None:
    subprocess.run([ffmpeg, "-v", "error", "-y", *shlex.split(options), str(out)], check=True)


def _row(ffmpeg: str, kind: str, path: Path) -> list[str]:
    truth, times_s = _frames(ffmpeg, path, SAID.get(kind, "null")), _times_s(ffmpeg, path)
    outcomes, told = [], []
    for read in VERBS.values():
        try:
            images, lines = read(path)
        except EdgeUnetError:
            outcomes.append("refused")
            continue
        outcomes.append(_outcome(images, truth))
        told.append(bool(lines))
    agree = len(set(told)) <= 1
    said = ("yes" if told and told[0] else "") if agree else "not by every verb"
    return [kind, str(len(truth)), _of_times(path, times_s), *outcomes, said]


def _outcome(images: list[NDArray[np.uint8]], truth: NDArray[np.uint8]) -> str:
    if len(images) != len(truth) or images[0].shape != truth[0].shape:
        return "wrong"
    apart = np.abs(np.stack(images).astype(int) - truth)
    return "right" if apart.max() <= _MOST_APART and apart.mean() <= _MEAN_APART else "wrong"


def _of_times(path: Path, wanted_s: list[float]) -> str:
    source, found_s = open_source(str(path)), []
    while (frame := source.read()) is not None:
        found_s.append(frame.timestamp_s)
    source.close()
    if len(found_s) != len(wanted_s):
        return "wrong"
    if np.isnan(wanted_s).any():
        return "not told by ffprobe"
    half_s = 0.5 * min(np.diff(wanted_s), default=1.0) + 1e-6
    apart = np.abs(np.array(wanted_s) - wanted_s[0] - found_s)
    return "right" if apart.max() <= half_s else "wrong"


def _frames(ffmpeg: str, path: Path, filtered: str) -> NDArray[np.uint8]:
    """Return the frames that ffmpeg decodes, (N, H, W, 3) uint8 BGR, turned upright.

    filtered: by a filter of ffmpeg.
    """
    one = [ffmpeg, "-v", "error", "-i", str(path), "-map", "0:V:0", "-vf", filtered]
    first = subprocess.run(
        [*one, "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"],
        capture_output=True,
        check=True,
    ).stdout
    width, height = map(int, first.split(b"\n")[1].split())
    every = subprocess.run(
        [*one, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(every, np.uint8).reshape(-1, height, width, 3)


def _times_s(ffmpeg: str, path: Path) -> list[float]:
    told = subprocess.run(
        [
            str(Path(ffmpeg).with_name("ffprobe")), "-v", "error", "-select_streams", "V:0",
            "-show_entries", "frame=best_effort_timestamp_time", "-of", "json", str(path),
        ],
        capture_output=True,
        check=True,
    )  # fmt: skip
    frames = json.loads(told.stdout)["frames"]
    return [float(frame.get("best_effort_timestamp_time", "nan")) for frame in frames]


if __name__ == "__main__":
    print(table(sys.argv[1]))
