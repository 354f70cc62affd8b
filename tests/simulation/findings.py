"""What is wrong with what the witness has seen."""

from dataclasses import dataclass

from tests.proof.checker import check
from tests.simulation.witness import Witness


@dataclass(frozen=True, slots=True)
class Finding:
    """`what`: the number of the invariant, `crash`, or `other`: a promise beside the invariants."""

    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


def findings(witness: Witness) -> list[Finding]:
    found = [Finding("crash", text) for text in witness.crashed] + [Finding("other", text) for text in witness.broken]
    return found + [Finding(str(each.invariant), str(each)) for each in check(witness.history)]
