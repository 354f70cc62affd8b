"""The AsyncAPI document: valid by the schema of its specification, and true to the topology."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from backhaul.core.messages import topology
from backhaul.core.messages.asyncapi import asyncapi
from backhaul.gateway.description.typed_kinds import with_messages
from backhaul_contracts.messages import Submitted
from tests.conformance.http.stage import KIND

SPECIFICATION = Path(__file__).parents[2] / "support" / "asyncapi-3.0.0.json"
"""The JSON Schema of AsyncAPI 3.0.0 (asyncapi/spec-json-schemas, Apache-2.0), as it is published."""

DOCUMENTS = {"bare": asyncapi(), "with kinds": with_messages(asyncapi(), [KIND])}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_asyncapi_is_valid_by_the_specification(document: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(json.loads(SPECIFICATION.read_text(encoding="utf-8")))

    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)

    assert found
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for value in node.values() for found in references(value)]


def test_the_exchanges_are_those_of_the_topology() -> None:
    declared = {exchange.name: exchange.kind for exchange in topology.platform(1).exchanges}

    exchanges = [
        channel["bindings"]["amqp"]["exchange"]
        for channel in asyncapi()["channels"].values()
        if "exchange" in channel["bindings"]["amqp"]
    ]

    assert {exchange["name"] for exchange in exchanges} == {topology.SUBMIT, topology.EVENTS}
    assert all(declared[exchange["name"]] == exchange["type"] for exchange in exchanges)


def test_a_stored_submission_fits_what_is_described() -> None:
    golden = Path(__file__).parents[3] / "contracts" / "golden" / "task.submit.v1.json"
    document = asyncapi()
    schema = {"$ref": "#/components/schemas/Submitted", "components": document["components"]}

    stored = json.loads(golden.read_text(encoding="utf-8"))

    assert document["components"]["messages"]["submit"]["payload"] == {"$ref": "#/components/schemas/Submitted"}
    assert jsonschema_rs.is_valid(schema, stored)
    assert Submitted.model_validate(stored).data.kind == stored["data"]["kind"]


def test_each_kind_is_a_message_of_its_own_with_its_input_as_payload() -> None:
    document = with_messages(asyncapi(), [KIND])

    assert document["channels"]["submit"]["messages"][KIND.kind] == {"$ref": f"#/components/messages/{KIND.kind}"}
    payload = document["components"]["messages"][KIND.kind]["payload"]
    assert payload == {"$ref": f"#/components/schemas/{KIND.kind}.input"}
    assert document["components"]["schemas"][f"{KIND.kind}.input"]["required"] == ["text"]
