"""The notifier: sends webhooks, signed, until their receivers have taken them."""

from backhaul.notifier.notifier import Notifier

__all__ = ["Notifier"]
