"""What a gateway's answer means: a value of a contract, or an error."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from backhaul.client.errors import ClientError, UnexpectedAnswer, refusal
from backhaul_contracts.problems import PROBLEM_JSON, Problem

M = TypeVar("M", bound=BaseModel)


def value(model: type[M], response: httpx.Response) -> M:
    """The body as `model`. Raises `UnexpectedAnswer` if it is not one."""
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise unexpected(response, f"no {model.__name__.lower()} that this client can read") from error


def unexpected(response: httpx.Response, answer: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{response.request.method} {response.url}", f"{response.status_code} and {answer}")


def error(response: httpx.Response) -> ClientError:
    """The error for an answer that is no success."""
    if response.is_redirect:
        return unexpected(response, f"a redirect to {response.headers.get('Location', 'nowhere')}")
    return refusal(_problem(response), retry_after(response))


def retry_after(response: httpx.Response) -> timedelta:
    """What `Retry-After` asks for, as seconds or a date (RFC 9110 §10.2.3); 0 if nothing."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return timedelta(seconds=int(text))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return timedelta(0)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(timedelta(0), moment - datetime.now(UTC))


def _problem(response: httpx.Response) -> Problem:
    if response.headers.get("Content-Type", "").startswith(PROBLEM_JSON):
        return value(Problem, response)
    # A proxy between: RFC 9457 §4.2.1 says how to name what has nothing but a status.
    title = f"{response.status_code} {response.reason_phrase}".strip()
    return Problem(
        type="about:blank",
        title=title,
        status=response.status_code,
        code="unexpected_answer",
        detail=f"{response.request.method} {response.url} was answered with {title}, not by a Backhaul gateway",
    )
