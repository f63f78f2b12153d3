"""Tells the events of a run: as a line, with a picture, and by HTTP."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeunet.cli import console
from edgeunet.errors import SinkError
from edgeunet.specs import Image
from edgeunet.stream.class_events import ClassEvent

if TYPE_CHECKING:
    from edgeunet.cli.run_report import RunReport
    from edgeunet.stream.event_posts import EventPoster


def check_event_folder(folder: Path) -> None:
    """Raise SinkError for a folder in which no image of an event could be written."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise SinkError(
            f"images of events cannot be written into {str(folder)!r}",
            hint="name a folder that you may write to with --event-images",
        )


class EventReport:
    """Is told of events by the threads of a run.

    report: prints lines.
    json_lines: print JSON lines on stdout instead of notes.
    images: the folder for the frames of events; None keeps none.
    poster: what posts the JSON documents, which is closed with this; None posts none.
    """

    def __init__(
        self,
        report: RunReport,
        *,
        json_lines: bool,
        images: Path | None,
        poster: EventPoster | None,
    ) -> None:
        self._report = report
        self._json_lines = json_lines
        self._images = images
        self._poster = poster

    def __enter__(self) -> EventReport:
        return self

    def __exit__(self, *_: object) -> None:
        if self._poster is not None:
            self._poster.close()

    def happened(self, event: ClassEvent, image: Image) -> None:
        """Tell an event, and keep its frame where that is wanted."""
        document = {
            "event": "class",
            **_about(event),
            "share": round(event.share, 5),
            "utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "image": self._kept_image(image),
        }
        share = f"{100 * event.share:.1f} %"
        self._tell(document, f"event: {event.rule.text} ({share} at {event.time_s:.1f} s)")

    def kept(self, event: ClassEvent, segment: Path) -> None:
        """Tell which segment of the recording has an event's frame."""
        document = {"event": "segment", **_about(event), "segment": str(segment)}
        self._tell(document, f"{segment} is kept for {event.rule.text}")

    def _tell(self, document: dict[str, Any], line: str) -> None:
        if self._json_lines:
            console.print_json_line(document)
        else:
            self._report.note(line)
        if self._poster is not None:
            self._poster.post(document)

    def _kept_image(self, image: Image) -> str | None:
        """Write an event's frame as PNG; return its name, or None where it is not kept."""
        if self._images is None:
            return None
        from edgeunet.files import replacing_file
        from edgeunet.media import opencv

        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
        path = self._images / f"event-{moment}.png"
        try:
            with replacing_file(path) as beside:
                beside.write_bytes(opencv.encode_image(image, ".png"))
        except OSError as error:
            # An event is told all the same; a full disk ends no run that watches.
            self._report.note(f"warning: cannot write {str(path)!r}: {error.strerror}")
            return None
        return str(path)


def _about(event: ClassEvent) -> dict[str, Any]:
    return {
        "rule": event.rule.text,
        "class": event.rule.name,
        "time_s": round(event.time_s, 3),
    }
