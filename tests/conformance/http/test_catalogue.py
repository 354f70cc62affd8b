"""Kinds, workers, health, and what describes the API."""

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256

from openapi_spec_validator import OpenAPIV31SpecValidator

from backhaul_contracts import codec
from tests.conformance.http.keys import new_key
from tests.conformance.http.stage import KIND, Stage


async def test_kinds_are_listed(stage: Stage) -> None:
    answer = (await stage.http.get("/v1/kinds")).json()

    (kind,) = answer["data"]
    assert answer["next_cursor"] is None
    assert set(kind) == {
        "kind",
        "service",
        "version",
        "input_schema",
        "result_schema",
        "timeout",
        "retry",
        "queue",
        "workers",
    }
    assert (kind["kind"], kind["service"], kind["version"], kind["queue"]) == (
        "digest.summarise",
        "digest",
        "1",
        "digest",
    )
    assert kind["timeout"] == 600.0
    assert kind["retry"] == {"max_attempts": 2, "base": 1.0, "cap": 300.0}
    assert kind["input_schema"] == KIND.input_schema


async def test_one_kind_is_shown(stage: Stage) -> None:
    answer = await stage.http.get("/v1/kinds/digest.summarise")
    unknown = await stage.http.get("/v1/kinds/digest.summarize")

    assert answer.json()["kind"] == "digest.summarise"
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_kind")
    assert "digest.summarise" in unknown.json()["detail"]


async def test_workers_are_listed(stage: Stage) -> None:
    answer = await stage.http.get("/v1/workers")

    assert answer.json() == {"data": [], "next_cursor": None}


async def test_health_and_readiness(stage: Stage) -> None:
    alive = await stage.http.get("/healthz")
    ready = await stage.http.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "accepting": True, "down": []})


async def test_a_gateway_that_is_stopping_is_not_ready(stage: Stage) -> None:
    stage.gateway.drain()

    ready = await stage.http.get("/readyz")

    assert (ready.status_code, ready.json()["code"], ready.json()["down"]) == (503, "unavailable", ["gateway"])


async def test_openapi_describes_every_call_and_types_every_kind(stage: Stage) -> None:
    document = (await stage.http.get("/openapi.json")).json()

    submit = document["paths"]["/v1/tasks"]["post"]
    schemas = document["components"]["schemas"]
    assert document["openapi"].startswith("3.1")
    body = submit["requestBody"]["content"]["application/json"]
    place = "#/components/schemas/digest.summarise.submit"
    assert body["schema"] == {
        "oneOf": [{"$ref": place}],
        "discriminator": {"propertyName": "kind", "mapping": {"digest.summarise": place}},
    }
    assert body["examples"]["digest.summarise"]["value"] == {"kind": "digest.summarise", "input": {"text": "…"}}
    assert set(submit["responses"]) == {"200", "202", "400", "401", "403", "404", "413", "415", "422", "429", "503"}
    assert "get" in document["paths"]["/v1/tasks/{task_id}/events"]
    assert schemas["digest.summarise.input"]["properties"]["pages"] == {
        "$ref": "#/components/schemas/digest.summarise.input.Pages"
    }
    assert schemas["digest.summarise.submit"]["properties"]["kind"] == {"const": "digest.summarise"}


async def test_openapi_is_valid_by_the_specification(stage: Stage) -> None:
    document = (await stage.http.get("/openapi.json")).json()

    OpenAPIV31SpecValidator(document).validate()


async def test_asyncapi_describes_what_rabbitmq_carries(stage: Stage) -> None:
    answer = await stage.http.get("/asyncapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["asyncapi"] == "3.0.0"
    assert "digest.summarise" in answer.json()["channels"]["submit"]["messages"]


async def test_openapi_is_written_anew_only_when_a_kind_has_changed(stage: Stage) -> None:
    first = await stage.http.get("/openapi.json")
    again = await stage.http.get("/openapi.json")

    await stage.store.announce([KIND.model_copy(update={"kind": "digest.other", "version": "2"})])
    stage.clock.advance(timedelta(seconds=1))
    changed = (await stage.http.get("/openapi.json")).json()

    assert again.content == first.content
    assert "digest.other.input" in changed["components"]["schemas"]


async def test_every_reference_in_openapi_leads_somewhere(stage: Stage) -> None:
    text = (await stage.http.get("/openapi.json")).text
    document = codec.loads(text)

    references = set(re.findall(r'"\$ref":"#/([^"]+)"', text))
    assert len(references) == len(set(re.findall(r'"\$ref":"([^"]+)"', text))) > 20
    for reference in references:
        place = document
        for step in reference.split("/"):
            place = place[step]


async def test_docs_are_one_page_that_needs_nothing_from_anywhere(stage: Stage) -> None:
    answer = await stage.http.get("/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "/v1/tasks/{task_id}/events" in answer.text
    assert "digest.summarise.input" in answer.text
    assert "<form data-kind='digest.summarise'>" in answer.text
    assert re.findall(r"(?:src|href)=['\"]?(?:https?:)?//", answer.text) == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_browser_is_asked_for_a_key_where_one_is_needed(stage: Stage) -> None:
    _, headers = await new_key(stage)
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}

    door = await stage.http.get("/docs", headers=browser)
    page = await stage.http.get("/docs", headers=browser | headers)
    program = await stage.http.get("/docs")
    elsewhere = await stage.http.get("/openapi.json", headers=browser)

    assert (door.status_code, door.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "<input id=key type=password" in door.text
    assert "/v1/tasks" not in door.text
    assert "digest.summarise" in page.text
    assert [answer.json()["code"] for answer in (program, elsewhere)] == ["unauthenticated"] * 2


async def test_what_runs_on_the_page_and_at_its_door_is_what_their_policy_names(stage: Stage) -> None:
    page = await stage.http.get("/docs")
    await new_key(stage)
    door = await stage.http.get("/docs", headers={"Accept": "text/html"})

    assert page.headers["content-security-policy"] == door.headers["content-security-policy"]
    for answer in (page, door):
        for text in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", answer.text, re.DOTALL):
            assert b64encode(sha256(text.encode()).digest()).decode() in answer.headers["content-security-policy"]
