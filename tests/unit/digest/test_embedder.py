"""The real model, as its package ships it."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from digest.embedder import E5, open_e5


@pytest.fixture
async def e5() -> AsyncIterator[E5]:
    async with open_e5() as opened:
        yield opened


async def test_vectors_have_length_one_and_come_in_order(e5: E5) -> None:
    together = await e5.embed(["The river rose after the rain.", "Tax is due in May."])
    [alone] = await e5.embed(["Tax is due in May."])

    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert np.allclose(together[1], alone, atol=1e-3)


async def test_sentences_are_alike_by_what_they_say_in_whatever_language(e5: E5) -> None:
    rain, german_rain, tax = await e5.embed(
        [
            "The river rose after the heavy rain.",
            "Nach dem starken Regen stieg der Fluss.",
            "The tax return is due in May.",
        ]
    )

    assert rain @ german_rain > 0.5
    assert rain @ tax < 0.3


async def test_batches_of_concurrent_tasks_take_turns(e5: E5) -> None:
    first, second = await asyncio.gather(e5.embed(["One thing is said here."]), e5.embed(["Another is said there."]))

    assert first.shape == second.shape == (1, 384)


async def test_a_cancelled_batch_leaves_the_model_usable(e5: E5) -> None:
    batch = asyncio.ensure_future(e5.embed(["This will not be waited for."] * 16))
    await asyncio.sleep(0)

    batch.cancel()

    with pytest.raises(asyncio.CancelledError):
        await batch
    assert len(await e5.embed(["This one will be."])) == 1
