"""What the doctor finds on real servers."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from yarl import URL

from backhaul.core.findings import Finding, Severity
from backhaul.settings import Settings
from backhaul.store import Moment, StoreFacts
from backhaul.wiring import Examination, apply_topology, examine, upgrade_database
from backhaul.wiring.doctor import store as on_stores
from tests.support.ports import free_port
from tests.support.rabbitmq import PrivateRabbitMQ

FAULT, WARNING, NOTE, OK = Severity.FAULT, Severity.WARNING, Severity.NOTE, Severity.OK


async def examined(amqp_url: str, database_url: str, role: str | None = None, **given: object) -> Examination:
    settings = Settings.model_validate({"amqp_url": amqp_url, "database_url": database_url, **given})
    return await asyncio.to_thread(examine, settings, role)


async def prepared(amqp_url: str, database_url: str) -> None:
    settings = Settings.model_validate({"amqp_url": amqp_url, "database_url": database_url})
    await asyncio.to_thread(upgrade_database, settings)
    await asyncio.to_thread(apply_topology, settings)


def about(examination: Examination, word: str) -> list[Finding]:
    return [finding for finding in examination.findings if finding.about == word]


async def test_a_deployment_in_good_order_is_well(amqp_url: str, database_url: str) -> None:
    await prepared(amqp_url, database_url)

    found = await examined(amqp_url, database_url, secret_key="s" * 32, webhook_schedule="0s")

    assert {finding.about: finding.severity for finding in found.findings if finding.about != "database"} == {
        "settings": OK, "schema": OK, "clock": OK, "API": NOTE,
        "broker": OK, "permissions": OK, "topology": OK, "policies": NOTE, "delivery timeout": OK,
    }  # fmt: skip
    assert not [finding for finding in found.findings if finding.severity is FAULT]


async def test_what_was_not_prepared_is_named_with_its_remedy(amqp_url: str, database_url: str) -> None:
    found = await examined(amqp_url, database_url)

    schema, topology = about(found, "schema"), about(found, "topology")
    assert [finding.severity for finding in (*schema, *topology)] == [FAULT, FAULT]
    assert "holds no tables of Backhaul: run `backhaul db upgrade`" in schema[0].fact
    assert (topology[0].fact, topology[0].remedy) == (
        "exchange backhaul.submit (and 17 more) does not exist", "run `backhaul topology apply`"
    )  # fmt: skip


async def test_servers_that_are_not_there_are_named_without_their_passwords() -> None:
    amqp_url, database_url = (
        f"{scheme}://someone:pa55word@127.0.0.1:{free_port()}/x" for scheme in ("amqp", "postgresql")
    )

    found = await examined(amqp_url, database_url, secret_key="5ecret" * 6, api_key="5ecret")

    assert [(finding.severity, finding.about) for finding in found.findings if finding.severity is not OK] == [
        (FAULT, "database"), (FAULT, "broker"),
    ]  # fmt: skip
    assert "refuses the connection: start it, or correct BACKHAUL_AMQP_URL" in about(found, "broker")[0].fact
    assert found.settings["BACKHAUL_SECRET_KEY"] == found.settings["BACKHAUL_API_KEY"] == "***"
    assert "pa55word" not in str(found)
    assert "5ecret" not in str(found)


async def test_a_role_is_asked_about_what_it_needs_alone() -> None:
    nowhere = f"postgresql://a@127.0.0.1:{free_port()}/x"

    worker = await examined(f"amqp://a@127.0.0.1:{free_port()}/", nowhere, "worker")
    notifier = await examined(f"amqp://a@127.0.0.1:{free_port()}/", nowhere, "notifier", secret_key="s" * 32)

    assert {finding.about for finding in worker.findings} == {"settings", "broker"}
    assert {finding.about for finding in notifier.findings} == {"settings", "database"}


async def test_a_database_that_keeps_this_user_out_is_a_fault(amqp_url: str, database_url: str) -> None:
    await prepared(amqp_url, database_url)
    user = f"reader_{URL(database_url).path[-8:]}"
    owner = await asyncpg.connect(database_url)
    await owner.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'reader'")
    await owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
    await owner.execute(f"ALTER ROLE {user} SET synchronous_commit = off")

    found = await examined(amqp_url, str(URL(database_url).with_user(user).with_password("reader")), "ledger")

    await owner.execute(f"DROP OWNED BY {user}")
    await owner.execute(f"DROP ROLE {user}")
    await owner.close()
    facts = {finding.fact: finding.severity for finding in about(found, "database")}
    assert facts["synchronous_commit is off: a crash may lose tasks that were accepted"] is WARNING
    (schema,) = about(found, "schema")
    assert schema.severity is FAULT
    assert "does not let this user read and write api_keys (and 12 more): GRANT to it" in schema.fact


async def test_a_broker_that_is_short_of_memory_is_a_fault(private_rabbitmq: PrivateRabbitMQ) -> None:
    await private_rabbitmq.raise_memory_alarm()

    found = await examined(private_rabbitmq.url, "postgresql://nowhere/x", "worker")

    await private_rabbitmq.clear_memory_alarm()
    faults = [finding for finding in about(found, "broker") if finding.severity is FAULT]
    assert [finding.fact for finding in faults] == ["it takes no messages now (low on memory)"]


async def test_a_user_that_may_do_too_little_is_told_what_is_missing(private_rabbitmq: PrivateRabbitMQ) -> None:
    url = await private_rabbitmq.create_user("narrow", configure="", write="^backhaul", read="^backhaul")

    as_worker = await examined(url, "postgresql://nowhere/x", "worker")
    as_anything = await examined(url, "postgresql://nowhere/x")

    (permissions,) = about(as_worker, "permissions")
    assert permissions.severity is FAULT
    assert permissions.fact == (
        "user narrow in vhost / may not configure backhaul.control.doctor, configure backhaul.replies.doctor, "
        "as a worker must"
    )
    (any_role,) = about(as_anything, "permissions")
    assert "may be no role: not a ledger, for it may not configure backhaul.doctor" in any_role.fact


async def test_a_node_that_accepts_and_says_nothing_is_a_fault(
    private_rabbitmq: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backhaul.broker.rabbitmq.session.CONNECT_TIMEOUT", 0.5)
    private_rabbitmq.freeze()

    found = await examined(private_rabbitmq.url, "postgresql://nowhere/x", "worker")

    private_rabbitmq.thaw()
    assert "does not answer: start it, or correct BACKHAUL_AMQP_URL" in about(found, "broker")[0].fact


@pytest.mark.parametrize(
    ("facts", "severity", "told"),
    [
        ({"version": "12.22"}, WARNING, "bring it to 13 or newer"),
        ({"standby": True}, FAULT, "it is a standby and takes no writes"),
        ({"settings": {"transaction_read_only": "on"}}, FAULT, "read-only"),
        ({"settings": {"fsync": "off"}}, WARNING, "fsync is off"),
        ({"free_connections": 3}, WARNING, "only 3 more connections are free"),
        ({"moment": Moment(told=15.0, asked=10.0, heard=10.1)}, WARNING, "5.0 s ahead"),
        ({"moment": Moment(told=2.05, asked=10.0, heard=10.1)}, WARNING, "8.0 s behind"),
    ],
)
async def test_a_database_that_cannot_be_had_here_is_judged_by_its_facts(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, object], severity: Severity, told: str
) -> None:
    base = StoreFacts(name="postgresql://x", product="PostgreSQL", version="17.1", misfit=None)
    fields = {name: getattr(base, name) for name in StoreFacts.__slots__} | facts

    async def inspect(url: str) -> StoreFacts:
        return StoreFacts(**fields)

    monkeypatch.setattr("backhaul.store.inspect_store", inspect)
    found = await on_stores.examine(Settings(retention=timedelta(hours=1)), "ledger")

    assert [each for each in found if each.severity is severity and told in f"{each.fact}: {each.remedy}"], found
