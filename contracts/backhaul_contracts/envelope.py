"""CloudEvents 1.0, structured JSON: the envelope of every message on the broker."""

from typing import Any

from pydantic import ConfigDict

from backhaul_contracts.wire import Moment, Wire

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENT_BATCH = "application/cloudevents-batch+json"
TYPE_PREFIX = "dev.backhaul."


class CloudEvent(Wire):
    """The attributes that we read or write (CloudEvents 1.0 §3; extension names are lower case letters and digits)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str | None = None
    time: Moment | None = None
    datacontenttype: str | None = None
    traceparent: str | None = None
    data: Any = None
