"""The embedded default: the whole platform in one process, on SQLite and an in-process broker. Nothing to install."""

from backhaul.embedded.embedded import embedded
from backhaul.embedded.folder import DataFolder
from backhaul.embedded.process import run_dev

Embedded = embedded

__all__ = ["DataFolder", "Embedded", "embedded", "run_dev"]
