"""The services that work under faults. Each handler notes in a file when it starts and ends, before anyone knows."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from backhaul import Context, Fail, Retry, RetryPolicy, Service
from tests.proof.history import Diary
from tests.proof.observations import HandlerEnded, HandlerStarted

DIARY = "BACKHAUL_CHAOS_DIARY"
PROCESS = "BACKHAUL_CHAOS_PROCESS"

_PATIENT = RetryPolicy(max_attempts=50, base="100ms", cap="2s")
"""Faults here are far more frequent than a budget of failures is made for."""

quick = Service("quick", version="1.0.0", slots=20)
heavy = Service("heavy", version="1.0.0", slots=12)


class Stumbled(Exception):
    """What a handler raises here by plan: the one traceback that belongs into a worker's log."""


class Work(BaseModel):
    """Take so many steps, each so long."""

    steps: int = 1
    seconds: float = 0.0


class Trouble(BaseModel):
    """Fail so often; after that succeed, or, if `final`, fail for good."""

    failures: int
    final: bool = False


class Done(BaseModel):
    """Results of different attempts differ, so that two of them would be seen."""

    steps: int
    attempt: int
    pid: int


@quick.handler("quick.echo", retry=_PATIENT)
async def echo(work: Work, ctx: Context) -> Done:
    """The shortest of tasks."""
    with _noted(quick, ctx):
        await asyncio.sleep(work.seconds)
        return _done(work, ctx)


@quick.handler("quick.trouble", retry=_PATIENT)
async def trouble(wanted: Trouble, ctx: Context) -> Done:
    """Fails in every way a handler can; how often is kept in the checkpoint, for attempts are lost, too."""
    with _noted(quick, ctx):
        stumbles: int = ctx.checkpoint or 0
        if stumbles < wanted.failures:
            await ctx.save(stumbles + 1)
            if stumbles % 2:
                raise Retry(after="200ms", reason="not yet")
            raise Stumbled
        if wanted.final:
            raise Fail("hopeless", "it was to fail")
        return _done(Work(steps=stumbles), ctx)


@quick.handler("quick.family", retry=_PATIENT)
async def family(work: Work, ctx: Context) -> Done:
    """Calls children of both services, one after the other, and waits for each without a slot."""
    with _noted(quick, ctx):
        for step in range(work.steps):
            kind = ("quick.echo", "heavy.thread")[step % 2]
            await ctx.call(kind, {"seconds": work.seconds}, result=Done)
        return _done(work, ctx)


@heavy.handler("heavy.walk", retry=_PATIENT)
async def walk(work: Work, ctx: Context) -> Done:
    """Goes on behind its checkpoint, and says every step: the attempt, and its number in it, counted from 1."""
    with _noted(heavy, ctx):
        walked: int = ctx.checkpoint or 0
        for number, step in enumerate(range(walked, work.steps), start=1):
            await ctx.output(f"{ctx.attempt}.{number}\n")
            await asyncio.sleep(work.seconds)
            if step % 3 == 2:
                await ctx.save(step + 1)
        await ctx.progress(work.steps, work.steps)
        return _done(work, ctx)


@heavy.handler("heavy.nap", retry=_PATIENT)
async def nap(work: Work, ctx: Context) -> Done:
    """Says nothing but its result: late, if its worker was frozen, and then it must not count."""
    with _noted(heavy, ctx):
        await asyncio.sleep(work.seconds)
        return _done(work, ctx)


@heavy.handler("heavy.thread", retry=_PATIENT)
def thread(work: Work, ctx: Context) -> Done:
    """The same in a thread, which can only be asked to stop."""
    with _noted(heavy, ctx):
        for number in range(1, work.steps + 1):
            if ctx.cancelled:
                raise Stumbled
            ctx.output(f"{ctx.attempt}.{number}\n")
            time.sleep(work.seconds)
        return _done(work, ctx)


@heavy.handler("heavy.process", retry=_PATIENT, run_in="process", grace="1s")
def process(work: Work, ctx: Context) -> Done:
    """The same in a child process, which can be killed, and which must not outlive its worker."""
    return thread(work, ctx)


@heavy.handler("heavy.exclusive", retry=_PATIENT, exclusive=True, grace="1s")
async def exclusive(work: Work, ctx: Context) -> Done:
    """Never at work twice at the same time."""
    with _noted(heavy, ctx, exclusive=True):
        for _ in range(work.steps):
            await asyncio.sleep(work.seconds)
        return _done(work, ctx)


def _done(work: Work, ctx: Context) -> Done:
    return Done(steps=work.steps, attempt=ctx.attempt, pid=os.getpid())


@contextmanager
def _noted(service: Service, ctx: Context, *, exclusive: bool = False) -> Iterator[None]:
    worker = f"{os.environ[PROCESS]}/{service.name}"
    task_id, attempt = ctx.task_id, ctx.attempt
    diary = _diary(os.getpid())
    diary.add(HandlerStarted(worker=worker, task_id=task_id, attempt=attempt, at=_now(), exclusive=exclusive))
    how = "returned"
    try:
        yield
    except asyncio.CancelledError:
        how = "cancelled"
        raise
    except Exception:
        how = "raised"
        raise
    finally:
        diary.add(HandlerEnded(worker=worker, task_id=task_id, attempt=attempt, at=_now(), how=how))


@cache
def _diary(pid: int) -> Diary:
    return Diary(Path(f"{os.environ[DIARY]}.{pid}.jsonl"))


def _now() -> datetime:
    return datetime.now(UTC)
