"""A history: all that was observed, in one list; and the same as JSON lines, so that processes can write their part."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter

from backhaul_contracts import codec
from tests.proof.observations import Observation, Terms

O = TypeVar("O")  # noqa: E741 — an observation


class History:
    """Observations in the order in which each observer made them; between observers no order is assumed."""

    def __init__(self, observations: Iterable[Observation] = ()) -> None:
        self._observations: list[Observation] = list(observations)
        self._by_type: dict[type, list[Any]] = {}
        for observation in self._observations:
            self._by_type.setdefault(type(observation), []).append(observation)

    def add(self, *observations: Observation) -> None:
        for observation in observations:
            self._observations.append(observation)
            self._by_type.setdefault(type(observation), []).append(observation)

    def of(self, type_: type[O]) -> list[O]:
        """All observations of one type, in order."""
        return self._by_type.get(type_, [])

    @property
    def terms(self) -> Terms:
        return self.of(Terms)[-1] if self.of(Terms) else Terms()

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._observations)

    def __len__(self) -> int:
        return len(self._observations)

    def lines(self) -> Iterator[str]:
        """The history as JSON lines."""
        return map(line, self._observations)

    @classmethod
    def parse(cls, text: str) -> "History":
        """What `lines` wrote. A last line without its end was cut off by the writer's death, and is no observation."""
        return cls(_parsed(each) for each in text.split("\n")[:-1] if each)

    @classmethod
    def read(cls, *paths: Path) -> "History":
        """The parts of one history, one after the other."""
        return cls(observation for path in paths for observation in cls.parse(path.read_text()))

    def write(self, path: Path) -> None:
        path.write_text("".join(self.lines()))


class Diary:
    """A file to which one process appends what it observes. What is written survives the death of the process."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def add(self, observation: Observation) -> None:
        self._file.write(line(observation).encode())

    def close(self) -> None:
        self._file.close()


def line(observation: Observation) -> str:
    """One observation as a JSON line, with its end."""
    what = type(observation).__name__
    seen = _ADAPTERS[what].dump_python(observation, mode="json", exclude_defaults=True)
    return codec.dumps({"what": what, **seen}).decode() + "\n"


_ADAPTERS: dict[str, TypeAdapter[Any]] = {each.__name__: TypeAdapter(each) for each in get_args(Observation)}


def _parsed(text: str) -> Observation:
    seen = codec.loads(text.encode())
    observation: Observation = _ADAPTERS[seen.pop("what")].validate_python(seen)
    return observation
