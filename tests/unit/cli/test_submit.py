import io
import json
from pathlib import Path

import pytest

from backhaul_contracts.problems import ProblemCode
from tests.unit.cli.conftest import Backhaul
from tests.unit.client.records import LIFE, TASK_ID, TIME, event, sse, task
from tests.unit.client.scripted_gateway import Answer, Reply, ScriptedGateway, Stream, refusal

ACCEPTED = Reply(202, task())
LATER = "2026-01-31T08:00:03.200Z"
RESULT = {"sentences": ["Hello, 世界"]}
SUCCEEDED = task("succeeded", attempt=1, result=RESULT, finished_at=LATER)
FAILED = task("failed", attempt=1, error={"code": "handler_error", "title": "ValueError", "detail": "no\nsentence"})
CANCELLED = task("cancelled", cancel={"requested_at": TIME, "reason": "too late", "outcome": "confirmed"})
EXPIRED = task("expired", error={"code": "expired", "title": "The task expired"})


def life(*events: dict[str, object], end: dict[str, object]) -> list[Answer]:
    """What a gateway answers to a command that submits a task and follows it."""
    return [ACCEPTED, Reply(body=task()), Stream([sse(*events)]), Reply(204), Reply(body=end)]


def test_the_id_is_all_that_is_printed(backhaul: Backhaul) -> None:
    with ScriptedGateway(ACCEPTED) as gateway:
        finished = backhaul("submit", "digest.summarise", '{"text": "…"}', "--url", gateway.url)

    assert (finished.code, finished.out, finished.err) == (0, f"{TASK_ID}\n", "")
    assert gateway.requests[0].body == {
        "kind": "digest.summarise",
        "input": {"text": "…"},
        "priority": 0,
        "metadata": {},
    }


