"""Many files: what is planned, what is done again, and what one that fails does to the others."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import numpy as np
import pytest

from edgeunet.errors import SourceError, UsageError
from edgeunet.processors import usable_cores
from edgeunet.stream import RunOptions, run_pipeline
from edgeunet.stream.many.file_jobs import FileJob, FileResult, jobs_of
from edgeunet.stream.many.local_pool import LocalPool
from edgeunet.stream.many.many_files import ManyFiles, Workers, work_on_all
from tests.bundle.tiny import tiny_bundle
from tests.cli.command import edgeunet
from tests.media.clips import read_video, write_video


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three clips, one in a folder of its own; a text; and a bundle beside them."""
    folder = tmp_path / "archive"
    (folder / "2026 [a]").mkdir(parents=True)
    for number, name in enumerate(("1.avi", "10.mkv", "2026 [a]/2.mkv")):
        write_video(folder / name, 4 + number)
    (folder / "notes.txt").write_text("no video")
    tiny_bundle(tmp_path)
    return folder


def options(archive: Path, source: str = "", out: str = "out/") -> RunOptions:
    bundle = next(archive.parent.glob("*.bundle"))
    return RunOptions(source or f"{archive}/**/*", bundle, (str(archive.parent / out) + "/",))


def partial_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.partial*"))


def test_targets_lie_as_their_sources(archive: Path) -> None:
    jobs, notes = jobs_of(options(archive))
    out = archive.parent / "out"
    assert [(job.name, job.target) for job in jobs] == [
        ("1.avi", out / "1.avi"),
        ("10.mkv", out / "10.mkv"),
        ("2026 [a]/2.mkv", out / "2026 [a]" / "2.mkv"),
    ]
    assert notes == ["1 files that are no videos are left out"]
    assert [job.options.sinks for job in jobs] == [(str(job.target),) for job in jobs]
    by_folder, _ = jobs_of(options(archive, str(archive)))
    assert by_folder == jobs
    (one,), _ = jobs_of(options(archive, f"{archive}/1*.mkv"))
    assert one.name == "10.mkv"


def test_what_cannot_be_planned(archive: Path) -> None:
    with pytest.raises(SourceError, match=r"no video matches '.*\*\.webm'"):
        jobs_of(options(archive, f"{archive}/*.webm"))
    with pytest.raises(SourceError, match="there is no folder 'absent'"):
        jobs_of(options(archive, "absent"))
    with pytest.raises(UsageError, match="lies inside the source"):
        jobs_of(options(archive, out="archive/out"))
    with pytest.raises(UsageError, match="many files need one folder for their output"):
        jobs_of(RunOptions(f"{archive}/*", archive, ()))
    with pytest.raises(UsageError, match="is not a folder") as caught:
        jobs_of(RunOptions(f"{archive}/*", archive, ("out.mp4",)))
    assert caught.value.hint == "write out.mp4-videos/"
    (archive / "1.ts").write_bytes(b"")
    (archive / "1.webm").write_bytes(b"")
    with pytest.raises(UsageError, match="1.ts and 1.webm would be written into one file"):
        jobs_of(options(archive))


class Scripted:
    """Workers in this thread. They do what is written for a file, in its order."""

    width = 2

    def __init__(self, script: dict[str, list[object]]) -> None:
        self.script = script
        self.log: list[str] = []
        self.renewed = 0

    def submit(self, job: FileJob) -> Future[FileResult]:
        self.log.append(job.name)
        future: Future[FileResult] = Future()
        todo = self.script.get(job.name, [])
        outcome = todo.pop(0) if todo else "done"
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        elif outcome == "done":
            job.target.parent.mkdir(parents=True, exist_ok=True)
            job.target.write_bytes(b"video")
            future.set_result(FileResult(job.name, 7, 30.0, written=True))
        else:
            future.set_result(FileResult(job.name, failure=str(outcome)))
        return future

    def renew(self) -> None:
        self.renewed += 1

    def stop(self) -> None:
        return None

    def close(self) -> None:
        return None


def work(archive: Path, workers: Callable[[], Workers], orders: str = "a") -> ManyFiles:
    jobs, _ = jobs_of(options(archive))
    return work_on_all(
        jobs,
        archive.parent / "out",
        orders,
        workers,
        on_result=lambda result, earlier: None,
        stop=threading.Event(),
    )


def test_what_is_done_is_not_done_again(archive: Path) -> None:
    first = Scripted({"10.mkv": ["broken"]})
    done = work(archive, lambda: first)
    assert [result.failure for result in done.results] == ["", "broken", ""]
    again = Scripted({})
    done = work(archive, lambda: again)
    assert again.log == ["10.mkv"]
    assert (len(done.results), done.earlier, done.left) == (3, 2, 0)
    # A source that changed, a target that is gone, and other orders are done again.
    os.utime(archive / "1.avi", (1, 1))
    (archive.parent / "out" / "10.mkv").unlink()
    again = Scripted({})
    work(archive, lambda: again)
    assert again.log == ["1.avi", "10.mkv"]
    again = Scripted({})
    work(archive, lambda: again, orders="b")
    assert len(again.log) == 3
    # A line that was cut off while it was written spoils nothing else.
    ledger = archive.parent / "out" / "edgeunet-files.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-9])
    again = Scripted({})
    work(archive, lambda: again, orders="b")
    assert again.log == ["2026 [a]/2.mkv"]


