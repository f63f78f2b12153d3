"""What does a fine-tune in 8 bits (``edgeunet train --qat``) gain?

    python -m benchmarks.qat --kodak FOLDER --tuned FILE [--plain FILE] [--model NAME] [--limit N]

The shipped weights at width 16 beside those that were fine-tuned from them, each calibrated anew on
the shipped set, as by ``edgeunet export --int8``. ``--plain``: weights of the same fine-tune in
floats (the same steps, rate and batches, ``in_bytes = 1``), which says what of a gain is due to the
8 bits. ``results/qat.csv`` has a row per weights and form (fp32, int8 for onnxruntime, int8 for
tensorrt, which runs in onnxruntime as a simulation).

PSNR is in noise clipped to 8 bits, at sigma 15, 25 and 50, over the centres of the first N images;
all rows see the same pixels. ``loss``: to FP32 of the same weights. ``gain``: over the same form of
the shipped weights.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.helpers.record import RESULTS, provenance, read_csv, write_csv
from benchmarks.int8 import FORMS, SIZE, Form, Row, quality
from edgeunet.choosing.shipped_weights import shipped_weights
from edgeunet.cli.console import note, print_table
from edgeunet.convert.exporting import ExportOrder, draft_bundle
from edgeunet.evaluate.protocol import SIGMAS
from edgeunet.files import sha256_of
from edgeunet.recipes import Recipe, load_recipe

NAME = "qat"
COMPARED = ("fp32", "int8 onnxruntime", "int8 tensorrt")
SHIPPED, PLAIN = "shipped", "fine-tuned in floats"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kodak", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, required=True, help="weights that --qat wrote")
    parser.add_argument("--plain", type=Path, help="weights of the same fine-tune in floats")
    parser.add_argument("--tuned-for", choices=("onnxruntime", "tensorrt"), default="onnxruntime")
    parser.add_argument("--model", default="unetmm")
    parser.add_argument("--limit", type=int, default=8)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.model).with_width(16)
    shipped = shipped_weights(recipe.name, recipe)
    if shipped is None:
        parser.error(f"there are no shipped weights for {recipe.name} at width 16")
    path = RESULTS / f"{NAME}.csv"
    compared = {SHIPPED: shipped, f"fine-tuned for {arguments.tuned_for}": arguments.tuned}
    if arguments.plain is not None:
        compared[PLAIN] = arguments.plain
    known = read_csv(path) if path.is_file() else []
    rows = [row for row in known if row["model"] != recipe.name or row["weights"] not in compared]
    before: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="edgeunet-") as scratch:
        for label, weights in compared.items():
            digest, floats = sha256_of(weights), None
            for form in FORMS:
                if form.name not in COMPARED:
                    continue
                row: Row = {"model": recipe.name, "weights": label, "weights_sha256": digest}
                row |= {"form": form.name, "images": arguments.limit}
                figures = _known(known, row)
                if figures is None:
                    note(f"{label}: {form.name}")
                    folder = Path(scratch) / digest
                    figures = _figures(
                        form, recipe, weights, arguments.kodak, arguments.limit, folder
                    )
                    figures |= provenance()
                floats = floats or figures
                first = before.setdefault(form.name, figures)
                row |= {f"psnr_{s:g}_db": figures[f"psnr_{s:g}_db"] for s in SIGMAS}
                row |= {f"loss_{s:g}_db": _difference(floats, figures, s) for s in SIGMAS}
                row |= {f"gain_{s:g}_db": _difference(figures, first, s) for s in SIGMAS}
                rows.append({**row, **{name: figures[name] for name in provenance()}})
                write_csv(path, rows, {})
    columns = [c for c in rows[0] if c not in (*provenance(), "model", "weights_sha256")]
    print_table("QAT", columns, [[str(r.get(c, "")) for c in columns] for r in rows])


def _known(rows: Sequence[Row], wanted: Row) -> Row | None:
    """Return what was measured of these very weights in this form, on as many images."""
    for row in rows:
        if all(str(row[name]) == str(value) for name, value in wanted.items()):
            return row
    return None


def _figures(
    form: Form, recipe: Recipe, weights: Path, kodak: Path, limit: int, folder: Path
) -> Row:
    order = ExportOrder(recipe, *SIZE, form.precision, weights, int8=form.order(folder))
    folder.mkdir(exist_ok=True)
    bundle = draft_bundle(order, folder / f"{FORMS.index(form)}.bundle")
    return quality(bundle, recipe, kodak, limit)


def _difference(one: Row, other: Row, sigma: float) -> float:
    key = f"psnr_{sigma:g}_db"
    return round(float(str(one[key])) - float(str(other[key])), 4)


if __name__ == "__main__":
    main()
