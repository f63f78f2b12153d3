from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeunet.bundle import check_target, open_bundle, write_bundle
from edgeunet.bundle.manifest import SCHEMA_VERSION, digest_of
from edgeunet.errors import BundleError
from edgeunet.files import sha256_of
from tests.bundle.tiny import tiny_bundle, tiny_graph, tiny_manifest
from tests.media.clips import listing

Document = dict[str, Any]


def edit(bundle: Path, change: Callable[[Document], None], *, seal: bool = True) -> None:
    """Change the manifest and its digest, so that another check than the digest's fails."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    if seal:
        document["digest"] = digest_of(json.dumps(document).encode())
    path.write_text(json.dumps(document))


def refusal(bundle: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle)
    assert caught.value.hint
    return caught.value


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = tiny_bundle(tmp_path)
    opened = open_bundle(written.path)
    assert opened.manifest.name == "tiny"
    assert opened.manifest.files == {"graph.onnx": sha256_of(opened.file("graph.onnx"))}
    assert opened.manifest.stages == written.manifest.stages


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    data = bytearray((bundle / "graph.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "graph.onnx").write_bytes(data)
    error = refusal(bundle)
    assert error.message == (
        "the file 'graph.onnx' in tiny.bundle is not the one that was exported "
        "(its SHA-256 differs)"
    )
    assert error.hint == "copy the bundle again, or export it again: edgeunet export --model tiny"


@pytest.mark.parametrize(
    "change",
    [{"weights": "other.safetensors"}, {"height": 64}, {"outputs": []}, {"digest": ""}],
)
def test_a_changed_manifest_is_found(tmp_path: Path, change: Document) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document.update(change), seal=False)
    error = refusal(bundle)
    assert error.message == "the manifest of tiny.bundle was changed after the export"
    assert error.hint == "copy the bundle again, or export it again: edgeunet export --model tiny"


def test_the_digest_is_of_the_document_not_of_its_layout(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: None, seal=False)
    assert b"\n" not in (bundle / "manifest.json").read_bytes()
    open_bundle(bundle)


def test_a_digest_does_not_depend_on_fields_of_a_later_version() -> None:
    assert digest_of(b'{"a": 1, "digest": "x"}') == digest_of(b'{"a":1,"digest":""}')
    assert digest_of(b'{"a": 1, "digest": ""}') != digest_of(b'{"a": 2, "digest": ""}')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outputs": []}, "it has no outputs"),
        ({"stages": []}, "it has no stages"),
        ({"height": 0}, "a frame of 0x64 pixels"),
        ({"width": -64}, "a frame of 48x-64 pixels"),
        ({"height": 64}, "its first stage takes no uint8 frame of 64x64 pixels"),
        ({"outputs": [{"name": "ghost", "task": "denoise"}]}, "no stage makes the output 'ghost'"),
        (
            {"outputs": [{"name": "labels", "task": "denoise"}]},
            "the output 'labels' has not the shape and type of denoise",
        ),
        (
            {"outputs": [{"name": "denoised", "task": "segment"}]},
            "the output 'denoised' has not the shape and type of segment",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself(tmp_path: Path, change: Document, said: str) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document.update(change))
    assert refusal(bundle).message == f"the manifest of tiny.bundle contradicts itself: {said}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    (bundle / "graph.onnx").unlink()
    assert refusal(bundle).message == "tiny.bundle lacks the file 'graph.onnx'"


def test_a_newer_schema_says_which_and_what_to_do(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document.update(schema_version=99, invention={"a": 1}))
    error = refusal(bundle)
    assert error.message == (
        f"tiny.bundle has bundle schema 99; this version reads up to {SCHEMA_VERSION}"
    )
    assert error.hint.startswith("update edgeunet on this machine")


@pytest.mark.parametrize("version", [0, -3])
def test_a_schema_below_one_is_refused(tmp_path: Path, version: int) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document.update(schema_version=version))
    assert refusal(bundle).message == f"tiny.bundle has no bundle schema {version}"


@pytest.mark.parametrize(
    "escape", ["../secret", "/etc/hostname", "a/../../secret", "..\\secret", "a\0b"]
)
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, escape: str) -> None:
    (tmp_path / "secret").write_text("x")
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document["files"].update({escape: "0" * 64}))
    error = refusal(bundle)
    assert "which is outside the bundle" in error.message
    assert error.hint.startswith("do not use this bundle")


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    bundle = tiny_bundle(tmp_path).path
    (bundle / "link").symlink_to(tmp_path / "secret")
    digest = sha256_of(tmp_path / "secret")
    edit(bundle, lambda document: document["files"].update({"link": digest}))
    assert "'link', which is outside the bundle" in refusal(bundle).message


def test_a_graph_that_no_hash_covers_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document.update(files={}))
    assert refusal(bundle).message == "the manifest of tiny.bundle does not list 'graph.onnx'"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": "one"}', '{"name": 3}', "\xff"]
)
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    bundle = tiny_bundle(tmp_path).path
    (bundle / "manifest.json").write_bytes(text.encode("latin-1"))
    error = refusal(bundle)
    assert error.message.startswith("the manifest of tiny.bundle is broken: ")
    assert error.hint == "export it again with edgeunet export", "no model is made up"


def test_a_document_without_end_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    (bundle / "manifest.json").write_text("[" * 100_000)
    assert refusal(bundle).message.startswith("the manifest of tiny.bundle is broken: ")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    edit(bundle, lambda document: document.update(colour="blue"))
    error = refusal(bundle)
    assert "colour" in error.message
    assert error.hint == "export it again: edgeunet export --model tiny"


def test_what_is_not_a_bundle_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no bundle folder" in refusal(tmp_path / "absent").message
    assert (
        refusal(tmp_path).message == f"{tmp_path.name} has no manifest.json, so it is not a bundle"
    )
    monkeypatch.chdir(tmp_path)
    assert refusal(Path()).message == "'.' has no manifest.json, so it is not a bundle"


def test_writing_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    tiny_bundle(tmp_path)
    tiny_bundle(tmp_path, 16, 16)
    assert open_bundle(tmp_path / "tiny.bundle").manifest.height == 16
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years")
    with pytest.raises(BundleError, match="exists and is not a bundle, so it is not replaced"):
        write_bundle(precious, tiny_manifest(8, 8), {"graph.onnx": tiny_graph(8, 8)})
    assert (precious / "thesis.tex").read_text() == "years"


def test_a_bundle_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path).path
    (bundle / "engines").mkdir()
    (bundle / "engines" / "graph.engine").write_text("made on the device")
    check_target(bundle)
    (bundle / "notes.txt").write_text("years")
    with pytest.raises(BundleError, match="also holds 'notes.txt', which is not part of the"):
        tiny_bundle(tmp_path)
    (bundle / "notes.txt").unlink()
    (bundle / "deep").mkdir()
    (bundle / "deep" / "link").symlink_to(tmp_path)
    with pytest.raises(BundleError, match="also holds 'deep/link'"):
        check_target(bundle)


def test_a_manifest_that_is_not_ours_makes_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema_version": 1}')
    with pytest.raises(BundleError, match="exists and is not a bundle, so it is not replaced"):
        check_target(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_target_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="is not a name for a bundle"):
        check_target(Path(name))


@pytest.mark.parametrize("points_to", ["tiny.bundle", "nothing"])
def test_a_link_is_not_replaced(tmp_path: Path, points_to: str) -> None:
    tiny_bundle(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / points_to)
    with pytest.raises(BundleError, match="is a symbolic link") as caught:
        check_target(tmp_path / "link")
    assert caught.value.hint == "give the folder it points to"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bundle(
            tmp_path / "x.bundle", tiny_manifest(8, 8), {"graph.onnx": tmp_path / "absent"}
        )
    assert listing(tmp_path) == []


def test_a_full_disk_is_reported_as_the_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the disk that is full."""

    def fill_up(source: Path, target: Path) -> None:
        # As copying to another disk names the two files.
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "move", fill_up)
    content = tmp_path / "elsewhere.onnx"
    content.write_bytes(tiny_graph(48, 64))
    target = tmp_path / "a.bundle"
    with pytest.raises(OSError, match="No space left") as caught:
        write_bundle(target, tiny_manifest(48, 64), {"graph.onnx": content})
    assert caught.value.filename == str(target)
    assert not target.exists()


def test_content_may_be_a_path(tmp_path: Path) -> None:
    graph = tmp_path / "made.onnx"
    graph.write_bytes(tiny_graph(8, 8))
    write_bundle(tmp_path / "x.bundle", tiny_manifest(8, 8), {"graph.onnx": graph})
    assert open_bundle(tmp_path / "x.bundle").file("graph.onnx").read_bytes() == tiny_graph(8, 8)
