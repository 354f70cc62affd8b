"""How a connection to RabbitMQ begins: what is said when it cannot, and what others see of it when it can."""

import subprocess
import sys
from datetime import timedelta

import pytest
from yarl import URL

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages.topology import Queue, Topology
from tests.conformance.broker.ground import message
from tests.support.ports import free_port
from tests.support.rabbitmq import PrivateRabbitMQ

SHORTLY = timedelta(seconds=1)


async def test_a_broker_that_is_not_there_is_named_with_the_remedy_and_without_the_password() -> None:
    port = free_port()
    broker = RabbitBroker(f"amqp://someone:secret@127.0.0.1:{port}/", name="test", start_timeout=SHORTLY)

    with pytest.raises(BrokerUnavailable) as raised:
        await broker.start()

    assert str(raised.value) == (
        f"RabbitMQ at amqp://someone:***@127.0.0.1:{port}/ refuses the connection: "
        "start it, or correct BACKHAUL_AMQP_URL"
    )


async def test_a_host_that_is_not_known_is_named() -> None:
    broker = RabbitBroker("amqp://host.invalid/", name="test", start_timeout=SHORTLY)

    with pytest.raises(BrokerUnavailable, match=r"amqp://host\.invalid/ cannot be reached .*correct BACKHAUL_AMQP_URL"):
        await broker.start()


async def test_a_wrong_password_fails_at_once_and_is_not_shown(amqp_url: str, caplog: pytest.LogCaptureFixture) -> None:
    broker = RabbitBroker(str(URL(amqp_url).with_password("wrong-one")), name="test")

    with pytest.raises(BrokerUnavailable, match="does not accept user 'backhaul' with this password") as raised:
        await broker.start()

    assert "wrong-one" not in str(raised.value) + caplog.text


async def test_a_vhost_that_is_missing_fails_at_once(amqp_url: str) -> None:
    broker = RabbitBroker(str(URL(amqp_url).with_path("/missing")), name="test")

    with pytest.raises(BrokerUnavailable, match=r"refuses the vhost .*add_vhost"):
        await broker.start()


async def test_operators_see_the_name_of_each_connection(private_rabbitmq: PrivateRabbitMQ) -> None:
    broker = RabbitBroker(private_rabbitmq.url, name="ledger 7")
    await broker.start()

    seen = await private_rabbitmq.evaluate(
        "[proplists:get_value(client_properties, rabbit_networking:connection_info(C, [client_properties]))"
        " || C <- rabbit_networking:connections()]"
    )

    assert "ledger 7 (publish)" in seen
    assert "ledger 7 (consume)" in seen
    await broker.stop()


async def test_who_may_not_declare_is_told_so_and_may_still_look(private_rabbitmq: PrivateRabbitMQ) -> None:
    admin = RabbitBroker(private_rabbitmq.url, name="admin")
    await admin.start()
    await admin.declare(Topology(queues=(Queue("known"),)))
    await private_rabbitmq.evaluate(
        'rabbit_auth_backend_internal:add_user(<<"limited">>, <<"limited">>, <<"test">>), '
        'rabbit_auth_backend_internal:set_permissions(<<"limited">>, <<"/">>, <<"">>, <<".*">>, <<".*">>, <<"test">>)'
    )
    limited = RabbitBroker(str(URL(private_rabbitmq.url).with_user("limited").with_password("limited")), name="limited")
    await limited.start()

    with pytest.raises(ConfigurationError, match="does not let us make queue new"):
        await limited.declare(Topology(queues=(Queue("new"),)))
    misfits = await limited.check(Topology(queues=(Queue("known"), Queue("new"))))

    assert [(misfit.thing, misfit.fact) for misfit in misfits] == [("queue new", "does not exist")]
    await limited.publish([message(b"x", queue="known")])
    await limited.stop()
    await admin.stop()


async def test_a_text_that_amqp_cannot_carry_is_refused_and_nothing_is_sent(amqp_url: str) -> None:
    broker = RabbitBroker(amqp_url, name="test")
    await broker.start()
    await broker.declare(Topology(queues=(Queue("one"),)))

    with pytest.raises(ValueError, match="message id of 256 bytes"):
        await broker.publish([message(b"a", queue="one"), message(b"b", queue="one", message_id="x" * 256)])

    await broker.publish([message(b"c", queue="one")])
    assert [delivery.body for delivery in await broker.get("one", 5)] == [b"c"]
    await broker.stop()


@pytest.mark.parametrize("module", ["faststream", "aio_pika"])
def test_a_process_that_does_not_subscribe_never_imports(module: str) -> None:
    probe = f"import sys, backhaul.broker.rabbitmq; print({module!r} in sys.modules)"

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("url", ["http://host/", "host:5672", "amqp:///", "amqp://host:port/"])
def test_what_is_no_url_of_a_broker_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write BACKHAUL_AMQP_URL as amqp://"):
        RabbitBroker(url, name="test")
