"""The ledger keeps the one true record: takes in direct publishes, grants claims, records reports, keeps the time."""

from backhaul.ledger.ledger import Ledger

__all__ = ["Ledger"]
