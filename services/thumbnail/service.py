"""`thumbnail.render`: small pictures of a large one."""

import base64
import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from backhaul import Context, Fail, Retry, RetryPolicy, Service
from thumbnail import pixels, source
from thumbnail.pixels import EXTENSIONS, Fit, Format
from thumbnail.settings import Settings

MAX_EDGE = 4096
MEBIBYTE = 1024 * 1024

service = Service("thumbnail", version="1.0.0", slots=os.cpu_count() or 1)

Edge = Annotated[int, Field(ge=1, le=MAX_EDGE, description="pixels")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2083)]


class Box(BaseModel):
    """The frame that a thumbnail goes into."""

    model_config = ConfigDict(extra="forbid")

    width: Edge
    height: Edge
    fit: Annotated[Fit, Field(description="contain: all of the picture; cover: all of the box")] = "contain"


class Picture(BaseModel):
    """Either the `url` of a picture, or the picture itself as `image`, a small one, in base64 or as a `data:` URL."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [{"required": ["url"]}, {"required": ["image"]}],
            "examples": [{"url": "https://example.org/picture.jpg", "boxes": [{"width": 320, "height": 240}]}],
        },
    )

    url: Url = Field(default_factory=str)
    image: str = Field(default_factory=str, min_length=1, max_length=20_000_000)
    boxes: Annotated[list[Box], Field(min_length=1, max_length=20)]
    format: Format = "webp"
    quality: Annotated[int, Field(ge=1, le=95, description="of webp and jpeg")] = 80

    @model_validator(mode="after")
    def has_one_source(self) -> Self:
        if ("url" in self.model_fields_set) == ("image" in self.model_fields_set):
            raise ValueError("give either url or image")
        return self


class Thumbnail(BaseModel):
    width: int
    height: int
    bytes: int
    file: Annotated[str | None, Field(description="where it was written, below the service's folder")] = None
    data: Annotated[str | None, Field(description="the file in base64, if the service has no folder")] = None


class Thumbnails(BaseModel):
    """Thumbnails in the order of the boxes."""

    width: Annotated[int, Field(description="of the picture")]
    height: Annotated[int, Field(description="of the picture")]
    format: Format
    thumbnails: list[Thumbnail]


@service.handler(
    "thumbnail.render",
    run_in="process",
    timeout="5m",
    grace="5s",
    retry=RetryPolicy(max_attempts=3, base="2s", cap="1m"),
)
def render(picture: Picture, ctx: Context) -> Thumbnails:
    """Makes a thumbnail for each box, and streams it as soon as it is made."""
    settings = Settings()
    largest = max(max(box.width, box.height) for box in picture.boxes)
    try:
        original = pixels.read(load(picture, settings, ctx), max_pixels=settings.max_pixels, largest=largest)
    except (source.Refused, pixels.Unreadable) as refusal:
        raise Fail("rejected_input", str(refusal)) from refusal
    except source.Unavailable as cause:
        raise Retry(reason=str(cause)) from cause
    made: list[Thumbnail] = []
    for box in picture.boxes:
        ctx.progress(len(made), len(picture.boxes), f"{box.width} x {box.height}")
        small = pixels.scaled(original.image, (box.width, box.height), box.fit)
        file = pixels.encoded(small, picture.format, picture.quality)
        place = Path(ctx.task_id, f"{len(made) + 1}.{EXTENSIONS[picture.format]}")
        made.append(kept(file, small.size, place, settings.folder))
        ctx.output(made[-1].model_dump(exclude_none=True))
    ctx.progress(len(made), len(made), "done")
    width, height = original.size
    return Thumbnails(width=width, height=height, format=picture.format, thumbnails=made)


def load(picture: Picture, settings: Settings, ctx: Context) -> bytes:
    """The bytes of the picture; while they are fetched, progress is told at each mebibyte."""
    if not picture.url:
        return source.decode(picture.image)
    told = 0

    def tell(come: int, length: int | None) -> None:
        nonlocal told
        if come >= told + MEBIBYTE:
            told = come
            ctx.progress(come, length, "fetching")

    return source.fetch(picture.url, max_bytes=settings.max_bytes, allow_private=settings.allow_private, tell=tell)


def kept(file: bytes, size: pixels.Size, place: Path, folder: Path | None) -> Thumbnail:
    """The thumbnail, written to its place in the folder, or with the file inside. A repeated attempt overwrites."""
    width, height = size
    if folder is None:
        return Thumbnail(width=width, height=height, bytes=len(file), data=base64.b64encode(file).decode())
    whole = folder / place
    whole.parent.mkdir(parents=True, exist_ok=True)
    part = whole.with_suffix(".part")
    part.write_bytes(file)
    part.replace(whole)
    return Thumbnail(width=width, height=height, bytes=len(file), file=str(place))
