"""From the bytes of a picture to its thumbnails."""

import struct
import zlib

import pytest
from PIL import Image

from tests.unit.thumbnail.pictures import BLUE, RED, is_like, picture, shown, turned, written
from thumbnail.pixels import Fit, Format, Size, Unreadable, encoded, read, scaled

LIMITS = {"max_pixels": 1_000_000, "largest": 200}
FORMATS: tuple[Format, ...] = ("webp", "jpeg", "png")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_the_formats_of_pictures_are_read(format: str) -> None:
    original = read(written(picture(300, 200), format), **LIMITS)

    assert original.size == (300, 200)
    assert is_like(original.image.getpixel((5, 5)), RED)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16"])
def test_pictures_of_any_mode_become_thumbnails_of_any_format(mode: str) -> None:
    flat = Image.new(mode, (40, 20))
    original = read(written(flat, "TIFF"), **LIMITS)

    for wanted in FORMATS:
        assert shown(encoded(original.image, wanted, 80)).size == (40, 20)


@pytest.mark.parametrize(
    ("box", "fit", "size"),
    [
        ((100, 100), "contain", (100, 50)),
        ((100, 10), "contain", (20, 10)),
        ((900, 900), "contain", (400, 200)),
        ((100, 100), "cover", (100, 100)),
        ((900, 300), "cover", (900, 300)),
    ],
)
def test_a_box_holds_all_of_the_picture_or_is_filled_by_it(box: Size, fit: Fit, size: Size) -> None:
    assert scaled(picture(400, 200), box, fit).size == size


def test_what_fills_a_box_is_the_middle_of_the_picture() -> None:
    square = scaled(picture(400, 100), (100, 100), "cover")

    assert is_like(square.getpixel((10, 50)), RED)
    assert is_like(square.getpixel((90, 50)), BLUE)


@pytest.mark.parametrize(("orientation", "red_at"), [(1, (10, 100)), (3, (390, 100)), (6, (100, 10)), (8, (100, 390))])
def test_a_picture_is_turned_as_its_camera_was_held(orientation: int, red_at: Size) -> None:
    original = read(turned(picture(400, 200), orientation), max_pixels=1_000_000, largest=400)

    assert original.size == ((200, 400) if orientation > 4 else (400, 200))
    assert is_like(original.image.getpixel(red_at), RED)


def test_a_large_jpeg_is_not_unpacked_in_full() -> None:
    original = read(written(picture(800, 800), "JPEG"), max_pixels=1_000_000, largest=100)

    assert original.size == (800, 800)
    assert original.image.size == (200, 200)


def test_a_thumbnail_does_not_tell_of_the_camera() -> None:
    original = read(turned(picture(40, 20), 1), **LIMITS)

    for wanted in FORMATS:
        assert not shown(encoded(original.image, wanted, 80)).getexif()


@pytest.mark.parametrize(("format", "corner"), [("webp", 0), ("png", 0), ("jpeg", 255)])
def test_what_is_transparent_stays_so_or_becomes_white(format: Format, corner: int) -> None:
    clear = Image.new("RGBA", (40, 20), (0, 0, 0, 0))

    pixel = shown(encoded(read(written(clear, "PNG"), **LIMITS).image, format, 80)).getpixel((0, 0))

    assert isinstance(pixel, tuple)
    assert pixel[-1] == corner


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no picture that can be read here"),
        (b"not a picture", "no picture that can be read here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture that can be read here"),
        (written(picture(400, 200), "PNG")[:200], "no picture that can be read here"),
        (written(picture(1100, 1000), "PNG"), "has 1,100,000 pixels; at most 1,000,000 are read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        read(data, **LIMITS)


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(Unreadable, match="pixels"):
        read(bomb(60_000), **LIMITS)


def bomb(edge: int) -> bytes:
    """A PNG of a few hundred bytes that says it has `edge` by `edge` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))

    head = struct.pack("!IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
