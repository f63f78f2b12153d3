"""Tables of documents as their sources say them: one function per table, from CSV files alone."""

from __future__ import annotations

import csv
import functools
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from edgeunet.units import GIB, MIB
from tests.house.source import ROOT

RESULTS = ROOT / "benchmarks" / "results"
_SIGMAS = ("0", "15", "25", "50")
Rows = list[list[str]]


def table_below(document: Path, heading: str) -> Rows:
    """Return the cells of the first table below a heading, its own headings left out."""
    text = "\n" + document.read_text(encoding="utf-8")
    section = text[text.index(f"\n{heading}\n") + len(heading) + 2 :]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None, f"{document.name} has no table below {heading}"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    return rows[2:]


@functools.cache
def rows_of(name: str) -> list[dict[str, str]]:
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def one_row(file: str, /, **wanted: str) -> dict[str, str]:
    """Return the only row of a CSV file with these values."""
    found = [row for row in rows_of(file) if all(row[key] == is_ for key, is_ in wanted.items())]
    assert len(found) == 1, f"{len(found)} rows of {file}.csv have {wanted}"
    return found[0]


def rounded(figure: str, digits: int, sign: str = "") -> str:
    """Return a figure as documents write it; a half goes away from zero, as on paper."""
    step = Decimal(1).scaleb(-digits)
    return f"{Decimal(figure).quantize(step, ROUND_HALF_UP):{sign}}"


def mib(size_bytes: str) -> str:
    return f"{int(size_bytes) / MIB:.1f}" if size_bytes else ""


def three(row: dict[str, str], pattern: str, digits: int, sign: str = "") -> str:
    """Return the figures of a row at sigma 15, 25 and 50, ``{}`` of a column standing for sigma."""
    figures = (row[pattern.format(sigma)] for sigma in _SIGMAS[1:])
    return " / ".join(rounded(figure, digits, sign) for figure in figures)


def frame_in_a_budget() -> Rows:
    """README: what a frame of ``unetmm`` takes."""
    runs = (
        ("onnxruntime's defaults", "onnxruntime defaults", ""),
        ("whole frame", "whole", ""),
        ("`--budget 200MiB`", "tiled", "200MiB"),
        ("`--tile auto`", "tiled", ""),
    )
    rows = []
    for title, run, budget in runs:
        row = one_row(
            "memory", model="unetmm", size="1080x1920", precision="fp32", run=run, budget=budget
        )
        ratio = row["recompute_ratio"]
        predicted = row["predicted_bytes"] and f"{mib(row['predicted_bytes'])} MiB"
        measured = int(row["measured_bytes"])
        taken = f"{measured / GIB:.2f} GiB" if measured >= GIB else f"{measured / MIB:.1f} MiB"
        rows.append([title, predicted, taken, rounded(ratio, 2) if ratio else "1.00"])
    return rows


def frames_whole_and_in_windows() -> Rows:
    """What every network took, whole and in windows, in FP32."""
    rows = []
    for row in rows_of("memory"):
        if row["precision"] != "fp32" or row["run"] not in ("whole", "tiled"):
            continue
        asked = "whole frame"
        if row["run"] == "tiled":
            asked = f"`--budget {row['budget']}`" if row["budget"] else "`--tile auto`"
        rows.append(
            [
                f"`{row['model']}`",
                row["size"],
                asked,
                mib(row["predicted_bytes"]),
                mib(row["measured_bytes"]),
                f"{rounded(row['recompute_ratio'], 2)}",
                row["onnxruntime"],
            ]
        )
    order = {"whole frame": 0, "`--tile auto`": 2}
    return sorted(rows, key=lambda cells: (cells[1], cells[0], order.get(cells[2], 1)))


def peers() -> Rows:
    """What other engines take of the same whole frames at 1080x1920 in FP32."""
    rows = []
    for model in ("unetmm", "joint", "nafnet"):
        for run, title in (
            ("whole", "edgeunet"),
            ("onnxruntime defaults", "onnxruntime, default options"),
            ("openvino", "OpenVINO"),
            ("torch eager", "torch"),
        ):
            row = one_row("memory", model=model, size="1080x1920", precision="fp32", run=run)
            rows.append([f"`{model}`", title, mib(row["measured_bytes"])])
    return rows


def _camera_gains() -> dict[tuple[str, str], list[float]]:
    gains: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows_of("camera_images"):
        if row["noise"] == "camera" and row["form"] == "torch fp32":
            gain = float(row["psnr_db"]) - float(row["psnr_noisy_db"])
            gains[row["method"], "all"].append(gain)
            gains[row["method"], row["camera"]].append(gain)
    return gains


def camera_gain(method: str, camera: str = "all") -> float:
    """Return the mean gain of a method over the real pairs, in dB."""
    return statistics.mean(_camera_gains()[method, camera])


