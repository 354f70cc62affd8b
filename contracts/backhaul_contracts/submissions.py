"""What a client writes: the bodies of `POST /v1/tasks`, of its batch, and of a cancel."""

from datetime import timedelta
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from backhaul_contracts.webhooks import TaskWebhook
from backhaul_contracts.wire import Duration, Json, Key, Metadata, Moment, Priority, Strict, TaskIdText, Text

MOST_METADATA = 50


class SubmitTask(Strict):
    """One task to be done. The same body travels as `data` of a `dev.backhaul.task.submit` CloudEvent."""

    kind: Text = Field(max_length=200)
    input: Json = None
    key: Key | None = None
    queue: Text | None = Field(default=None, max_length=100)
    priority: Priority = 0
    run_at: Moment | None = None
    delay: Duration | None = None
    expires_in: Duration | None = None
    timeout: Duration | None = None
    max_attempts: int | None = Field(default=None, ge=1, le=1000, strict=True)
    metadata: Metadata = Field(default_factory=dict, max_length=MOST_METADATA)
    parent_id: TaskIdText | None = None
    webhook: TaskWebhook | None = None

    @field_validator("timeout")
    @classmethod
    def _time_to_work(cls, timeout: timedelta | None) -> timedelta | None:
        if timeout is not None and timeout < timedelta(milliseconds=1):
            raise ValueError("a timeout is at least a millisecond; leave it out for that of the kind")
        return timeout

    @model_validator(mode="after")
    def _one_time_to_run_at(self) -> Self:
        if self.run_at is not None and self.delay is not None:
            raise ValueError("give run_at or delay, not both")
        return self


class SubmitBatch(Strict):
    """Up to 1,000 tasks; each is judged by itself, so they are read one by one."""

    tasks: list[Any] = Field(min_length=1, max_length=1000)


class CancelTask(Strict):
    """Why, and how long the running attempt may take to stop."""

    reason: Text | None = Field(default=None, max_length=1000)
    grace: Duration | None = None


class ReplayTask(Strict):
    """A new task like an earlier one; `input`, if it is there, takes the place of the earlier one's."""

    input: Json = None