def test_the_job_whose_process_is_killed_is_found(archive: Path) -> None:
    """At first both jobs at work are suspects. Done alone, only one is killed again."""
    killed = BrokenExecutor("killed")
    workers = Scripted({"1.avi": [killed], "10.mkv": [killed, killed]})
    done = work(archive, lambda: workers)
    by_name = {result.name: result.failure for result in done.results}
    assert by_name.pop("10.mkv").startswith("the process that worked on it was killed")
    assert by_name == {"1.avi": "", "2026 [a]/2.mkv": ""}
    assert workers.renewed == 2
    assert workers.log == ["1.avi", "10.mkv", "1.avi", "10.mkv", "2026 [a]/2.mkv"]


def test_whatever_a_worker_says_the_others_go_on(archive: Path) -> None:
    workers = Scripted({"1.avi": [RuntimeError("no such function\n  in a module")]})
    done = work(archive, lambda: workers)
    assert [result.failure for result in done.results] == ["no such function", "", ""]


def test_a_killed_process_loses_no_file(archive: Path) -> None:
    write_video(archive / "1.avi", 300)
    pools: list[LocalPool] = []

    def pool() -> LocalPool:
        pools.append(LocalPool(1))
        return pools[0]

    def kill() -> None:
        deadline_s = time.monotonic() + 60
        while not partial_files(archive.parent / "out") and time.monotonic() < deadline_s:
            time.sleep(0.002)
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    (archive.parent / "out").mkdir()
    thread = threading.Thread(target=kill)
    thread.start()
    done = work(archive, pool)
    thread.join()
    assert [result.frames for result in done.results] == [300, 5, 6]
    assert done.failed == ()
    assert partial_files(archive.parent) == []


def test_the_command_says_what_failed_and_goes_on(archive: Path) -> None:
    (archive / "10.mkv").write_bytes(b"no video at all")
    bundle = next(archive.parent.glob("*.bundle"))
    out = archive.parent / "out"
    words = ("run", f"{archive}/**/*.*", f"{out}/", "--bundle", bundle, "--jobs", 1)
    ran = edgeunet(*words)
    assert ran.code == 1
    assert "1 files that are no videos are left out" in ran.err
    assert "warning: 10.mkv: " in ran.err
    assert "error: 1 of 3 files failed, the first is 10.mkv: " in ran.err
    alone = archive.parent / "alone.mkv"
    run_pipeline(RunOptions(str(archive / "2026 [a]" / "2.mkv"), bundle, (str(alone),)))
    found, expected = read_video(out / "2026 [a]" / "2.mkv")[0], read_video(alone)[0]
    assert len(found) == 6
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    (archive / "10.mkv").unlink()
    # Nothing is left to do, so no process begins.
    ran = edgeunet(*words, "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["files"], told["done"], told["earlier"], told["failed"]) == (2, 2, 2, 0)
    assert {one["file"]: one["frames"] for one in told["results"]} == {
        "1.avi": 4,
        "2026 [a]/2.mkv": 6,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--jobs", 0), "0 is not a number of jobs"),
        (("--jobs", 2, "--dask", "tcp://x:1"), "--jobs and --dask exclude each other"),
        (("--jobs", 2, "--segment", "10s"), "--segment is not for many files"),
        (("--jobs", 2, "--preview"), "--preview is not for many files"),
        (("--jobs", 2, "--event", "red > 1%"), "--event is not for many files"),
    ],
)
def test_options_that_many_files_cannot_have(
    archive: Path, words: tuple[object, ...], message: str
) -> None:
    bundle = next(archive.parent.glob("*.bundle"))
    ran = edgeunet("run", f"{archive}/*", f"{archive.parent}/out/", "--bundle", bundle, *words)
    assert ran.failure[0] == message
    assert not (archive.parent / "out").exists()


def test_without_jobs_a_pattern_of_videos_is_told_of(archive: Path) -> None:
    bundle = next(archive.parent.glob("*.bundle"))
    ran = edgeunet("run", f"{archive}/*.mkv", f"{archive.parent}/out/", "--bundle", bundle)
    assert ran.failure[1] == "several videos are run one by one, into a folder: add --jobs 2"


def test_a_user_who_stops_it_can_go_on(archive: Path) -> None:
    write_video(archive / "1.avi", 3000)
    stop = threading.Event()
    (archive.parent / "out").mkdir()

    def interrupt() -> None:
        deadline_s = time.monotonic() + 60
        while not partial_files(archive.parent / "out") and time.monotonic() < deadline_s:
            time.sleep(0.002)
        stop.set()

    threading.Thread(target=interrupt).start()
    jobs, _ = jobs_of(options(archive))
    done = work_on_all(
        jobs,
        archive.parent / "out",
        "a",
        lambda: LocalPool(1),
        on_result=lambda result, earlier: None,
        stop=stop,
    )
    assert (done.results, done.left) == ((), 3)
    assert sorted(path.name for path in (archive.parent / "out").rglob("*")) == []


def test_every_job_has_its_share_of_the_cores(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int | None] = []

    def watched(jobs: list[FileJob], *_: object, **__: object) -> ManyFiles:
        seen.extend(job.options.threads for job in jobs)
        return ManyFiles((), 0, len(jobs))

    monkeypatch.setattr("edgeunet.stream.many.many_files.work_on_all", watched)
    bundle = next(archive.parent.glob("*.bundle"))
    words = ("run", f"{archive}/*.mkv", f"{archive.parent}/out/", "--bundle", bundle)
    edgeunet(*words, "--jobs", usable_cores())
    edgeunet(*words, "--jobs", 1, "--threads", 3)
    assert seen == [1, 3]
