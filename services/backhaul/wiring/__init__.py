"""Wiring: the one place where adapters are chosen and roles are put together. Everything heavy is imported on use."""

from backhaul.wiring.adapters import open_broker, open_store
from backhaul.wiring.apikeys import create_api_key, list_api_keys, revoke_api_key
from backhaul.wiring.contracts import broken_contracts, drifted_contracts, write_contracts
from backhaul.wiring.definitions import write_definitions
from backhaul.wiring.doctor import Examination, examine
from backhaul.wiring.maintenance import apply_topology, check_database, check_topology, upgrade_database
from backhaul.wiring.processes import run_gateway, run_ledger, run_notifier, run_server, run_worker
from backhaul.wiring.webhooks import webhook_secret

__all__ = [
    "Examination",
    "apply_topology",
    "broken_contracts",
    "check_database",
    "check_topology",
    "create_api_key",
    "drifted_contracts",
    "examine",
    "list_api_keys",
    "open_broker",
    "open_store",
    "revoke_api_key",
    "run_gateway",
    "run_ledger",
    "run_notifier",
    "run_server",
    "run_worker",
    "upgrade_database",
    "webhook_secret",
    "write_contracts",
    "write_definitions",
]
