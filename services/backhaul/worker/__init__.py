"""The service kit: what a service is made of, and the worker that runs it."""

from backhaul.worker.attempts.context import Context
from backhaul.worker.kit.loading import load_service, load_services
from backhaul.worker.kit.retry_policy import RetryPolicy
from backhaul.worker.kit.service import Service
from backhaul.worker.worker import Worker, WorkerView

__all__ = ["Context", "RetryPolicy", "Service", "Worker", "WorkerView", "load_service", "load_services"]
