"""Whatever is put into the queues of the platform, it goes on working."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backhaul import Service
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from backhaul.testing import Harness
from backhaul_contracts import codec
from backhaul_contracts.envelope import CLOUDEVENT, CLOUDEVENT_BATCH

service = Service("free", version="1.0.0")


@service.handler("free.say")
async def say(word: str) -> str:
    return word


words = st.one_of(
    st.sampled_from(["", "free.say", "\x00", "💥", "1", "dev.backhaul.task.submit"]), st.text(max_size=12)
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
TYPES = (
    "task.submit", "worker.claim", "worker.beat", "worker.report", "ledger.lapse", "live", "task.stop", "ledger.grants",
)  # fmt: skip
FIELDS = ("worker_id", "claim_id", "number", "task_id", "attempt", "token", "type", "kind", "input", "queue", "held")
envelopes = st.builds(
    lambda name, data, more: {
        "specversion": "1.0",
        "id": "1",
        "source": "/",
        "type": f"dev.backhaul.{name}",
        "data": data,
        **more,
    },
    st.sampled_from(TYPES),
    st.one_of(values, st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)),
    st.dictionaries(words, values, max_size=1),
)
bodies = st.one_of(
    st.binary(max_size=30),
    values.map(codec.dumps),
    envelopes.map(codec.dumps),
    st.lists(envelopes, max_size=3).map(codec.dumps),
)
PLACES = (
    (topology.SUBMIT, "free.say"), (topology.SUBMIT, ""), ("", topology.CLAIMS), ("", topology.BEATS),
    (topology.REPORTS, "0"), (topology.LIVE, "0"), ("", topology.task_queue("free")),
)  # fmt: skip
messages = st.builds(
    lambda place, body, content_type, message_id, reply_to: Message(
        exchange=place[0],
        mandatory=False,
        routing_key=place[1],
        body=body,
        content_type=content_type,
        message_id=message_id,
        reply_to=reply_to,
    ),
    st.sampled_from(PLACES),
    bodies,
    st.sampled_from([CLOUDEVENT, CLOUDEVENT_BATCH, "application/json", "text/plain", ""]),
    st.one_of(st.none(), words),
    st.one_of(st.none(), st.just("nobody")),
)


@settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(hostile=st.lists(messages, min_size=60, max_size=60))
async def test_no_message_stops_the_platform(hostile: list[Message]) -> None:
    async with Harness(service) as platform, asyncio.timeout(30):
        for message in hostile:
            await platform.broker.publish([message])

        task = await platform.submit("free.say", "still here")

        assert await task.result() == "still here"
