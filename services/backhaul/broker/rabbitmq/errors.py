"""What goes wrong between us and RabbitMQ, and how it is told to people."""

from dataclasses import dataclass

from aiormq.exceptions import AMQPError
from pamqp.commands import Connection
from yarl import URL

from backhaul.core.errors import BrokerUnavailable

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
NOT_ALLOWED = 530

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""How OpenSSL calls it, in whatever error it comes."""

CONNECT_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What opening a connection by aiormq may raise (`RuntimeError`: it closed itself meanwhile)."""


class ChannelLost(Exception):
    """A channel has ended: closed by the broker for a reason of its own (`code`), or with its connection (None)."""

    def __init__(self, code: int | None, text: str) -> None:
        super().__init__(text if code is None else f"{code} {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection could not be opened. `final`: trying again is of no use until somebody changes something."""

    message: str
    final: bool

    def error(self) -> BrokerUnavailable:
        return BrokerUnavailable(self.message)


def refusal(url: URL, error: BaseException, farewell: Connection.Close | None) -> Refusal:
    """One sentence for people: which broker, what happened, what to do."""
    broker = redacted(url)
    code = farewell.reply_code if farewell is not None else None
    text = farewell.reply_text if farewell is not None else ""
    if code == ACCESS_REFUSED:
        return Refusal(
            f"RabbitMQ at {broker} does not accept user {url.user or 'guest'!r} with this password: "
            "correct BACKHAUL_AMQP_URL, or create the user with `rabbitmqctl add_user`",
            final=True,
        )
    if code == NOT_ALLOWED and "limit" not in text:  # a limit of connections: others will go
        return Refusal(
            f"RabbitMQ at {broker} refuses the vhost ({text}): create it with `rabbitmqctl add_vhost` "
            "and grant access with `rabbitmqctl set_permissions`",
            final=True,
        )
    if _UNTRUSTED in str(error):
        return Refusal(
            f"RabbitMQ at {broker} shows a certificate that is not trusted here ({error}): add ?cafile=FILE to "
            "BACKHAUL_AMQP_URL, with the certificate of its authority",
            final=True,
        )
    if isinstance(error, TimeoutError):
        happened = "does not answer"
    elif isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower():
        happened = "refuses the connection"
    else:
        happened = f"cannot be reached ({text or str(error) or type(error).__name__})"
    return Refusal(f"RabbitMQ at {broker} {happened}: start it, or correct BACKHAUL_AMQP_URL", final=False)


def redacted(url: URL) -> str:
    """The URL without its password and options."""
    shown = url.with_query(None)
    return str(shown.with_password("***") if shown.password is not None else shown)
