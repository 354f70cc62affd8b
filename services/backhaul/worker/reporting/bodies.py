"""Reports as JSON: what follows the number of a report on the wire (`backhaul_contracts.reports`).

They are written straight to bytes, since a result that is JSON already must not be read and written again.
"""

from backhaul_contracts import codec
from backhaul_contracts.failures import Failure

STOPPED = b'"report":"stopped"'
HANDED_BACK = b'"report":"handed_back"'
RESUMED = b'"report":"resumed"'


def word(body: bytes) -> str:
    """Which report it is."""
    return body.split(b'"', 4)[3].decode()


def succeeded(result: bytes) -> bytes:
    return b'"report":"succeeded","result":' + result


def failed(failure: Failure, retry_after: float | None = None, *, still_running: bool = False) -> bytes:
    after = b"" if retry_after is None else b',"retry_after":%b' % codec.dumps(retry_after)
    running = b',"still_running":true' if still_running else b""
    return b'"report":"failed","failure":' + failure.model_dump_json().encode() + after + running


def progress(progress: bytes) -> bytes:
    return b'"report":"progress","progress":' + progress


def output(delta: bytes) -> bytes:
    return b'"report":"output","delta":' + delta


def checkpoint(value: bytes) -> bytes:
    return b'"report":"checkpoint","checkpoint":' + value


def log(level: str, message: bytes, fields: bytes) -> bytes:
    return b'"report":"log","level":"%b","message":%b,"fields":%b' % (level.encode(), message, fields)


def waiting(task_id: str, kind: str) -> bytes:
    return b'"report":"waiting","calls":[{"task_id":%b,"kind":%b}]' % (codec.dumps(task_id), codec.dumps(kind))


def abandoned(task_id: str) -> bytes:
    return b'"report":"abandoned","calls":[%b]' % codec.dumps(task_id)
