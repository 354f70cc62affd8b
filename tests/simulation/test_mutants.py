"""The simulation finds what it looks for: a product with one guard removed is caught, by the promise that it breaks."""

import pytest

from tests.simulation.findings import Finding
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import run_seed

ENOUGH = 150
"""Seeds. Most mutants are caught by one of the first ten."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    with mutant.apply():
        found = next((seed for seed in range(ENOUGH) if _told(mutant, seed)), None)

    assert found is not None, f"{ENOUGH} seeds with {mutant.name}, and none shows {sorted(mutant.caught)}"
    assert run_seed(found, harm=mutant.harm).findings == [], "without the mutant the same seed is as it should be"


def _told(mutant: Mutant, seed: int) -> bool:
    """Not by what a crash leads to: a mutant that no longer fits the product would be caught by anything."""
    told = run_seed(seed, harm=mutant.harm).findings
    return not any(each.what == "crash" for each in told) and any(_tells(each, mutant) for each in told)


def _tells(finding: Finding, mutant: Mutant) -> bool:
    beside = finding.what == "other" and any(words in finding.text for words in mutant.caught)
    return beside or finding.what in mutant.caught
