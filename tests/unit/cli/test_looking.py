import json

from backhaul_contracts.problems import ProblemCode
from tests.unit.cli.conftest import Backhaul
from tests.unit.client.records import TASK_ID, TIME, WORKER, task
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway, refusal

LONG_KIND = "a." + "very-long-name-" * 12
KIND = {
    "kind": "digest.summarise",
    "service": "digest",
    "version": "1",
    "queue": "digest",
    "timeout": 1800.0,
    "retry": {"max_attempts": 5, "base": 1.0, "cap": 300.0},
    "input_schema": {"properties": {"text": {}, "sentences": {}}, "required": ["text"]},
    "result_schema": {},
    "workers": 2,
}


def listing(*items: object) -> Reply:
    return Reply(body={"data": list(items), "next_cursor": None})


def test_tasks_are_a_table_that_a_pipe_does_not_cut(backhaul: Backhaul) -> None:
    running = task("running", attempt=1, kind=LONG_KIND, progress={"done": 40, "total": 100, "note": "embedding"})
    with ScriptedGateway(listing(running, task("failed"))) as gateway:
        finished = backhaul("tasks", "--url", gateway.url)

    header, row, _ = finished.out.splitlines()
    assert (finished.code, finished.err) == (0, "")
    assert header.split() == ["id", "kind", "status", "attempt", "progress", "created"]
    for part in (TASK_ID, LONG_KIND, "1/3", "40/100 embedding"):
        assert part in row
    assert "\x1b" not in finished.out


def test_tasks_are_filtered_by_the_gateway(backhaul: Backhaul) -> None:
    options = ["--status", "failed", "--status", "expired", "--kind", "a.b", "--queue", "q", "--key", "k", "-n", "5"]
    with ScriptedGateway(listing()) as gateway:
        finished = backhaul("tasks", *options, "--metadata", "who=me", "--url", gateway.url)

    assert finished.out == "no task fits\n"
    assert gateway.requests[0].query == {
        "status": ["failed", "expired"],
        "kind": ["a.b"],
        "queue": ["q"],
        "key": ["k"],
        "metadata.who": ["me"],
        "limit": ["5"],
    }


def test_tasks_for_programs_are_an_array(backhaul: Backhaul) -> None:
    with ScriptedGateway(listing(task(), task()), listing()) as gateway:
        some = backhaul("tasks", "--json", "--url", gateway.url)
        none = backhaul("tasks", "--json", "--url", gateway.url)

    assert [each["id"] for each in json.loads(some.out)] == [TASK_ID, TASK_ID]
    assert json.loads(none.out) == []


def test_a_task_is_shown_with_all_that_is_known(backhaul: Backhaul) -> None:
    failed = task(
        "failed",
        attempt=3,
        key="doc-17",
        metadata={"who": "me"},
        error={"code": "handler_error", "title": "ValueError", "detail": "odd"},
        started_at=TIME,
        parent_id="tsk_01kz0000000000000000000001",
    )
    with ScriptedGateway(Reply(body=failed)) as gateway:
        finished = backhaul("show", TASK_ID, "--url", gateway.url)

    facts = [line.split(None, 1) for line in finished.out.splitlines() if line[:1].isalpha()]
    shown = {fact[0]: fact[1].strip() for fact in facts if len(fact) == 2}
    assert shown["status"] == "failed"
    assert shown["attempt"] == "3 of 3"
    assert shown["error"] == "handler_error: ValueError: odd"
    assert (shown["key"], shown["metadata"]) == ("doc-17", "who=me")
    assert '"text": "…"' in finished.out
    assert "result" not in finished.out


def test_a_long_result_is_cut_for_people_only(backhaul: Backhaul) -> None:
    done = Reply(body=task("succeeded", result="x" * 5000))
    with ScriptedGateway(done, done) as gateway:
        people = backhaul("show", TASK_ID, "--url", gateway.url)
        programs = backhaul("show", TASK_ID, "--json", "--url", gateway.url)

    assert "x" * 2001 not in people.out
    assert "(5.0 kB; --json shows all)" in people.out
    assert json.loads(programs.out)["result"] == "x" * 5000


def test_control_characters_of_a_task_do_not_reach_the_terminal(backhaul: Backhaul) -> None:
    hostile = task("running", metadata={"name": "\x1b]0;owned\x07\x9b2J"}, progress={"done": 1, "note": "\x1b[2J"})
    with ScriptedGateway(Reply(body=hostile), listing(hostile)) as gateway:
        shown = backhaul("show", TASK_ID, "--url", gateway.url)
        listed = backhaul("tasks", "--url", gateway.url)

    assert "]0;owned" in shown.out
    assert not {"\x1b", "\x07", "\x9b"} & set(shown.out + listed.out)


def test_an_unknown_task_is_one_line(backhaul: Backhaul) -> None:
    with ScriptedGateway(refusal(ProblemCode.NOT_FOUND, f"there is no task {TASK_ID}")) as gateway:
        finished = backhaul("show", TASK_ID, "--url", gateway.url)

    assert (finished.code, finished.err) == (1, f"backhaul: there is no task {TASK_ID}\n")


def test_kinds_tell_the_fields_of_their_input(backhaul: Backhaul) -> None:
    with ScriptedGateway(listing(KIND)) as gateway:
        finished = backhaul("kinds", "--url", gateway.url)

    row = next(line for line in finished.out.splitlines() if line.lstrip().startswith("digest.summarise"))
    assert row.split() == [
        "digest.summarise", "1", "digest", "digest", "30", "min", "5", "2", "text,", "sentences?",
    ]  # fmt: skip


def test_kinds_for_programs_have_their_schemas(backhaul: Backhaul) -> None:
    with ScriptedGateway(listing(KIND)) as gateway:
        finished = backhaul("kinds", "--json", "--url", gateway.url)

    assert json.loads(finished.out)[0]["input_schema"]["required"] == ["text"]


def test_workers_tell_how_busy_they_are(backhaul: Backhaul) -> None:
    with ScriptedGateway(listing(WORKER), listing(WORKER), listing()) as gateway:
        people = backhaul("workers", "--url", gateway.url)
        programs = backhaul("workers", "--json", "--url", gateway.url)
        none = backhaul("workers", "--url", gateway.url)

    row = next(line for line in people.out.splitlines() if line.lstrip().startswith("wrk_1"))
    assert row.split()[:5] == ["wrk_1", "digest", "1.0.0", "ready", "3/20"]
    assert json.loads(programs.out)[0]["slots"] == 20
    assert none.out == "no worker is there: start one with `backhaul worker`\n"


def test_a_kind_whose_last_announcement_was_refused_says_why(backhaul: Backhaul) -> None:
    refused = {"version": "1", "service_version": "2.0", "reason": "input /a: x → y", "at": "2026-01-31T08:00:00Z"}
    with ScriptedGateway(listing({**KIND, "refused": refused})) as gateway:
        finished = backhaul("kinds", "--url", gateway.url)

    assert "digest.summarise: service digest 2.0 was refused" in finished.err
    assert "since it breaks version 1 (input /a: x → y): give the kind a new version" in finished.err
