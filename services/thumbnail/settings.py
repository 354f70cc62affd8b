"""What the operator of a worker decides. Nothing else in this service reads the environment."""

from pathlib import Path

from pydantic import ByteSize, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="THUMBNAIL_", frozen=True)

    folder: Path | None = None
    """Where thumbnails are written, in a folder for each task. None: they travel in the result."""
    allow_private: bool = False
    """Whether pictures may be fetched from private, loopback and link-local addresses.

    Off: who may submit a task must not reach through the worker what only the worker can reach.
    """
    max_bytes: ByteSize = ByteSize(50 * 1024 * 1024)
    """How large a picture may be that is fetched."""
    max_pixels: PositiveInt = 50_000_000
    """How many pixels a picture may have. Unpacked, each takes 4 bytes of memory; a small file can hold billions."""
