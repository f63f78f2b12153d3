"""Many files on a cluster of two workers, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

distributed = pytest.importorskip(
    "distributed", reason='needs dask: pip install "edgeunet[dask]"', exc_type=ImportError
)

from edgeunet.stream import RunOptions, run_pipeline  # noqa: E402
from tests.bundle.tiny import tiny_bundle  # noqa: E402
from tests.cli.command import edgeunet  # noqa: E402
from tests.media.clips import read_video, write_video  # noqa: E402

CLIPS = {"a.mkv": 200, "b.mkv": 200, "c.avi": 5, "deep/d.mkv": 6}

# dask's own sockets and files are closed by its threads, some time later.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def test_all_files_are_there_though_a_worker_is_killed(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, frames in CLIPS.items():
        write_video(tmp_path / "in" / name, frames)
    bundle, out = tiny_bundle(tmp_path).path, tmp_path / "out"
    out.mkdir()
    killed: list[int] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:

        def kill() -> None:
            deadline_s = time.monotonic() + 120
            while not list(out.rglob("*.partial*")) and time.monotonic() < deadline_s:
                time.sleep(0.005)
            with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
                # Either worker has a long clip now.
                pids = list(client.run(os.getpid, on_error="ignore").values())
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        words = ("run", f"{tmp_path}/in/**/*.*", f"{out}/", "--bundle", bundle)
        ran = edgeunet(*words, "--dask", cluster.scheduler_address)
        thread.join()
    assert ran.code == 0, ran.err
    assert killed
    assert list(out.rglob("*.partial*")) == []
    for name in CLIPS:
        alone = tmp_path / f"alone{Path(name).suffix}"
        run_pipeline(RunOptions(str(tmp_path / "in" / name), bundle, (str(alone),)))
        found, expected = read_video(out / name)[0], read_video(alone)[0]
        assert len(found) == CLIPS[name]
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    ran = edgeunet(*words, "--dask", "tcp://127.0.0.1:1", "--json")
    assert ran.code == 0, "nothing is left to do, so no scheduler is asked"


def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeunet.stream.many.dask_cluster._TIMEOUT", "0.5s")
    write_video(tmp_path / "a.avi", 2)
    words = ("run", f"{tmp_path}/*.avi", f"{tmp_path}-out/", "--bundle", tiny_bundle(tmp_path).path)
    ran = edgeunet(*words, "--dask", "tcp://127.0.0.1:1")
    assert ran.failure == (
        "no dask scheduler answers at 'tcp://127.0.0.1:1'",
        "start one with: dask scheduler, and workers with: dask worker ADDRESS",
    )
    assert ran.code == 2
