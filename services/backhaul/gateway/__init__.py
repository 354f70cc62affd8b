"""The HTTP edge: accepts tasks, shows them, and pushes what happens to them: `create_app(Gateway(…))`."""

from backhaul.gateway.app import create_app
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.guards import is_loopback

__all__ = ["Gateway", "create_app", "is_loopback"]
