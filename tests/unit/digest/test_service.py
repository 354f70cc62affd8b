"""The service on a whole platform in memory, with the real model."""

import pytest

from backhaul.client import InvalidRequest, TaskCancelled, TaskFailed
from backhaul.testing import Harness
from digest.service import BATCH, service

KIND = "digest.summarise"

RIVERS = """\
# Floods

A flood happens when a river overflows its banks and its water covers land that is dry otherwise.
Floods destroy houses, wash away fertile soil and take many lives.
Yet the yearly flood of the Nile made the fields of Egypt fertile, and the country lived on it.

- Heavy rain fills a river faster than it can carry the water away.
- Where forests were cut down, the ground holds back less water.
- Dikes protect the low land along a river, and reservoirs hold back the water until the rain is over.

The rivers of the north freeze in winter.
"""


async def test_a_document_is_shortened_to_sentences_in_its_order() -> None:
    async with Harness(service) as platform:
        task = await platform.submit(KIND, {"text": RIVERS, "sentences": 3, "title": "Floods"})
        summary = await task.result(timeout="30s")
        output = await task.output()

    chosen = summary["sentences"]
    assert [sentence["position"] for sentence in chosen] == sorted(sentence["position"] for sentence in chosen)
    assert len(chosen) == 3
    assert chosen[0]["text"].startswith("A flood happens")
    assert all("freeze" not in sentence["text"] for sentence in chosen)
    assert summary["total"] == 7
    assert summary["model"] == "multilingual-e5-small-q4"
    assert output.text.splitlines() == [sentence["text"] for sentence in chosen]


async def test_progress_counts_the_sentences_that_are_embedded() -> None:
    text = " ".join(f"This is sentence number {number} of a long and even text." for number in range(BATCH + 1))

    async with Harness(service) as platform:
        task = await platform.submit(KIND, {"text": text})
        await task.result(timeout="30s")
        progress = [event.data async for event in task.events() if event.type == "task.progress"]

    assert [step["done"] for step in progress] == sorted(step["done"] for step in progress)
    assert (progress[-1]["done"], progress[-1]["total"]) == (BATCH + 1, BATCH + 1)


async def test_a_cancellation_is_heard_between_two_batches() -> None:
    text = " ".join(f"This is sentence number {number} of a long and even text." for number in range(1000))

    async with Harness(service) as platform:
        task = await platform.submit(KIND, {"text": text})
        async for event in task.events():
            if event.type == "task.progress":
                await task.cancel()
                break

        with pytest.raises(TaskCancelled) as cancelled:
            await task.result(timeout="10s")

    assert cancelled.value.task.cancel
    assert cancelled.value.task.cancel.outcome == "confirmed"


async def test_a_document_without_sentences_fails_for_good() -> None:
    async with Harness(service) as platform:
        task = await platform.submit(KIND, {"text": "# A heading\n\n```\nsome.code()\n```"})

        with pytest.raises(TaskFailed) as failed:
            await task.result(timeout="10s")

    assert failed.value.failure
    assert failed.value.failure.code == "rejected_input"
    assert failed.value.task.attempt == 1


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"text": " \n"}, "/input/text"),
        ({"text": "x" * 1_000_001}, "/input/text"),
        ({"text": "It is so.", "sentences": 0}, "/input/sentences"),
        ({"text": "It is so.", "sentences": 51}, "/input/sentences"),
    ],
)
async def test_a_document_out_of_bounds_is_refused_at_once(document: dict[str, object], pointer: str) -> None:
    async with Harness(service, settings={"max_body": 2_000_000}) as platform:
        with pytest.raises(InvalidRequest) as refused:
            await platform.submit(KIND, document)

    assert [error.pointer for error in refused.value.problem.errors] == [pointer]
