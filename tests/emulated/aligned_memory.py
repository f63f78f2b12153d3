"""What onnxruntime allocates, seen from Python: no compiler, no preloaded library, any processor.

onnxruntime takes tensors, scratch and regions of its arena from C++'s aligned ``new``. Its module
reaches that through a table of addresses, which is filled when it is loaded. Here the table's
entries are replaced by functions that write down what is asked for. Of onnxruntime 1.32; earlier
releases use ``posix_memalign``.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from types import TracebackType
from typing import Any

_MODULE = "onnxruntime_pybind11_state"
_NEW, _DELETES = "_ZnwmSt11align_val_t", ("_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t")
_RELOCATIONS = 4
_READ_AND_WRITE = 3
_PAGE_BYTES = 4096


class AlignedMemory:
    """While it lasts, ``events`` has every allocation and what is freed again.

    events: a positive number is the size of an allocation in bytes; ``-1 - i`` frees the one at
    position ``i``.
    """

    def __init__(self) -> None:
        self.events: list[int] = []
        self._live: dict[int, int] = {}
        self._replaced: list[tuple[int, int]] = []
        self._kept: list[Any] = []

    def clear(self) -> None:
        """Forget everything so far; what was allocated before is not followed any more."""
        self.events.clear()
        self._live.clear()

    def live_bytes(self) -> list[int]:
        """Return the sizes of what was allocated and not freed, in the order of allocation."""
        return [self.events[position] for position in sorted(self._live.values())]

    def __enter__(self) -> AlignedMemory:
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        library = ctypes.CDLL("libstdc++.so.6")
        make_new = ctypes.CFUNCTYPE(pointer, size, size)
        real_new: Any = make_new((_NEW, library))

        def new(size_bytes: int, alignment: int) -> int:
            address = int(real_new(size_bytes, alignment))
            self._live[address] = len(self.events)
            self.events.append(size_bytes)
            return address

        functions = {_NEW: make_new(new)}
        for name, kinds in zip(_DELETES, ((pointer, size), (pointer, size, size)), strict=True):
            make_delete = ctypes.CFUNCTYPE(None, *kinds)
            functions[name] = make_delete(self._delete(make_delete((name, library))))
        path, base = _loaded()
        for name, offset in _entries(path, tuple(functions)):
            address = ctypes.cast(functions[name], pointer).value
            assert address is not None
            self._replace(base + offset, address)
        self._kept += [functions, real_new]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for entry, before in self._replaced:
            ctypes.c_uint64.from_address(entry).value = before
        self._replaced.clear()

    def _delete(self, real: Any) -> Any:
        def delete(address: int, *rest: int) -> None:
            position = self._live.pop(address, None)
            if position is not None:
                self.events.append(-1 - position)
            real(address, *rest)

        return delete

    def _replace(self, entry: int, address: int) -> None:
        protect = ctypes.CDLL(None).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        page = entry - entry % _PAGE_BYTES
        if protect(page, _PAGE_BYTES, _READ_AND_WRITE):
            raise OSError("the table of addresses cannot be written")
        place = ctypes.c_uint64.from_address(entry)
        self._replaced.append((entry, place.value))
        place.value = address


def _loaded() -> tuple[Path, int]:
    """Return the file of onnxruntime's module and where it lies in memory."""
    import onnxruntime  # noqa: F401

    for line in Path("/proc/self/maps").read_text().splitlines():
        if _MODULE in line:
            return Path(line.split()[-1]), int(line.partition("-")[0], 16)
    raise RuntimeError(f"{_MODULE} is not loaded")


def _entries(path: Path, names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return the names that an ELF file takes from libraries, and where their addresses stand."""
    data = path.read_bytes()
    (at,) = struct.unpack_from("<Q", data, 0x28)
    (count,) = struct.unpack_from("<H", data, 0x3C)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, at + 64 * i) for i in range(count)]
    found = []
    for section in sections:
        if section[1] != _RELOCATIONS:
            continue
        symbols = sections[section[6]]
        texts = sections[symbols[6]]
        for place in range(section[4], section[4] + section[5], 24):
            offset, information, _ = struct.unpack_from("<QQq", data, place)
            symbol = information >> 32
            (name_at,) = struct.unpack_from("<I", data, symbols[4] + 24 * symbol)
            start = texts[4] + name_at
            name = data[start : data.index(b"\0", start)].decode()
            if symbol and name in names:
                found.append((name, offset))
    return found
