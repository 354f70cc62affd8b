"""Threads for `def` handlers."""

import contextvars
import threading
import time

from backhaul.worker.attempts.threads import Threads

name: contextvars.ContextVar[str] = contextvars.ContextVar("name")


def test_calls_run_side_by_side_up_to_the_limit() -> None:
    threads = Threads("test", 3)
    together, again = threading.Barrier(4, timeout=5), threading.Barrier(2, timeout=5)

    for _ in range(3):
        threads.submit(together.wait)
    threads.submit(again.wait)
    while together.n_waiting < 3:
        time.sleep(0)
    beyond = again.n_waiting

    together.wait()
    again.wait()
    threads.close()
    assert beyond == 0


def test_a_thread_that_is_done_is_used_again() -> None:
    threads = Threads("test", 100)
    seen: list[str] = []

    for number in range(20):
        threads.submit(lambda: seen.append(threading.current_thread().name))
        while len(seen) == number or threads._busy:
            time.sleep(0)

    threads.close()
    assert seen == ["test-1"] * 20


def test_context_variables_are_those_of_the_caller() -> None:
    threads = Threads("test", 1)
    name.set("caller")
    seen: list[str] = []
    done = threading.Event()

    threads.submit(lambda: seen.append(name.get()))
    threads.submit(done.set)
    done.wait(5)

    threads.close()
    assert seen == ["caller"]


def test_no_thread_keeps_the_process_from_ending() -> None:
    threads = Threads("test", 1)
    seen: list[bool] = []
    done = threading.Event()

    threads.submit(lambda: seen.append(threading.current_thread().daemon))
    threads.submit(done.set)
    done.wait(5)

    threads.close()
    assert seen == [True]
