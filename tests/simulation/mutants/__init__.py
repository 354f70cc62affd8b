"""Mutants: the product with one guard removed. Each has to be caught, else simulation or checker are too weak."""

from tests.simulation.mutants import messages, record, views, webhooks, work
from tests.simulation.mutants.registry import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "messages", "record", "views", "webhooks", "work"]
