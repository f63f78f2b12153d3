"""What pages say of videos and of networks that remember them, as CSV files say it."""

from __future__ import annotations

import re

from tests.house.quoted import Rows, one_row, rounded, rows_of

_GAINS = re.compile(r"over `?(unetmm|joint)`? at sigma 30: (.*?) dB")
_SOURCES = {"unetmm": "video_networks", "joint": "video_joint"}


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
            rounded(along, 2) if (along := row["flicker_along_ratio"]) else "",
        ]
        for row in rows_of("video_networks")
    ]


def video_int8() -> Rows:
    """findings/video-networks.md: what INT8 loses, at first and after 100 frames."""
    figures = ("early", "lost_early", "late", "lost_late")
    return [
        [
            row["network"],
            row["width"],
            row["clip"],
            row["bundle"].removeprefix("int8 for "),
            *(rounded(row[name], 2) for name in figures),
            f"{rounded(lost, 1)} %" if (lost := row["lost_miou_percent"]) else "",
        ]
        for row in rows_of("video_int8")
        if row["bundle"] != "fp32"
    ]


def joint_video() -> Rows:
    """findings/joint.md: what remembering gains in image and labels."""
    return [
        [
            row["clip"],
            rounded(row["alone_db"], 2),
            rounded(row["gain_db"], 2, "+"),
            *(
                f"{rounded(row[f'{name}_percent'], 1)} %"
                for name in ("alone_miou", "miou", "alone_change", "change")
            ),
        ]
        for row in rows_of("video_joint")
    ]


def video_colours() -> Rows:
    """Return findings/files.md: where colours lie, what the file says, and the PSNR."""
    return [
        [row["bits"], row["colours_lie"], row["file_says"], row["psnr_db"]]
        for row in rows_of("video_colours")
    ]


def video_robustness() -> Rows:
    """findings/video-networks.md: what happens on clips that are made of one photograph."""
    names = ("early", "late", "error_levels", "trusted_early", "trusted_late")
    return [
        [row["width"], row["clip"], *(rounded(row[n], 2) if row[n] else "" for n in names)]
        for row in rows_of("video_robustness")
    ]


def video_windows() -> Rows:
    """findings/video-networks.md: how many bytes of windows are not those of whole frames."""
    return [
        [
            row["width"],
            row["precision"],
            row["graph_for"],
            rounded(row["own_apart_per_million"], 1),
            row["own_most_levels"],
            rounded(row["given_apart_per_million"], 1),
            row["given_most_levels"],
        ]
        for row in rows_of("video_windows")
    ]


def quoted_gains(text: str) -> list[str]:
    """Return what a recipe or a model card says of the gains in white noise: "CLIP GAIN" each."""
    found = _GAINS.search(text)
    return [] if found is None else found[2].split(" / ")


def measured_gains(text: str, width: str) -> list[str]:
    """Return the same from the CSV file, of the clips that the text names."""
    found = _GAINS.search(text)
    if found is None:
        return []
    which = {"noise": "white", "width": width} if found[1] == "unetmm" else {}
    return [
        f"{clip} {rounded(one_row(_SOURCES[found[1]], clip=clip, **which)['gain_db'], 2, '+')}"
        for clip, _, _ in (entry.rpartition(" ") for entry in quoted_gains(text))
    ]
