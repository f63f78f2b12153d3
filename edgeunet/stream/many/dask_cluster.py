"""Machines of a dask cluster that do jobs. Only this file imports dask's distributed."""

from __future__ import annotations

from concurrent.futures import Future

from edgeunet.errors import MissingPackageError, UsageError
from edgeunet.stream.many.file_jobs import FileJob, FileResult, do_job

try:
    from distributed import Client
except ImportError as missing:
    raise MissingPackageError("distributed", purpose="--dask", extra="dask") from missing

_TIMEOUT = "10s"
# The scheduler hands out what waits, and its workers may change; so it gets all at once.
_ALL = 1_000_000


class DaskCluster:
    """A cluster, through the interface of ``concurrent.futures``.

    Its scheduler gives the job of a worker that dies to another one. All its machines must see the
    files under the same paths, and have edgeunet.
    """

    width = _ALL

    def __init__(self, address: str) -> None:
        """Connect. Raises UsageError when no scheduler answers."""
        try:
            self._client = Client(address, timeout=_TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"no dask scheduler answers at {address!r}",
                hint="start one with: dask scheduler, and workers with: dask worker ADDRESS",
            ) from error
        # Two runs of one job are not one result: the target may have been removed in between.
        self._executor = self._client.get_executor(pure=False)

    def submit(self, job: FileJob) -> Future[FileResult]:
        future: Future[FileResult] = self._executor.submit(do_job, job)
        return future

    def renew(self) -> None:
        return None

    def stop(self) -> None:
        """Nothing more begins. What a worker does now it ends, and its result is not waited for."""
        self._executor.shutdown(wait=False)

    def close(self) -> None:
        self._client.close()