def real_cameras() -> Rows:
    """Gains on real photographs: network, width, MACs, size of the weights, gains."""
    rows = []
    for method in ("unetmm-8", "unetmm-16", "unetmm-base-16", "joint-16"):
        name, _, width = method.rpartition("-")
        size = (ROOT / "export" / "weights" / f"{method}.safetensors").stat().st_size
        kmac = {row["kmac_per_pixel"] for row in rows_of("quality") if row["name"] == method}
        gains = _camera_gains()
        rows.append(
            [
                f"`{name}`, width {width}",
                *kmac,
                f"{size / MIB:.1f} MiB",
                *(
                    f"{camera_gain(method, one):+.2f} dB"
                    for one in ("all", "Canon5D2", "NikonD800")
                ),
                f"{min(gains[method, 'all']):+.2f} dB",
            ]
        )
    return rows


def white_noise() -> Rows:
    """PSNR on Kodak's 24 images in float noise, networks by name."""
    noisy: dict[str, str] = {}
    rows = []
    for name in (
        "unetmm-awgn-8",
        "unetmm-awgn-16",
        "unetmm-8",
        "unetmm-16",
        "unetmm-base-16",
        "unetmm-naf-16",
        "nafnet-small-12",
        "addunet-16",
        "addunet-joint-8",
    ):
        found = {row["sigma"]: row for row in kodak(name)}
        noisy = {**noisy, **{sigma: row["psnr_noisy_db"] for sigma, row in found.items()}}
        recipe, _, width = name.rpartition("-")
        figures = [found[sigma]["psnr_db"] if sigma in found else "" for sigma in _SIGMAS]
        rows.append([f"`{recipe}`, width {width}", *(_db(figure) for figure in figures)])
    return [["noisy", "equal", *(_db(noisy[sigma]) for sigma in _SIGMAS[1:])], *rows]


def kodak(name: str) -> Iterator[dict[str, str]]:
    for row in rows_of("quality"):
        if (row["name"], row["data"], row["images"], row["noise"]) == (
            name, "kodak24", "24", "float"
        ):  # fmt: skip
            yield row


def other_methods() -> Rows:
    """The first three Kodak images, beside BM3D; clipped noise on all, beside non-local means."""
    rows = []
    for images, noise, names in (
        ("3", "float", ("unetmm-awgn-8", "unetmm-awgn-16", "unetmm-base-16", "BM3D")),
        ("24", "uint8", ("unetmm-awgn-16", "unetmm-base-16", "fastNlMeans")),
    ):
        for name in names:
            found = [
                one_row("quality", name=name, images=images, noise=noise, sigma=sigma)["psnr_db"]
                for sigma in _SIGMAS[1:]
            ]
            title = "in float" if noise == "float" else "8 bits"
            label = name if name in ("BM3D", "fastNlMeans") else f"`{name}`"
            rows.append([images, title, label, *(_db(figure) for figure in found)])
    return rows


def _db(figure: str) -> str:
    return f"{rounded(figure, 2)} dB" if figure else ""


def joint_in_noise() -> Rows:
    """``joint`` on CamVid, in brackets with its earlier weights."""
    rows = []
    for row in rows_of("camera_joint"):
        if row["weights"] != "joint-16.safetensors":
            continue
        old = one_row(
            "camera_joint",
            noise=row["noise"],
            gain=row["gain"],
            sigma=row["sigma"],
            weights="joint-old.safetensors",
        )
        noise = f"camera, gain {float(row['gain']):g}" if row["gain"] else f"sigma {row['sigma']}"
        rows.append(
            [
                noise,
                f"{rounded(row['psnr_noisy_db'], 2)} dB",
                f"{rounded(row['psnr_db'], 2)} dB ({rounded(old['psnr_db'], 2)})",
                f"{rounded(row['miou_percent'], 1)} % ({rounded(old['miou_percent'], 1)})",
                f"{rounded(row['miou_of_clean_percent'], 1)} %"
                f" ({rounded(old['miou_of_clean_percent'], 1)})",
            ]
        )
    return rows


def joint_and_pair() -> Rows:
    """An earlier ``joint`` beside a denoiser and a segmenter of the same total size."""
    return [
        [
            {"float": "in float", "uint8": "8 bits"}[row["noise"]],
            row["sigma"],
            f"{rounded(row['joint_psnr_db'], 2)} / {rounded(row['pair_psnr_db'], 2)} dB",
            f"{rounded(row['psnr_gain_db'], 2, '+')} ± {rounded(row['half_width_db'], 3)} dB",
            f"{rounded(row['joint_miou_percent'], 1)} / {rounded(row['pair_miou_percent'], 1)} %",
        ]
        for row in rows_of("joint_pair")
    ]


