"""The command as a process of its own: signals, pipes and terminals."""

import re
import signal
import subprocess
import sys
import threading

from tests.support.terminal import on_a_terminal
from tests.unit.client.records import LIFE, TASK_ID, sse, task
from tests.unit.client.scripted_gateway import Answer, Reply, ScriptedGateway, Stream

COMMAND = [sys.executable, "-m", "backhaul"]
SUCCEEDED = task("succeeded", attempt=1, result={"n": 1}, finished_at="2026-01-31T08:00:03.200Z")
LIVED: list[Answer] = [
    Reply(202, task()),
    Reply(body=task()),
    Stream([sse(each) for each in LIFE]),
    Reply(204),
    Reply(body=SUCCEEDED),
]


def test_on_a_terminal_there_are_a_bar_the_output_and_colours() -> None:
    with ScriptedGateway(*LIVED) as gateway:
        code, written = on_a_terminal([*COMMAND, "submit", "a.b", "--follow", "--url", gateway.url])

    assert code == 0
    assert "Hello" in written
    assert "\x1b[32m" in written
    assert f"{TASK_ID} succeeded in 3.2 s, attempt 1 of 3" in written


def test_no_color_is_respected() -> None:
    with ScriptedGateway(*LIVED) as gateway:
        command = [*COMMAND, "submit", "a.b", "--follow", "--url", gateway.url]
        code, written = on_a_terminal(command, env={"NO_COLOR": "1"})

    colours = re.findall(r"\x1b\[[0-9;]*m", written)
    assert code == 0
    assert "Hello" in written
    assert not [colour for colour in colours if re.search(r"[34][0-9]", colour)]


def test_ctrl_c_leaves_the_task_alone_and_says_how_to_come_back() -> None:
    watching, released = threading.Event(), threading.Event()
    script = Reply(202, task()), Reply(body=task()), Stream([sse(*LIFE[:4]), watching], until=released)
    with ScriptedGateway(*script) as gateway:
        process = subprocess.Popen(
            [*COMMAND, "submit", "a.b", "--follow", "--url", gateway.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert watching.wait(20)
        first = process.stdout.read(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        released.set()

    assert process.returncode == 130
    assert first + out == "Hel\n"
    assert err.endswith(f"{TASK_ID} goes on: `backhaul watch {TASK_ID}` shows it\n")
    assert "Traceback" not in err


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    many = Reply(body={"data": [task(kind=f"a.{'b' * 2000}") for _ in range(100)], "next_cursor": None})
    with ScriptedGateway(many) as gateway:
        process = subprocess.Popen(
            [*COMMAND, "tasks", "-n", "100", "--json", "--url", gateway.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        code = process.wait(timeout=20)

    assert code == 1
    assert "Traceback" not in err
