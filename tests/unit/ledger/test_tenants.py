"""Whose task a message makes."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from backhaul.core.ports.broker import Delivery
from backhaul.ledger.reading import read_submission


@dataclass
class Published:
    """What arrives of a publish to `backhaul.submit`."""

    body: bytes
    content_type: str = "application/json"
    user_id: str | None = None
    routing_key: str = "echo.say"
    message_id: str = "one"
    reply_to: str | None = None
    priority: int | None = None
    expiration: timedelta | None = None
    headers: dict[str, Any] = field(default_factory=dict)


PLAIN = b'"hello"'
FULL = (
    b'{"specversion":"1.0","type":"dev.backhaul.task.submit","id":"7","source":"/shop","tenantid":"red",'
    b'"data":{"kind":"echo.say","input":"hello"}}'
)


@pytest.mark.parametrize(
    ("body", "content_type"), [(PLAIN, "application/json"), (FULL, "application/cloudevents+json")]
)
@pytest.mark.parametrize(("user_id", "tenant"), [("blue", "blue"), (None, "default"), ("", "default")])
def test_it_is_that_of_the_user_whom_the_broker_vouches_for(
    body: bytes, content_type: str, user_id: str | None, tenant: str
) -> None:
    published = Published(body, content_type, user_id, headers={"tenant": "red", "bh-tenant": "red"})

    _, origin = read_submission(cast("Delivery", published), 2**20)

    assert origin.tenant == tenant
