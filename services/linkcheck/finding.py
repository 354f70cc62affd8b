"""What is known about a link once it was visited."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Fault(StrEnum):
    """Why there is no answer to judge by."""

    BAD_URL = "bad_url"
    UNKNOWN_HOST = "unknown_host"
    REFUSED_ADDRESS = "refused_address"
    NO_CONNECTION = "no_connection"
    TLS_FAILED = "tls_failed"
    BAD_ANSWER = "bad_answer"
    TIMED_OUT = "timed_out"
    TOO_MANY_REDIRECTS = "too_many_redirects"


class Trouble(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: Fault
    detail: str


class Redirect(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: int
    url: Annotated[str, Field(description="where it led")]


class Finding(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: Annotated[str, Field(description="the link as it was given")]
    ok: Annotated[bool, Field(description="whether it led to an answer below 400")]
    status: Annotated[int | None, Field(description="of the last answer, if there was one")]
    final_url: Annotated[str, Field(description="where the redirects ended")]
    redirects: list[Redirect]
    elapsed: Annotated[float, Field(description="seconds from asking to being answered, without waiting for a turn")]
    error: Trouble | None
