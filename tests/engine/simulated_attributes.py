"""Objects of a simulated TensorRT, without the attributes that its version lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.engine.tensorrt_versions import offered

if TYPE_CHECKING:
    from tests.engine.simulated_tensorrt import Simulation

INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)


class Guarded:
    """An object on which only the attributes in the version's matrix can be read or set."""

    _class = ""

    def __init__(self, simulation: Simulation) -> None:
        object.__setattr__(self, "_simulation", simulation)
        object.__setattr__(self, "_names", offered(simulation.version))

    def _check(self, name: str) -> None:
        qualified = f"{self._class}.{name}" if self._class else name
        if name.startswith("_") and name != "__version__":
            return
        if qualified not in object.__getattribute__(self, "_names"):
            simulation = object.__getattribute__(self, "_simulation")
            raise AttributeError(f"TensorRT {simulation.version} has no {qualified}")

    def __getattribute__(self, name: str) -> Any:
        if name in ("_check", "_class", "_simulation", "_names"):
            return object.__getattribute__(self, name)
        self._check(name)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        object.__setattr__(self, name, value)


class Names(Guarded):
    """An enumeration with the members that the version has."""

    def __init__(self, simulation: Simulation, name: str, members: tuple[str, ...]) -> None:
        object.__setattr__(self, "_class", name)
        super().__init__(simulation)
        for number, member in enumerate(members):
            object.__setattr__(self, member, Member(name, number, member))

    def __dir__(self) -> list[str]:
        return [n.partition(".")[2] for n in self._names if n.startswith(f"{self._class}.")]


class Member(int):
    """A member of an enumeration: a named number."""

    name: str

    def __new__(cls, owner: str, number: int, name: str) -> Member:
        member = super().__new__(cls, number)
        member.name = name
        return member
