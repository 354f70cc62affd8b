"""The simulation finds what it looks for: a product with one guard removed is caught, by the promise that it breaks."""

import pytest

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


def _told(mutant: Mutant, seed: int) -> bool:
    outcome = run_seed(seed, harm=mutant.harm)
    return any(finding.what in mutant.caught for finding in outcome.findings)
