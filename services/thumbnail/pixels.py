"""From the bytes of a picture to the pixels of its thumbnails."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import ExifTags, Image, ImageCms, ImageOps

Fit = Literal["contain", "cover"]
Format = Literal["webp", "jpeg", "png"]
Size = tuple[int, int]

READ = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")  # pictures alone: PDF and PostScript would run programs
EXTENSIONS: dict[Format, str] = {"webp": "webp", "jpeg": "jpg", "png": "png"}
LYING = (5, 6, 7, 8)  # values of the EXIF orientation that turn a picture by a quarter
_SRGB = ImageCms.createProfile("sRGB")


class Unreadable(Exception):
    """The bytes are no picture that can be read, or one too large. The message is for the client."""


@dataclass(frozen=True, slots=True)
class Original:
    """A picture, upright, in sRGB, as RGB or RGBA. `size` is its full one; `image` may be smaller already."""

    image: Image.Image
    size: Size


def read(data: bytes, *, max_pixels: int, largest: int) -> Original:
    """The picture, with all that thumbnails need of at most `largest` pixels at an edge. Raises `Unreadable`."""
    try:
        return _read(data, max_pixels, largest)
    except Image.DecompressionBombError as error:
        raise Unreadable(f"The picture has more than {max_pixels:,} pixels.") from error
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow's readers raise
        raise Unreadable(f"This is no picture that can be read here: {error}.") from error


def _read(data: bytes, max_pixels: int, largest: int) -> Original:
    image = Image.open(BytesIO(data), formats=READ)  # reads the head alone: the size is known before it takes memory
    if image.width * image.height > max_pixels:
        raise Unreadable(f"The picture has {image.width * image.height:,} pixels; at most {max_pixels:,} are read.")
    lying = image.getexif().get(ExifTags.Base.Orientation, 1) in LYING
    size = (image.height, image.width) if lying else image.size
    image.draft("RGB", (2 * largest, 2 * largest))  # a JPEG is unpacked at a half, a quarter or an eighth at once
    return Original(_in_srgb(ImageOps.exif_transpose(image)), size)


def scaled(image: Image.Image, box: Size, fit: Fit) -> Image.Image:
    """`contain`: the whole picture within the box, never enlarged. `cover`: the box, filled from the middle."""
    if fit == "cover":
        return ImageOps.fit(image, box, Image.Resampling.LANCZOS)
    small = image.copy()
    small.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small


def encoded(image: Image.Image, format: Format, quality: int) -> bytes:
    """A file, without the metadata of the original: whoever shows a thumbnail need not show where it was taken."""
    file = BytesIO()
    _WRITERS[format](image, file, quality)
    return file.getvalue()


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if profile is None or image.mode not in ("RGB", "CMYK"):
        return image.convert(mode)
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # a profile that does not fit: take the numbers as they are
        return image.convert(mode)
    return (converted or image).convert(mode)


def _write_webp(image: Image.Image, file: BytesIO, quality: int) -> None:
    image.save(file, "WEBP", quality=quality)


def _write_jpeg(image: Image.Image, file: BytesIO, quality: int) -> None:
    flat = image
    if image.mode == "RGBA":
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A"))
    flat.save(file, "JPEG", quality=quality, optimize=True, progressive=True)


def _write_png(image: Image.Image, file: BytesIO, quality: int) -> None:
    image.save(file, "PNG", optimize=True)


_WRITERS: dict[Format, Callable[[Image.Image, BytesIO, int], None]] = {
    "webp": _write_webp,
    "jpeg": _write_jpeg,
    "png": _write_png,
}
