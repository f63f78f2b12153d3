"""Events about the shares of classes in label maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import UsageError
from edgeunet.stream.class_events import EventRule, EventWatcher, read_rule
from tests.bundle.tiny import tiny_bundle, tiny_manifest
from tests.cli.command import edgeunet


def labels(share: float) -> dict[str, np.ndarray]:
    """A label map whose class 2, red, has this share of 100 pixels."""
    values = np.zeros((1, 10, 10), np.uint8)
    values.reshape(-1)[: round(100 * share)] = 2
    return {"labels": values}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("red > 2% for 1s", ("red", True, 0.02, 1.0)),
        ("red<2.5%", ("red", False, 0.025, 0.0)),
        ("traffic light > 50 % for 10min", ("traffic light", True, 0.5, 600.0)),
    ],
)
def test_rules(text: str, rule: tuple[str, bool, float, float]) -> None:
    assert read_rule(text) == EventRule(text, *rule)


@pytest.mark.parametrize("text", ["", "red", "red > 2", "red = 2%", "red > 200%", "> 2%"])
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(UsageError, match="is not an event") as caught:
        read_rule(text)
    assert caught.value.hint == "write it like 'pedestrian > 2% for 1s'"
    with pytest.raises(UsageError, match="is not a duration"):
        read_rule("red > 2% for ever")


def test_an_event_comes_once_after_its_time_and_again_after_a_break() -> None:
    rule = read_rule("red > 10% for 1s")
    watcher = EventWatcher([rule], tiny_manifest(10, 10))
    shares = [0.1, 0.2, 0.2, 0.3, 0.4, 0.0, 0.2, 0.2, 0.2]
    told = [watcher.look(labels(share), 0.5 * index) for index, share in enumerate(shares)]
    # It holds from the second frame, at 0.5 s, and from the seventh, at 3.0 s.
    assert [index for index, events in enumerate(told) if events] == [3, 8]
    assert (told[3][0].share, told[3][0].time_s, told[3][0].rule) == (0.3, 1.5, rule)


def test_below_a_share() -> None:
    watcher = EventWatcher([read_rule("red < 5%")], tiny_manifest(10, 10))
    assert watcher.look(labels(0.05), 0.0) == []
    assert len(watcher.look(labels(0.04), 0.1)) == 1
    assert watcher.look(labels(0.0), 0.2) == []


def test_a_class_that_is_none_of_the_bundles() -> None:
    with pytest.raises(UsageError, match="tiny has no class 'rd'") as caught:
        EventWatcher([read_rule("rd > 1%")], tiny_manifest(10, 10))
    assert caught.value.hint == "did you mean 'red'? its classes: blue, green, red"
    denoiser = tiny_manifest(10, 10, ())
    with pytest.raises(UsageError, match="has no labels that events could be about"):
        EventWatcher([read_rule("red > 1%")], denoiser)


def test_a_run_tells_its_events(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    words = ("--event", "green > 1%", "--event", "blue > 99%", "--bundle", bundle)
    images = ("--event-images", tmp_path / "events")
    ran = edgeunet("run", "test://?frames=5", "--json-lines", *words, *images)
    assert ran.code == 0, ran.err
    lines = [json.loads(line) for line in ran.out.splitlines()]
    (event,) = [line for line in lines if line["event"] == "class"]
    assert (event["rule"], event["class"], event["time_s"]) == ("green > 1%", "green", 0.0)
    assert 0.01 < event["share"] < 0.99
    assert [str(path) for path in (tmp_path / "events").iterdir()] == [event["image"]]
    ran = edgeunet("run", "test://?frames=5", *words)
    assert ran.err.startswith("event: green > 1% (")
    ran = edgeunet("run", "test://?frames=5", "--bundle", bundle, *images)
    assert ran.failure[0] == "--event-images has no events"
    (tmp_path / "file").touch()
    ran = edgeunet("run", "test://?frames=5", *words, "--event-images", tmp_path / "file" / "x")
    assert ran.failure == (
        f"images of events cannot be written into '{tmp_path}/file/x'",
        "name a folder that you may write to with --event-images",
    )
    ran = edgeunet("run", "test://?frames=5", "--bundle", bundle, "--event-post", "http://x/")
    assert ran.failure[0] == "--event-post has no events"
