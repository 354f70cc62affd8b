"""Pictures to make thumbnails of."""

import base64
from io import BytesIO
from typing import Any

from PIL import ExifTags, Image

RED, BLUE = (220, 30, 30), (30, 30, 220)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """The left half red, the right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image.convert(mode)


def written(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def turned(image: Image.Image, orientation: int) -> bytes:
    """A JPEG whose camera was held as `orientation` says."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "a camera"
    return written(image, "JPEG", exif=exif)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def shown(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def is_like(pixel: Any, color: tuple[int, int, int]) -> bool:
    """Near enough, after two lossy formats."""
    return all(abs(one - other) < 40 for one, other in zip(pixel[:3], color, strict=True))
