"""`digest.summarise`: the few sentences that tell most of a long text."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from time import perf_counter
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from backhaul import Context, Fail, RetryPolicy, Service
from digest.choice import choose
from digest.embedder import Embedder, Vectors, open_e5
from digest.sentences import split

BATCH = 16  # sentences a step: a third of a second on two cores, which is how soon a cancellation counts
MAX_SENTENCES = 20_000  # some minutes of work on two cores

service = Service("digest", version="1.0.0", slots=4)


class Document(BaseModel):
    """A text of any length and language, plain or Markdown."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(pattern=r"\S", max_length=1_000_000)]
    sentences: Annotated[int, Field(ge=1, le=50, description="how many sentences are wanted")] = 5
    title: Annotated[str | None, Field(max_length=300, description="draws the choice towards it")] = None


class Sentence(BaseModel):
    text: str
    position: Annotated[int, Field(description="its number among the sentences of the document, from 1")]
    score: Annotated[float, Field(description="how much it is like the document as a whole, from -1 to 1")]


class Timings(BaseModel):
    """Seconds that each step took."""

    splitting: float
    embedding: float
    choosing: float


class Summary(BaseModel):
    sentences: Annotated[list[Sentence], Field(description="in the order of the document")]
    total: Annotated[int, Field(description="sentences in the document")]
    model: str
    timings: Timings


@service.resource
async def model() -> AsyncIterator[Embedder]:
    """One language model for all tasks of a worker."""
    async with open_e5() as e5:
        yield e5


@service.handler("digest.summarise", timeout="30m", retry=RetryPolicy(max_attempts=3, base="1s", cap="1m"))
async def summarise(document: Document, ctx: Context, embedder: Embedder) -> Summary:
    """Chooses sentences of the document, streams them as text and returns them with their scores."""
    lap = stopwatch()
    sentences = await parts(document)
    splitting = lap()
    vectors = await embed(sentences, embedder, ctx)
    title = (await embedder.embed([document.title]))[0] if document.title else None
    embedding = lap()
    choices = await asyncio.to_thread(choose, sentences, vectors, document.sentences, title)
    timings = Timings(splitting=splitting, embedding=embedding, choosing=lap())

    chosen = [Sentence(text=sentences[at.index], position=at.index + 1, score=round(at.score, 4)) for at in choices]
    for sentence in chosen:
        await ctx.output(f"{sentence.text}\n")
    return Summary(sentences=chosen, total=len(sentences), model=embedder.model, timings=timings)


async def parts(document: Document) -> list[str]:
    """The sentences to choose from. They are found in a thread, since a long text takes a moment."""
    sentences = await asyncio.to_thread(split, document.text)
    if not sentences:
        raise Fail("rejected_input", "The text has no sentences: headings, tables, code and bare words are none.")
    if len(sentences) > MAX_SENTENCES:
        raise Fail("rejected_input", f"The text has {len(sentences)} sentences; at most {MAX_SENTENCES} are read.")
    return sentences


async def embed(sentences: Sequence[str], embedder: Embedder, ctx: Context) -> Vectors:
    """The vectors of all sentences; between two batches progress is told and a cancellation heard."""
    vectors: list[Vectors] = []
    for start in range(0, len(sentences), BATCH):
        await ctx.progress(start, len(sentences), "embedding")
        vectors.append(await embedder.embed(sentences[start : start + BATCH]))
    await ctx.progress(len(sentences), len(sentences), "choosing")
    return np.concatenate(vectors)


def stopwatch() -> Callable[[], float]:
    """A function that gives the seconds since its last call."""
    last = perf_counter()

    def lap() -> float:
        nonlocal last
        before, last = last, perf_counter()
        return round(last - before, 4)

    return lap
