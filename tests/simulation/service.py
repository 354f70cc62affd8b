"""The service that the workers of a simulation run: every handler does what its task's input tells it to do.

Input: `{"attempts": [script, …]}`; attempt n follows script n, later ones the last. A script is a list of steps:
`["say", how]`, `["sleep", seconds]`, `["save"]`, `["submit", kind, input]`, `["call", kind, input]`, and one to end
with: `["return"]`, `["raise"]`, `["fail"]`, `["retry", seconds]`, `["hang"]` (until it is stopped), `["stubborn",
seconds]` (swallows its cancellation, and returns after a while).
"""

import asyncio
from datetime import timedelta
from typing import Any

from backhaul import Context, Fail, Retry, RetryPolicy, Service
from tests.proof.observations import HandlerEnded, HandlerStarted
from tests.simulation.loop import PROCESS
from tests.simulation.witness import WITNESS

QUICK, SLOW, ALONE = "sim.quick", "sim.slow", "sim.alone"
KINDS = (QUICK, SLOW, ALONE)
TIMEOUT = timedelta(seconds=3)
LONG_TIMEOUT = timedelta(seconds=6)


SERVICE = Service("sim", version="1.0.0")
"""Three kinds: one without a limit, one that has a limit and a queue of its own, and one that is exclusive."""

_RETRY = RetryPolicy(max_attempts=4, base="200ms", cap="1s")


@SERVICE.handler(QUICK, timeout=TIMEOUT, grace="500ms", retry=_RETRY)
async def quick(input: dict[str, Any], ctx: Context) -> int:
    return await _Run(ctx, exclusive=False).follow(input["attempts"])


@SERVICE.handler(SLOW, timeout=TIMEOUT, grace="500ms", retry=_RETRY, queue="sim.slow", slots=2)
async def slow(input: dict[str, Any], ctx: Context) -> int:
    return await _Run(ctx, exclusive=False).follow(input["attempts"])


@SERVICE.handler(ALONE, timeout=LONG_TIMEOUT, grace="500ms", retry=_RETRY, exclusive=True)
async def alone(input: dict[str, Any], ctx: Context) -> int:
    return await _Run(ctx, exclusive=True).follow(input["attempts"])


class _Run:
    """One attempt. Whatever it says names it, and is counted from 1."""

    def __init__(self, ctx: Context, *, exclusive: bool) -> None:
        self._witness = WITNESS.get()
        self._ctx = ctx
        self._exclusive = exclusive
        self._said = 0
        process = PROCESS.get()
        self._worker = process.name if process else ""

    async def follow(self, attempts: list[list[list[Any]]]) -> int:
        ctx, witness = self._ctx, self._witness
        witness.see(
            HandlerStarted(
                worker=self._worker,
                task_id=ctx.task_id,
                attempt=ctx.attempt,
                at=witness.now(),
                exclusive=self._exclusive,
            )
        )
        witness.found_checkpoint(ctx.task_id, ctx.attempt, ctx.checkpoint)
        how = "raised"
        try:
            result = await self._steps(attempts[min(ctx.attempt, len(attempts)) - 1])
            how = "returned"
        except asyncio.CancelledError:
            how = "cancelled"
            raise
        finally:
            witness.see(
                HandlerEnded(worker=self._worker, task_id=ctx.task_id, attempt=ctx.attempt, at=witness.now(), how=how)
            )
        return result

    async def _steps(self, script: list[list[Any]]) -> int:
        for name, *arguments in script:
            await getattr(self, f"_{name}")(*arguments)
        return self._said

    async def _say(self, how: str) -> None:
        self._said += 1
        if how == "text":
            await self._ctx.output(f"{self._ctx.attempt}.{self._said} ")
        elif how == "json":
            await self._ctx.output({"attempt": self._ctx.attempt, "n": self._said})
        elif how == "progress":
            await self._ctx.progress(self._said, 100, note=str(self._ctx.attempt))
        else:
            await self._ctx.log("line", attempt=self._ctx.attempt, n=self._said)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _save(self) -> None:
        checkpoint = {"attempt": self._ctx.attempt, "said": self._said}
        await self._ctx.save(checkpoint)
        self._witness.saved(self._ctx.task_id, checkpoint)

    async def _submit(self, kind: str, input: Any) -> None:
        child = await self._ctx.submit(kind, input)
        self._witness.submitted_child(self._ctx.task_id, child)

    async def _call(self, kind: str, input: Any) -> None:
        await self._ctx.call(kind, input)

    async def _return(self) -> None: ...

    async def _raise(self) -> None:
        raise RuntimeError("as told")

    async def _fail(self) -> None:
        raise Fail("as_told", "It was told to.")

    async def _retry(self, seconds: float) -> None:
        raise Retry(after=seconds, reason="as told")

    async def _hang(self) -> None:
        await asyncio.sleep(3_600)

    async def _stubborn(self, seconds: float) -> None:
        """Goes on for a while when it is stopped, and then returns as if nothing had been said."""
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            await asyncio.sleep(seconds)
