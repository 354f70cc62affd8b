"""Handlers for child processes, which import this module by its name."""

import asyncio
import ctypes
import faulthandler
import logging
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backhaul import CallFailed, Context, Fail, Retry, RetryPolicy, Service

service = Service("test", version="1.0.0", slots=4)


class Document(BaseModel):
    text: str


class Model:
    """A resource, known by the process that opened it."""

    def __init__(self, log: Path) -> None:
        self.pid = os.getpid()
        self.log = log


@service.resource
async def model() -> AsyncIterator[Model]:
    log = Path(os.environ.get("HEAVY_LOG", os.devnull))
    with log.open("a") as lines:
        lines.write(f"opened by {os.getpid()}\n")
    yield Model(log)
    with log.open("a") as lines:
        lines.write(f"closed by {os.getpid()}\n")


@service.handler("test.shout", run_in="process")
def shout(document: Document) -> str:
    return document.text.upper()


@service.handler("test.pid", run_in="process")
def pid(nothing: None) -> int:
    return os.getpid()


@service.handler("test.model", run_in="process")
def with_model(nothing: None, model: Model) -> list[int]:
    return [os.getpid(), model.pid]


@service.handler("test.big", run_in="process")
def big(text: str) -> str:
    return text[::-1]


@service.handler("test.odd", run_in="process")
def odd(nothing: None) -> int:
    return "seven"  # type: ignore[return-value]


@service.handler("test.raise", run_in="process", retry=RetryPolicy(never=(ZeroDivisionError,)))
def fail(how: str) -> None:
    if how == "fail":
        raise Fail("no_text", "There is none.")
    if how == "retry":
        raise Retry(after="30s", reason="the printer is warm")
    if how == "never":
        raise ZeroDivisionError("by zero")
    if how == "exit":
        sys.exit("no more")
    raise LookupError("no such thing")


@service.handler("test.die", run_in="process")
def die(how: str) -> None:
    if how == "segfault":
        faulthandler.disable()  # no stack between the lines of the tests
        ctypes.string_at(0)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.Signals[how])


@service.handler("test.talk", run_in="process")
def talk(nothing: None, ctx: Context) -> dict[str, Any]:
    ctx.progress(1, 2, "half")
    ctx.output("Hel")
    ctx.output({"json": [1, 2.5, None]})
    ctx.log("a line", level="warning", size=3)
    ctx.save({"at": 1})
    logging.getLogger("heavy").warning("said by %s", "a module")
    return {
        "task_id": ctx.task_id,
        "attempt": ctx.attempt,
        "max_attempts": ctx.max_attempts,
        "kind": ctx.kind,
        "tenant": ctx.tenant,
        "metadata": ctx.metadata,
        "checkpoint": ctx.checkpoint,
        "cancelled": ctx.cancelled,
        "deadline": ctx.deadline.isoformat(),
    }


@service.handler("test.flood", run_in="process")
def flood(path: str, ctx: Context) -> None:
    for number in range(200):
        ctx.output(number)
        Path(path).write_text(str(number + 1))


@service.handler("test.misspeak", run_in="process")
def misspeak(nothing: None, ctx: Context) -> list[str]:
    complaints = []
    calls: tuple[Callable[[], Any], ...] = (
        lambda: ctx.output({"lock": object()}),
        lambda: ctx.output("x" * 3_000_000),
        lambda: ctx.progress(float("nan")),
        lambda: ctx.log("text", "loud"),
        lambda: ctx.submit("test.it", None, moon=1),
    )
    for call in calls:
        try:
            call()
        except (ValueError, TypeError) as error:
            complaints.append(f"{type(error).__name__}: {error}")
    return complaints


@service.handler("test.attend", run_in="process", grace="30s")
def attend(attending: str, ctx: Context) -> str:
    """Looks whether it should stop, once there is a file `attending`."""
    ctx.output("begun")
    Path(attending).touch()
    while not ctx.cancelled:
        time.sleep(0.01)
    ctx.log("on my way out")
    return "half a result"


@service.handler("test.chat", run_in="process", grace="30s")
def chat(nothing: None, ctx: Context) -> None:
    """Never looks, and talks."""
    try:
        while True:
            ctx.output("again")
            time.sleep(0.01)
    except asyncio.CancelledError:
        ctx.save("tidy")
        raise


@service.handler("test.deaf", run_in="process", grace="2s")
def deaf(start: str, ctx: Context) -> None:
    """Looks at nothing, and starts a program that does not either."""
    program = subprocess.Popen(["sleep", "600"]) if start else None
    ctx.output(f"{os.getpid()} {program.pid if program else 0}")
    while True:
        time.sleep(600)


@service.handler("test.stuck", run_in="process", grace="2s")
def stuck(nothing: None, ctx: Context) -> None:
    """In native code that keeps the lock of the interpreter: no other thread of Python runs."""
    ctx.output(f"{os.getpid()} 0")
    sum(range(10**15))


@service.handler("test.again", run_in="process", retry=RetryPolicy(base="0s", cap="0s"))
def again(nothing: None, ctx: Context) -> int:
    """Is there at its first attempt until it is killed."""
    if ctx.attempt == 1:
        ctx.output(f"{os.getpid()} 0")
        time.sleep(600)
    return ctx.attempt


@service.handler("test.crash", run_in="process", retry=RetryPolicy(base="0s", cap="0s"))
def crash(nothing: None) -> None:
    die("segfault")


@service.handler("test.brief", run_in="process")
def brief(nothing: None, ctx: Context) -> None:
    """Long enough for its worker to be asked to leave meanwhile."""
    ctx.output(f"{os.getpid()} 0")
    time.sleep(2)


@service.handler("test.exclusive", run_in="process", exclusive=True, grace="1h")
def exclusive(nothing: None, ctx: Context) -> None:
    ctx.output("begun")
    time.sleep(600)


@service.handler("test.fork", run_in="process")
def fork(nothing: None, ctx: Context) -> list[int]:
    """Has processes of its own, which hear signals and know nothing of the worker."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        doubled = pool.map(double, [1, 2, 3])
        ctx.progress(1)
    return doubled


def double(number: int) -> int:
    logging.getLogger("heavy").warning("in a fork")
    return 2 * number


@service.handler("test.call", run_in="process")
def call(document: Document, ctx: Context) -> Any:
    try:
        said = ctx.call(document.text, {"text": "it"}, result=str)
    except CallFailed as failed:
        return [failed.task_id, failed.status, failed.error and failed.error.code]
    return [said, ctx.deadline.isoformat()]


@service.handler("test.wait")
async def wait(document: Document) -> str:
    await asyncio.Event().wait()
    return document.text


@service.handler("test.garbage", run_in="process")
def garbage(nothing: None) -> None:
    """Writes where it should not: to every socket that it has."""
    for number in range(3, 100):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b"\xff" * 64)
    time.sleep(600)


@service.handler("test.detach", run_in="process")
def detach(nothing: None) -> None:
    """Closes all that is open, as daemons do in old books."""
    os.closerange(0, 256)
