"""What is served is what `/openapi.json` describes: status, media type and body of each answer (schemathesis)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.http.stage import Stage

STREAMS = ("/v1/events", "/v1/tasks/{task_id}/events")
"""Answers without end."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def undescribed(url: str, document: dict[str, Any]) -> list[str]:
    """The answers of the API at `url` that are not as described."""
    schema = schemathesis.openapi.from_dict(document)
    results = list(schema.get_all_operations())
    operations = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(operations) == len(results)
    return [fault for operation in operations if operation.path not in STREAMS for fault in _faults(operation, url)]


def _faults(operation: Any, url: str) -> Iterator[str]:
    found: list[str] = []

    @settings(max_examples=8, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def explore(case: Any) -> None:
        answer = case.call(base_url=url, headers={"Accept": "application/json"}, timeout=10)
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as faults:
            found.append(f"{operation.method} {operation.path} {answer.status_code}: {faults}")

    explore()
    yield from found[:3]


async def described(stage: Stage) -> tuple[str, dict[str, Any]]:
    url = await stage.serve()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        return url, (await http.get("/openapi.json")).json()


async def test_every_answer_is_as_described(stage: Stage) -> None:
    url, document = await described(stage)

    assert await asyncio.to_thread(undescribed, url, document) == []


async def test_an_answer_that_is_not_described_would_be_found(stage: Stage) -> None:
    url, document = await described(stage)
    call = document["paths"]["/v1/tasks/{task_id}"]["get"]
    del call["responses"]["404"], call["responses"]["410"]

    narrowed = {**document, "paths": {"/v1/tasks/{task_id}": {"get": call}}}

    assert await asyncio.to_thread(undescribed, url, narrowed) != []
