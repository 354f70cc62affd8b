"""The calls of the HTTP API for webhooks: where each leads, and what it asks for and answers."""

from functools import partial

from backhaul.core.apikeys import Scope
from backhaul.gateway.api.endpoints import MOST, Endpoints
from backhaul.gateway.api.routes import JSON, Endpoint, Operation, in_path, query
from backhaul.gateway.api.sent import Sent
from backhaul.gateway.gateway import Gateway
from backhaul_contracts.webhooks import (
    ChangedWebhookEndpoint,
    NewWebhookEndpoint,
    RotatedWebhookSecret,
    WebhookDelivery,
    WebhookDeliveryPage,
    WebhookEndpoint,
    WebhookEndpointPage,
)

_TEXT = {"type": "string"}
_ENDPOINT = in_path("endpoint_id", "`whe_` and 26 characters.")
_DELIVERY = in_path("delivery_id", "`whd_` and 26 characters: the `webhook-id` it is sent with.")
_TASK = in_path("task_id", "`tsk_` and 26 characters.")
_PAGE = (
    query("limit", "", {"type": "integer", "minimum": 1, "maximum": MOST, "default": MOST // 2}),
    query("cursor", "`next_cursor` of the page before.", _TEXT),
)
_ONE = {JSON: WebhookEndpoint}
_SHOWN = {200: ("The endpoint.", _ONE)}
_DELIVERIES = {200: ("A page of deliveries.", {JSON: WebhookDeliveryPage})}
_AGAIN = {202: ("It is tried now, and then by the schedule.", {JSON: WebhookDelivery})}

_call = partial(Operation, tag="webhooks")
_reading = partial(_call, scope=Scope.READ)
_changing = partial(_call, scope=Scope.ADMIN)
_sending_again = partial(_call, scope=Scope.SUBMIT, answers=_AGAIN, problems=(404, 409))

ADD = _changing(
    summary="Register an endpoint",
    description="It gets the events of all tasks of the tenant from now on, signed with its `secret`.",
    body=NewWebhookEndpoint,
    answers={201: ("The endpoint with its secret, which is shown this once.", _ONE)},
    problems=(409,),
)
LIST = _reading(
    summary="List endpoints, newest first",
    parameters=_PAGE,
    answers={200: ("A page of endpoints.", {JSON: WebhookEndpointPage})},
)
SHOW = _reading(summary="Show an endpoint", parameters=(_ENDPOINT,), answers=_SHOWN, problems=(404,))
CHANGE = _changing(
    summary="Change, disable or enable an endpoint",
    description="What is left out stays. What is on its way to an endpoint that is disabled has failed.",
    body=ChangedWebhookEndpoint,
    parameters=(_ENDPOINT,),
    answers=_SHOWN,
    problems=(404,),
)
ROTATE = _changing(
    summary="Replace the secret of an endpoint",
    description="For the length of `overlap` both secrets sign, so that receivers can change over at any moment.",
    body=RotatedWebhookSecret,
    body_required=False,
    parameters=(_ENDPOINT,),
    answers={200: ("The endpoint with its new secret, which is shown this once.", _ONE)},
    problems=(404,),
)
REMOVE = _changing(
    summary="Remove an endpoint",
    parameters=(_ENDPOINT,),
    answers={204: ("It is gone, with its deliveries.", {})},
    problems=(404,),
)
TEST = _changing(
    summary="Send a test to an endpoint",
    description="One try, of an event `webhook.test`.",
    parameters=(_ENDPOINT,),
    answers={202: ("Its delivery, on its way.", {JSON: WebhookDelivery})},
    problems=(404, 409),
)
OF_ENDPOINT = _reading(
    summary="List what was sent to an endpoint, newest first",
    parameters=(_ENDPOINT, *_PAGE),
    answers=_DELIVERIES,
    problems=(404,),
)
OF_TASK = _reading(
    summary="List what was sent of a task, newest first",
    description="To its own webhook and to endpoints.",
    parameters=(_TASK, *_PAGE),
    answers=_DELIVERIES,
    problems=(404, 410),
)
AGAIN_TO_ENDPOINT = _sending_again(summary="Send a delivery again", parameters=(_ENDPOINT, _DELIVERY))
AGAIN_OF_TASK = _sending_again(summary="Send a delivery of a task again", parameters=(_TASK, _DELIVERY))


def webhook_calls(gateway: Gateway) -> list[tuple[str, str, Endpoint, Operation]]:
    """Method, path, endpoint and description of each."""
    endpoints, sent = Endpoints(gateway), Sent(gateway)
    one = "/v1/webhook-endpoints/{endpoint_id}"
    return [
        ("GET", "/v1/tasks/{task_id}/deliveries", sent.task_deliveries, OF_TASK),
        ("POST", "/v1/tasks/{task_id}/deliveries/{delivery_id}/redeliver", sent.redeliver_of_task, AGAIN_OF_TASK),
        ("POST", "/v1/webhook-endpoints", endpoints.add_endpoint, ADD),
        ("GET", "/v1/webhook-endpoints", endpoints.list_endpoints, LIST),
        ("GET", one, endpoints.endpoint, SHOW),
        ("PATCH", one, endpoints.change_endpoint, CHANGE),
        ("DELETE", one, endpoints.remove_endpoint, REMOVE),
        ("POST", f"{one}/rotate-secret", endpoints.rotate_secret, ROTATE),
        ("POST", f"{one}/test", endpoints.test_endpoint, TEST),
        ("GET", f"{one}/deliveries", sent.endpoint_deliveries, OF_ENDPOINT),
        ("POST", f"{one}/deliveries/{{delivery_id}}/redeliver", sent.redeliver_to_endpoint, AGAIN_TO_ENDPOINT),
    ]
