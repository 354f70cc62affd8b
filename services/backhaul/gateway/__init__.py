"""The HTTP edge: accepts tasks, shows them, and pushes what happens to them: `create_app(Gateway(…))`."""

from backhaul.gateway.access.guards import is_loopback
from backhaul.gateway.app import create_app
from backhaul.gateway.gateway import Gateway

__all__ = ["Gateway", "create_app", "is_loopback"]
