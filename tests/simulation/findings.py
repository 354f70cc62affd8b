"""What is wrong with what the witness has seen."""

from dataclasses import dataclass

from tests.simulation.witness import Witness


@dataclass(frozen=True, slots=True)
class Finding:
    """`what`: the number of the invariant, or `other`."""

    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


def findings(witness: Witness) -> list[Finding]:
    found = [Finding("other", text) for text in witness.broken]
    try:
        from tests.proof.checker import check
    except ImportError:
        return found
    return found + [Finding(str(each.invariant), str(each)) for each in check(witness.history)]
