"""The tables of docs/findings/files.md: what every verb makes of kinds, names and labels.

``python -m tests.images.verb_table`` writes them.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from edgeunet.errors import EdgeUnetError
from edgeunet.evaluate.backends import Head
from edgeunet.evaluate.named_set import open_data
from edgeunet.label_colours import VOID, colour_table
from edgeunet.names import shown
from edgeunet.specs import Task
from edgeunet.train.sample_folders import load_samples
from tests.images.file_kinds import kinds
from tests.images.image_writers import (
    HEIGHT,
    WIDTH,
    Bytes,
    by_opencv,
    encoded,
    interlaced_png,
    oriented,
    picture,
    png,
    png_of_half,
    tiff,
)
from tests.images.verbs import VERBS, outcome
from tests.train.toys import toy_recipe

NAMES = (
    "a b.png", "[x].png", "[/b]/a.png", ":smile:.png", "12:30.png", "①.png", "frame².png", "ß.png",
    "日本.png", "a.b.c.png", "A.PNG", "100%d.png", "it's.png", '"a".png', "-v.png", "~.png",
    "l\udcdf.png",
)  # fmt: skip
"""Names of files; the last one has a byte that is no UTF-8."""


def table() -> str:
    """Return the three tables as Markdown. Writes its files into a folder that it removes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        parts = [_of_kinds(root / "kinds"), _of_names(root / "names"), _of_labels(root / "labels")]
    return "\n\n".join(parts)


def _markdown(first: str, columns: list[str], rows: list[list[str]]) -> str:
    lines = [[first, *columns], ["---"] * (len(columns) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _of_kinds(root: Path) -> str:
    rows = []
    for number, kind in enumerate(kinds()):
        path = _placed(root / str(number), f"a{kind.suffix}", kind.data)
        found = [outcome(verb, path, kind.truth, kind.tolerance) for verb in VERBS]
        rows.append([kind.name, *found])
    return _markdown("file", list(VERBS), rows)


def _of_names(root: Path) -> str:
    shown_picture = picture()
    data = by_opencv(shown_picture, ".png")
    rows = []
    for number, name in enumerate(NAMES):
        path = _placed(root / str(number), name, data)
        rows.append(
            [f"<code>{shown(name)}</code>", *(outcome(verb, path, shown_picture) for verb in VERBS)]
        )
    return _markdown("name", list(VERBS), rows)


def _placed(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def label_files() -> Iterator[tuple[str, bytes, Bytes | None]]:
    """Yield label images: name, bytes, and the class numbers they mean; None if refused."""
    classes = next(p for p in toy_recipe("joint").pathways if p.head is Task.SEGMENT).labels
    numbers = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // 7 % 11).astype(np.uint8)
    drawn = np.ascontiguousarray(colour_table(classes)[numbers][:, :, ::-1])
    yield "grey 8 bit", png(numbers, 8, 0), numbers
    yield "grey 4 bit", png(numbers, 4, 0), numbers
    yield "grey 2 bit", png(numbers % 4, 2, 0), numbers % 4
    yield "grey 1 bit", png(numbers % 2, 1, 0), numbers % 2
    foreign = (b"PLTE", bytes(range(16)) * 3)
    yield "palette of other colours", png(numbers, 8, 3, foreign), numbers
    yield "palette of other colours, 4 bit", png(numbers, 4, 3, foreign), numbers
    order = np.random.default_rng(0).permutation(11)
    own = (b"PLTE", b"".join(bytes(classes[number].colour) for number in order))
    yield "palette of the classes' colours", png(np.argsort(order)[numbers], 8, 3, own), numbers
    yield "written by run --view labels", by_opencv(drawn, ".png"), numbers
    void = numbers.copy()
    void[0] = VOID
    yield "255 for void", png(void, 8, 0), void
    yield "ids of another numbering, told of", png(numbers + 7, 8, 0), numbers + 7
    yield "mask of 0 and 255, told of", png(numbers % 2 * 255, 8, 0), numbers % 2 * 255
    yield "nothing but 255", png(np.full_like(numbers, 255), 8, 0), None
    yield "nothing but ids above the classes", png(np.full_like(numbers, 33), 8, 0), None
    yield "other colours", by_opencv(picture(), ".png"), None
    yield "16 bit", png(numbers.astype(np.uint16), 16, 0), None
    yield "of another size", png(numbers.T.copy(), 8, 0), None
    yield "broken", png(numbers, 8, 0)[:60], None
    yield "two pictures", _twice(numbers), None
    yield "grey 2 bit, interlaced", interlaced_png(numbers % 4, 2, 0), numbers % 4
    clear = (b"tRNS", struct.pack(">H", 1))
    yield "grey 4 bit, transparent", png(numbers, 4, 0, clear), numbers
    for orientation in range(2, 9):
        turned = oriented(orientation, "PNG", numbers)
        yield f"grey 8 bit, orientation {orientation}", turned, numbers
    yield "tiff named png", tiff(numbers, photometric="minisblack"), numbers
    yield "tiff named png, white is zero", tiff(numbers, photometric="miniswhite"), None
    yield "tiff named png, signed", tiff(numbers.view(np.int8), photometric="minisblack"), None
    yield "jpeg named png", encoded(Image.fromarray(numbers), "JPEG", quality=95), None
    yield "half its rows", png_of_half(numbers + 1, 0), None


def _twice(numbers: Bytes) -> bytes:
    file = io.BytesIO()
    both = [Image.fromarray(numbers), Image.fromarray(numbers[::-1].copy())]
    both[0].save(file, "PNG", save_all=True, append_images=both[1:])
    return file.getvalue()


def _of_labels(root: Path) -> str:
    rows = []
    for number, (name, data, truth) in enumerate(label_files()):
        folder = root / str(number)
        _placed(folder / "images" / "a", "1.png", by_opencv(picture(), ".png"))
        _placed(folder / "labels" / "a", "1.png", data)
        found = [_label_outcome(read, folder, truth) for read in (_by_eval, _by_train)]
        rows.append([name, *found])
    return _markdown("labels", ["eval", "train"], rows)


def _by_eval(folder: Path) -> Bytes | None:
    pathway = next(p for p in toy_recipe("joint").pathways if p.head is Task.SEGMENT)
    head = Head.of(pathway.output, Task.SEGMENT, pathway.labels)
    (sample,) = open_data(str(folder), (head,), frame=None)
    return sample.labels


def _by_train(folder: Path) -> Bytes | None:
    (sample,) = load_samples([folder], toy_recipe("joint"), notice=lambda line: None)
    return sample.labels


def _label_outcome(read: Callable[[Path], Bytes | None], folder: Path, truth: Bytes | None) -> str:
    try:
        labels = read(folder)
    except EdgeUnetError:
        return "refused"
    same = truth is not None and labels is not None and np.array_equal(labels, truth)
    return "right" if same else "wrong"


if __name__ == "__main__":
    print(table())
