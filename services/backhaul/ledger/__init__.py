"""The ledger: keeps the one true record. Takes in direct publishes, grants claims, records reports, and keeps the time."""

from backhaul.ledger.ledger import Ledger

__all__ = ["Ledger"]
