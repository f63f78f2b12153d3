"""What pages say of videos and of networks that remember them, as CSV files say it."""

from __future__ import annotations

import re

from tests.house.quoted import Rows, one_row, rounded, rows_of

_GAINS = re.compile(r"over `?unetmm`? at sigma 30: (.*?) dB")


def video_networks() -> Rows:
    """findings/video-networks.md: what remembering gains on each clip, at both widths."""
    return [
        [
            row["clip"],
            row["noise"],
            row["width"],
            rounded(row["alone_db"], 2),
            rounded(row["gain_db"], 2, "+"),
            rounded(row["worst_gain_db"], 2, "+"),
            rounded(row["flicker_ratio"], 2),
        ]
        for row in rows_of("video_networks")
    ]


def video_colours() -> Rows:
    """Return findings/files.md: where colours lie, what the file says, and the PSNR."""
    return [
        [row["bits"], row["colours_lie"], row["file_says"], row["psnr_db"]]
        for row in rows_of("video_colours")
    ]


def video_robustness() -> Rows:
    """findings/video-networks.md: what happens on clips that are made of one photograph."""
    names = (("early", 2), ("late", 2), ("error_levels", 2))
    return [
        [row["width"], row["clip"], *(rounded(row[n], d) if row[n] else "" for n, d in names)]
        for row in rows_of("video_robustness")
    ]


def quoted_gains(text: str) -> list[str]:
    """Return what a recipe or a model card says of the gains in white noise: "CLIP GAIN" each."""
    found = _GAINS.search(text)
    return [] if found is None else found[1].split(" / ")


def measured_gains(text: str, width: str) -> list[str]:
    """Return the same from the CSV file, of the clips that the text names."""
    return [
        f"{clip} {rounded(row['gain_db'], 2, '+')}"
        for clip, _, _ in (entry.rpartition(" ") for entry in quoted_gains(text))
        for row in [one_row("video_networks", clip=clip, noise="white", width=width)]
    ]