def test_all_options_reach_the_gateway(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKHAUL_API_KEY", "bh_secret")
    options = ["--key", "doc-17", "--delay", "10m", "--priority", "-5"]
    labels = ["--metadata", "who=me", "--metadata", "what=a=b"]
    with ScriptedGateway(ACCEPTED) as gateway:
        monkeypatch.setenv("BACKHAUL_URL", gateway.url)
        finished = backhaul("submit", "a.b", *options, *labels)

    assert finished.code == 0
    assert gateway.requests[0].headers["authorization"] == "Bearer bh_secret"
    assert gateway.requests[0].body == {
        "kind": "a.b",
        "input": None,
        "key": "doc-17",
        "delay": "10m",
        "priority": -5,
        "metadata": {"who": "me", "what": "a=b"},
    }


def test_the_input_may_come_from_a_file(backhaul: Backhaul, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text("[1, 2]")
    with ScriptedGateway(ACCEPTED) as gateway:
        backhaul("submit", "a.b", f"@{file}", "--url", gateway.url)

    assert gateway.requests[0].body["input"] == [1, 2]


def test_the_input_may_come_from_a_pipe(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"piped"')))
    with ScriptedGateway(ACCEPTED) as gateway:
        backhaul("submit", "a.b", "-", "--url", gateway.url)

    assert gateway.requests[0].body["input"] == "piped"


def test_what_the_gateway_refuses_is_one_line_with_every_fault(backhaul: Backhaul) -> None:
    with ScriptedGateway(refusal(ProblemCode.UNKNOWN_KIND, "do you mean digest.summarise?")) as gateway:
        finished = backhaul("submit", "digest.sumarise", "--url", gateway.url)

    assert finished.code == 1
    assert finished.err == "backhaul: do you mean digest.summarise?\n"


def test_the_record_of_the_accepted_task_is_there_for_programs(backhaul: Backhaul) -> None:
    with ScriptedGateway(ACCEPTED) as gateway:
        finished = backhaul("submit", "a.b", "--json", "--url", gateway.url)

    assert json.loads(finished.out)["id"] == TASK_ID


def test_waiting_prints_the_result_and_nothing_else(backhaul: Backhaul) -> None:
    script = ACCEPTED, Reply(body=task()), Stream([sse(*LIFE)]), Reply(body=SUCCEEDED)
    with ScriptedGateway(*script) as gateway:
        finished = backhaul("submit", "a.b", "--wait", "--url", gateway.url)

    assert (finished.code, json.loads(finished.out)) == (0, RESULT)
    assert "世界" in finished.out
    assert finished.err == f"{TASK_ID} succeeded in 3.2 s, attempt 1 of 3\n"


def test_waiting_for_programs_prints_the_final_record(backhaul: Backhaul) -> None:
    with ScriptedGateway(ACCEPTED, Reply(body=FAILED)) as gateway:
        finished = backhaul("submit", "a.b", "--wait", "--json", "--url", gateway.url)

    assert (finished.code, json.loads(finished.out)["status"]) == (1, "failed")


@pytest.mark.parametrize(
    ("end", "code", "sentence"),
    [
        (FAILED, 1, f"task {TASK_ID} failed in attempt 1: ValueError: no sentence"),
        (CANCELLED, 3, f"task {TASK_ID} was cancelled: too late"),
        (EXPIRED, 4, f"task {TASK_ID} expired: The task expired"),
    ],
)
@pytest.mark.parametrize("how", ["--wait", "--follow"])
def test_the_exit_code_tells_the_end_of_the_task(
    backhaul: Backhaul, end: dict[str, object], code: int, sentence: str, how: str
) -> None:
    last = event(3, f"task.{end['status']}")
    script = life(*LIFE[:2], last, end=end) if how == "--follow" else [ACCEPTED, Reply(body=end)]
    with ScriptedGateway(*script) as gateway:
        finished = backhaul("submit", "a.b", how, "--url", gateway.url)

    assert (finished.code, finished.out) == (code, "")
    assert finished.err.endswith(f"backhaul: {sentence}\n")


def test_following_prints_the_output_and_tells_the_rest_apart(backhaul: Backhaul) -> None:
    events = (
        *LIFE[:3],
        event(4, "task.progress", done=0, total=40, note="embedding"),
        event(5, "task.progress", done=1, total=40, note="embedding"),
        event(6, "task.progress", done=30, total=40, note="embedding"),
        event(7, delta="Hel"),
        event(8, "task.log", level="warning", message="slow", fields={}),
        event(9, delta="lo"),
        event(10, "task.succeeded"),
    )
    with ScriptedGateway(*life(*events, end=SUCCEEDED)) as gateway:
        finished = backhaul("submit", "a.b", "--follow", "--url", gateway.url)

    assert (finished.code, finished.out) == (0, "Hello\n")
    assert finished.err.splitlines() == [
        "queued",
        "started, attempt 1",
        "0/40 embedding",
        "30/40 embedding",
        "warning: slow",
        f"{TASK_ID} succeeded in 3.2 s, attempt 1 of 3",
    ]


def test_following_a_task_without_output_prints_its_result(backhaul: Backhaul) -> None:
    with ScriptedGateway(*life(*LIFE[:3], event(4, "task.succeeded"), end=SUCCEEDED)) as gateway:
        finished = backhaul("submit", "a.b", "--follow", "--url", gateway.url)

    assert (finished.code, json.loads(finished.out)) == (0, RESULT)


def test_following_tells_when_output_has_become_void(backhaul: Backhaul) -> None:
    retrying = event(
        5,
        "task.retrying",
        attempt=1,
        keep_through=0,
        retry_at="2026-01-31T08:00:01.500Z",
        error={"title": "ValueError", "detail": "odd"},
    )
    events = (
        *LIFE[:4],
        retrying,
        event(6, "task.started", attempt=2),
        event(7, delta={"row": 1}),
        event(8, "task.succeeded"),
    )
    with ScriptedGateway(*life(*events, end=SUCCEEDED)) as gateway:
        finished = backhaul("submit", "a.b", "--follow", "--url", gateway.url)

    assert finished.out == 'Hel{"row": 1}\n'
    assert (
        "attempt 1 failed (ValueError: odd), the next in 1.5 s; what it wrote behind its last checkpoint is void"
    ) in finished.err


def test_following_for_programs_prints_one_event_a_line(backhaul: Backhaul) -> None:
    with ScriptedGateway(*life(*LIFE, end=SUCCEEDED)) as gateway:
        finished = backhaul("submit", "a.b", "--follow", "--json", "--url", gateway.url)

    assert finished.code == 0
    assert [json.loads(line)["seq"] for line in finished.out.splitlines()] == [1, 2, 3, 4, 5, 6]
    assert finished.err == ""


def test_watching_shows_a_task_from_its_beginning(backhaul: Backhaul) -> None:
    with ScriptedGateway(*life(*LIFE, end=SUCCEEDED)[1:]) as gateway:
        finished = backhaul("watch", TASK_ID, "--url", gateway.url)

    assert (finished.code, finished.out) == (0, "Hello\n")
    assert gateway.requests[1].query == {"after": ["0"]}
