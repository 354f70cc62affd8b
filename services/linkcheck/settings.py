"""What the operator of a worker decides. Nothing else in this service reads the environment."""

from pydantic import PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LINKCHECK_", frozen=True)

    allow_private: bool = False
    """Whether private, loopback and link-local addresses may be visited.

    Off: who may submit a task must not reach through the worker what only the worker can reach. Turn it on
    (`LINKCHECK_ALLOW_PRIVATE=true`) where submitters may see the whole inside network, such as a laptop.
    """
    per_host: PositiveInt = 4
    """Requests at a time to one host, over all tasks of the worker."""
