import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backhaul.client import BlockingTask, Client, ConnectionFailed, TaskFailed
from tests.support.ports import free_port
from tests.unit.client.records import LIFE, TASK_ID, snapshot, sse, task
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway, Stream

ACCEPTED = Reply(202, task())
END = Reply(204)


def interrupt_when(reached: threading.Event) -> threading.Thread:
    """Ctrl-C in the main thread, once the gateway has come so far."""

    def press() -> None:
        if reached.wait(10):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_a_blocking_client_follows_a_task_to_its_result() -> None:
    streams = Stream([sse(*LIFE[:3])], broken=True), Stream([sse(*LIFE[3:])]), END
    done = Reply(body=task("succeeded", result={"sentences": ["Hello"]}))
    with ScriptedGateway(ACCEPTED, *streams, done) as gateway, Client(gateway.url) as client:
        handle = client.submit("digest.summarise", {"text": "…"}, key="doc-17")
        seqs = [event.seq for event in handle.events()]
        state = handle.refresh()

    assert seqs == [1, 2, 3, 4, 5, 6]
    assert state.result == {"sentences": ["Hello"]}
    assert gateway.requests[0].body["key"] == "doc-17"


def test_the_errors_are_those_of_the_asynchronous_client() -> None:
    with ScriptedGateway(Reply(body=task("failed"))) as gateway, Client(gateway.url) as client:
        handle = client.get(TASK_ID)
        with pytest.raises(TaskFailed):
            handle.result()
    with Client(f"http://127.0.0.1:{free_port()}", patience=0) as client, pytest.raises(ConnectionFailed):
        client.get(TASK_ID)


def test_a_time_out_is_exact() -> None:
    released = threading.Event()
    stream = Stream([sse(snapshot("running"))], until=released)
    with ScriptedGateway(ACCEPTED, stream) as gateway, Client(gateway.url) as client:
        with pytest.raises(TimeoutError):
            client.submit("a.b").result(timeout=0.1)
        released.set()


def test_leaving_the_loop_closes_the_stream_and_the_client_goes_on() -> None:
    released = threading.Event()
    stream = Stream([sse(*LIFE[:2])], until=released)
    with ScriptedGateway(ACCEPTED, stream, Reply(body=task("running"))) as gateway, Client(gateway.url) as client:
        handle = client.submit("a.b")
        for each in handle.events():
            if each.seq == 2:
                break
        status = handle.refresh().status
        released.set()

    assert status == "running"


def test_ctrl_c_interrupts_a_wait_at_once_and_leaves_the_client_usable() -> None:
    waiting, released = threading.Event(), threading.Event()
    stream = Stream([sse(snapshot("running")), waiting], until=released)
    with ScriptedGateway(ACCEPTED, stream, Reply(202, task("cancelling"))) as gateway, Client(gateway.url) as client:
        handle = client.submit("a.b")
        pressing = interrupt_when(waiting)
        with pytest.raises(KeyboardInterrupt):
            handle.result()
        pressing.join()
        status = handle.cancel("interrupted").status
        released.set()

    assert status == "cancelling"


def test_ctrl_c_interrupts_a_loop_over_events() -> None:
    reading, released = threading.Event(), threading.Event()
    seqs: list[int] = []

    def read(handle: BlockingTask) -> None:
        for each in handle.events():
            seqs.append(each.seq)
            if each.seq == 2:
                reading.set()

    with ScriptedGateway(ACCEPTED, Stream([sse(*LIFE[:2])], until=released)) as gateway, Client(gateway.url) as client:
        handle = client.submit("a.b")
        pressing = interrupt_when(reading)
        with pytest.raises(KeyboardInterrupt):
            read(handle)
        pressing.join()
        released.set()

    assert seqs == [1, 2]


async def test_it_works_where_a_loop_already_runs() -> None:
    with ScriptedGateway(ACCEPTED) as gateway, Client(gateway.url) as client:
        handle = client.submit("a.b")

    assert handle.id == TASK_ID


def test_threads_may_share_one_client() -> None:
    with ScriptedGateway(*[ACCEPTED] * 16) as gateway, Client(gateway.url) as client, ThreadPoolExecutor(8) as threads:
        handles = list(threads.map(lambda number: client.submit("a.b", number), range(16)))

    assert len(handles) == 16
    assert sorted(request.body["input"] for request in gateway.requests) == list(range(16))


def test_a_list_is_read_page_by_page() -> None:
    pages = [Reply(body={"data": [task()], "next_cursor": cursor}) for cursor in ("c1", None)]
    with ScriptedGateway(*pages) as gateway, Client(gateway.url) as client:
        found = [handle.id for handle in client.list(status="queued")]

    assert found == [TASK_ID, TASK_ID]


def test_a_loop_over_events_may_be_left_after_the_client_was_closed() -> None:
    released = threading.Event()
    with ScriptedGateway(ACCEPTED, Stream([sse(*LIFE[:2])], until=released)) as gateway:
        with Client(gateway.url) as client:
            events = client.submit("a.b").events()
            first = next(events)
        events.close()
        released.set()

    assert first.seq == 1


def test_a_closed_client_says_so_and_its_thread_is_gone() -> None:
    with ScriptedGateway(ACCEPTED) as gateway, Client(gateway.url) as client:
        client.submit("a.b")
        client.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            client.submit("a.b")

    assert "backhaul-client" not in [thread.name for thread in threading.enumerate()]