def int8_quality() -> Rows:
    """What INT8 loses, by network and form."""
    rows = []
    for row in rows_of("int8"):
        if row["run"] != "whole" or not row["form"].startswith("int8"):
            continue
        form = row["form"].removeprefix("int8 ").replace("tensorrt", "TensorRT, simulated")
        labels = three(row, "miou_loss_{}_points", 2) if row["labelled_images"] else ""
        rows.append(
            [
                f"`{_int8_name(row)}`",
                form.replace("max-drop 0.1dB", "`--max-drop 0.1dB`"),
                f"{float(row['macs_share']):.1%}".replace("%", " %"),
                three(row, "loss_{}_db", 3),
                labels,
            ]
        )
    return rows


def _int8_name(row: dict[str, str]) -> str:
    # These were the weights of unetmm until it had some for cameras.
    return "unetmm-awgn" if row["model"] == "unetmm" else row["model"]


def int8_costs() -> Rows:
    """What INT8 takes and gains beside FP32, whole frames and windows."""
    rows = []
    for row in rows_of("int8"):
        if not row["form"].startswith("int8") or not row["predicted_bytes"]:
            continue
        base = one_row("int8", model=row["model"], form="fp32", run=row["run"])
        held = ""
        if row["held_bytes"]:
            held = f"1/{int(base['held_bytes']) / int(row['held_bytes']):.1f}"
        rows.append(
            [
                f"`{_int8_name(row)}`",
                row["form"].removeprefix("int8 ").replace("tensorrt", "TensorRT"),
                {"whole": "whole frame", "tiled": "windows"}[row["run"]],
                f"1/{int(base['weight_bytes']) / int(row['weight_bytes']):.1f}",
                held,
                f"{int(row['predicted_bytes']) / int(base['predicted_bytes']):.2f}",
                f"{rounded(row['times_as_fast'], 1)}" if row["times_as_fast"] else "",
            ]
        )
    return rows


def qat() -> Rows:
    return [
        [
            row["weights"],
            row["form"].replace("fp32", "FP32").replace("int8 ", "INT8, ")
            .replace("tensorrt", "TensorRT"),
            three(row, "loss_{}_db", 3) if row["form"] != "fp32" else "",
            three(row, "gain_{}_db", 3, "+") if row["weights"] != "shipped" else "",
        ]
        for row in rows_of("qat")
    ]  # fmt: skip


def bursts(coding: str) -> Rows:
    titles = {
        "noisy": "noisy shots",
        "before": "weights begun with",
        "clean": "clean targets, L1",
        "clean, squares": "clean targets, the loss of bursts",
        "bursts": "**bursts**",
        "bursts, image_loss": "bursts, L1",
        "same shot": "control: the target is the input",
    }
    rows = []
    for row in rows_of("bursts"):
        if row["coding"] == coding:
            figures = [rounded(row[key], 2) for key in ("psnr_clean_db", "psnr_mean_db")]
            bold = row["arm"] == "bursts"
            rows.append([titles[row["arm"]], *(f"**{x}**" if bold else x for x in figures)])
    return rows


def tensorrt_plans() -> Rows:
    """What the compiler says a plan takes at 1080x1920 in FP16, with what is held."""
    plans: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows_of("tensorrt_memory"):
        if (row["precision"], row["size"]) == ("fp16", "1080x1920"):
            plans[row["model"], row["mode"]].append(row)
    totals = {
        plan: max(int(row["reported_bytes"]) for row in stages) + int(stages[0]["held_bytes"])
        for plan, stages in plans.items()
    }
    whole = totals["nafnet", "whole"]
    models = sorted(
        {model for model, _ in totals}, key=lambda model: (totals[model, "tiled"], model)
    )
    rows = []
    for model in models:
        cells = [f"`{model}`"]
        for mode in ("whole", "tiled", "smallest"):
            total = totals.get((model, mode))
            cells.append("" if total is None else f"{total / MIB:.1f} (1/{whole / total:.1f})")
        rows.append(cells)
    return rows


def video_files() -> Rows:
    """Return per kind of work: times in ms per frame and their ratios, KiB per frame and PSNR."""
    table = []
    for what in dict.fromkeys(row["what"] for row in rows_of("video_files")):
        rows = [row for row in rows_of("video_files") if row["what"] == what]
        cells = [what]
        for unit in ("processor_ms", "wall_ms"):
            both = [(float(row[f"pyav_{unit}"]), float(row[f"opencv_{unit}"])) for row in rows]
            cells += [f"{statistics.median(column):.1f}" for column in zip(*both, strict=True)]
            cells.append(f"{statistics.median(ours / theirs for ours, theirs in both):.2f}")
        for figure, digits in (("kib", 0), ("psnr_db", 1)):
            pair = [rows[0][f"{way}_{figure}"] for way in ("pyav", "opencv")]
            cells.append(" / ".join(rounded(one, digits) for one in pair if one))
        table.append(cells)
    return table
