"""The client of a Backhaul gateway: `AsyncClient`, and `Client`, which is the same and blocks."""

from backhaul.client.async_client import AsyncClient
from backhaul.client.async_task import AsyncTask
from backhaul.client.blocking import BlockingTask, Client
from backhaul.client.errors import (
    ClientError,
    Conflict,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    NotSucceeded,
    Overloaded,
    Refused,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    Unauthorized,
    UnexpectedAnswer,
)
from backhaul.client.output import Output
from backhaul_contracts.deadletters import DeadLetter
from backhaul_contracts.events import Event
from backhaul_contracts.failures import Failure
from backhaul_contracts.listings import KindInfo, QueueInfo, WorkerInfo
from backhaul_contracts.problems import Problem
from backhaul_contracts.tasks import Status, Task
from backhaul_contracts.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "AsyncClient",
    "AsyncTask",
    "BlockingTask",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "DeadLetter",
    "Event",
    "Failure",
    "InvalidRequest",
    "KindInfo",
    "NotFound",
    "NotSucceeded",
    "Output",
    "Overloaded",
    "Problem",
    "QueueInfo",
    "Refused",
    "Status",
    "Task",
    "TaskCancelled",
    "TaskExpired",
    "TaskFailed",
    "Unauthorized",
    "UnexpectedAnswer",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WorkerInfo",
]
