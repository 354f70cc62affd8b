"""The service on a whole platform in memory, its handler in a real child process."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backhaul.client import InvalidRequest, TaskFailed
from backhaul.testing import Harness
from tests.unit.thumbnail.pictures import picture, shown, text, written
from thumbnail.service import service

KIND = "thumbnail.render"
PHOTO = text(written(picture(400, 200), "JPEG"))


@pytest.fixture
async def platform() -> AsyncIterator[Harness]:
    async with Harness(service) as opened:
        yield opened


async def failure(platform: Harness, input: dict[str, Any]) -> Any:
    task = await platform.submit(KIND, {"boxes": [{"width": 9, "height": 9}], **input})
    with pytest.raises(TaskFailed) as failed:
        await task.result(timeout="30s")
    return failed.value.failure


async def test_a_thumbnail_is_made_for_each_box(platform: Harness) -> None:
    boxes = [{"width": 100, "height": 100}, {"width": 30, "height": 30, "fit": "cover"}]

    task = await platform.submit(KIND, {"image": PHOTO, "boxes": boxes, "format": "png"})
    result = await task.result(timeout="30s")

    sizes = [(thumbnail["width"], thumbnail["height"]) for thumbnail in result["thumbnails"]]
    files = [base64.b64decode(thumbnail["data"]) for thumbnail in result["thumbnails"]]
    assert (result["width"], result["height"], result["format"]) == (400, 200, "png")
    assert sizes == [shown(file).size for file in files] == [(100, 50), (30, 30)]
    assert [thumbnail["bytes"] for thumbnail in result["thumbnails"]] == [len(file) for file in files]


async def test_each_thumbnail_is_streamed_as_soon_as_it_is_made(platform: Harness) -> None:
    boxes = [{"width": width, "height": width} for width in (50, 60, 70)]

    task = await platform.submit(KIND, {"image": f"data:image/jpeg;base64,{PHOTO}", "boxes": boxes})
    result = await task.result(timeout="30s")
    events = [event async for event in task.events(after=0)]

    streamed = [event.data["delta"] for event in events if event.type == "task.output"]
    progress = [(event.data["done"], event.data["note"]) for event in events if event.type == "task.progress"]
    assert [delta["data"] for delta in streamed] == [thumbnail["data"] for thumbnail in result["thumbnails"]]
    assert progress == [(0, "50 x 50"), (1, "60 x 60"), (2, "70 x 70"), (3, "done")]


async def test_thumbnails_are_written_to_the_folder_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBNAIL_FOLDER", str(tmp_path))

    async with Harness(service) as platform:
        task = await platform.submit(KIND, {"image": PHOTO, "boxes": [{"width": 100, "height": 100}]})
        (thumbnail,) = (await task.result(timeout="30s"))["thumbnails"]

    assert (thumbnail["file"], thumbnail["data"]) == (f"{task.id}/1.webp", None)
    assert shown((tmp_path / thumbnail["file"]).read_bytes()).size == (100, 50)
    assert [file.name for file in (tmp_path / task.id).iterdir()] == ["1.webp"]


@pytest.mark.parametrize(
    ("input", "sentence"),
    [
        ({"image": "aGVsbG8="}, "no picture that can be read here"),
        ({"image": "hello!"}, "not base64"),
        ({"url": "http://127.0.0.1:9/"}, "not on the public internet"),
    ],
)
async def test_what_is_no_picture_fails_for_good_in_a_sentence(
    platform: Harness, input: dict[str, Any], sentence: str
) -> None:
    error = await failure(platform, input)

    assert (error.code, error.retryable) == ("rejected_input", False)
    assert sentence in str(error.detail)


async def test_a_picture_comes_from_one_place(platform: Harness) -> None:
    for places in ({}, {"image": PHOTO, "url": "http://example.org/"}):
        with pytest.raises(InvalidRequest):
            await platform.submit(KIND, {"boxes": [{"width": 9, "height": 9}], **places})
