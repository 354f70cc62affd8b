"""What a mutant is, and all that there are."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

Mutation = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`caught`: what tells of it, an invariant or words of a promise beside them; one of them must be found."""

    name: str
    caught: frozenset[str]
    apply: Mutation
    harm: str | None = None
    """What is done in every seed to bring it out."""


MUTANTS: dict[str, Mutant] = {}


def mutant(*caught: str, harm: str | None = None) -> Callable[[Mutation], Mutation]:
    def add(apply: Mutation) -> Mutation:
        name = getattr(apply, "__name__", "").replace("_", " ")
        MUTANTS[name] = Mutant(name, frozenset(caught), apply, harm)
        return apply

    return add


@contextmanager
def together(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    """All of these at once."""
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield
