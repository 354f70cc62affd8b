"""RabbitMQ as code over its management API, and as files."""

import asyncio
import json
from pathlib import Path

import pytest

from backhaul.core.findings import Finding, Severity
from backhaul.core.messages.policies import OLDEST, policies
from backhaul.settings import Settings
from backhaul.wiring import apply_topology, check_topology, examine
from backhaul.wiring.definitions import write_definitions
from tests.support.ports import free_port
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
EXAMPLES = {name: [name] for name in ("digest", "linkcheck", "thumbnail", "report")}


def settings(server: PrivateRabbitMQ, url: str | None = None) -> Settings:
    return Settings.model_validate(
        {"amqp_url": server.url, "rabbitmq_management_url": url or server.management_url, "secret_key": "s" * 32}
    )


async def found(configured: Settings) -> list[Finding]:
    return list((await asyncio.to_thread(examine, configured, "worker")).findings)


async def test_policies_are_applied_checked_and_set_right(managed_rabbitmq: PrivateRabbitMQ) -> None:
    configured = settings(managed_rabbitmq)

    await asyncio.to_thread(apply_topology, configured)
    applied = await asyncio.to_thread(check_topology, configured)
    await managed_rabbitmq.evaluate('rabbit_policy:delete(<<"/">>, <<"backhaul-tokens">>, <<"tests">>)')
    missing = await asyncio.to_thread(check_topology, configured)
    diagnosed = [finding for finding in await found(configured) if finding.about == "policies"]
    await asyncio.to_thread(apply_topology, configured)
    again = await asyncio.to_thread(check_topology, configured)

    assert applied == again == []
    assert [(misfit.thing, misfit.fact) for misfit in missing] == [("policy backhaul-tokens", "is missing, or differs")]
    assert {finding.severity for finding in diagnosed} <= {Severity.FAULT, Severity.WARNING}
    assert [finding.fact for finding in diagnosed] == ["backhaul-tokens is missing, or differs"]


async def test_a_binding_that_was_deleted_is_found_and_made_anew(managed_rabbitmq: PrivateRabbitMQ) -> None:
    configured = settings(managed_rabbitmq)
    await asyncio.to_thread(apply_topology, configured)
    submit = 'rabbit_misc:r(<<"/">>, {}, <<"backhaul.submit">>)'
    source, destination = submit.format("exchange"), submit.format("queue")
    await managed_rabbitmq.evaluate(
        f'ok = rabbit_binding:remove({{binding, {source}, <<"#">>, {destination}, []}}, <<"tests">>)'
    )

    missing = await asyncio.to_thread(check_topology, configured)
    diagnosed = [finding for finding in await found(configured) if finding.about == "bindings"]
    await asyncio.to_thread(apply_topology, configured)
    again = await asyncio.to_thread(check_topology, configured)

    assert [(misfit.thing, misfit.fact, misfit.remedy) for misfit in missing] == [
        (
            "queue backhaul.submit",
            "is not bound to exchange backhaul.submit by the key '#'",
            "run `backhaul topology apply`",
        )
    ]
    assert [finding.severity for finding in diagnosed] == [Severity.FAULT]
    assert again == []


async def test_the_doctor_sees_policies_nodes_and_the_clock(managed_rabbitmq: PrivateRabbitMQ) -> None:
    await asyncio.to_thread(apply_topology, settings(managed_rabbitmq))

    findings = await found(settings(managed_rabbitmq))

    seen = {finding.about: finding for finding in findings}
    assert {name: seen[name].severity for name in ("policies", "bindings", "nodes", "clock")} == dict.fromkeys(
        ("policies", "bindings", "nodes", "clock"), Severity.OK
    )
    assert "up, and no alarm" in seen["nodes"].fact


async def test_an_api_that_is_not_there_or_turns_us_away_is_named(managed_rabbitmq: PrivateRabbitMQ) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    stranger = managed_rabbitmq.management_url.replace("//backhaul:", "//backhaul:wrong-")

    told = [
        next(finding for finding in await found(settings(managed_rabbitmq, url)) if finding.about == "policies")
        for url in (nowhere, stranger)
    ]

    assert [finding.severity for finding in told] == [Severity.WARNING, Severity.WARNING]
    assert "enable the plugin rabbitmq_management" in str(told[0].remedy)
    assert "does not let this user" in str(told[1].remedy)
    assert "wrong-" not in str(told)


def test_only_versions_that_know_it_are_told_how_long_a_delivery_may_be_held() -> None:
    old, new = policies(OLDEST), policies((4, 0))

    assert [policy.name for policy in old] == [policy.name for policy in new]
    assert not any("consumer-timeout" in policy.definition for policy in old)
    assert all("consumer-timeout" in policy.definition for policy in new)


def test_the_files_in_the_repository_are_those_that_would_be_written(tmp_path: Path) -> None:
    written = write_definitions(tmp_path, EXAMPLES, shards=1, release=OLDEST, vhost="/")

    for path in written:
        kept = ROOT / "deploy" / "rabbitmq" / path.name
        assert path.read_text() == kept.read_text(), f"{kept} is old: make deploy/rabbitmq anew as its README says"


def test_no_user_in_the_files_has_a_password() -> None:
    users = json.loads((ROOT / "deploy" / "rabbitmq" / "users.json").read_text())["users"]

    assert {user["password_hash"] for user in users} == {""}
