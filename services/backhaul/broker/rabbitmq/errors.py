"""What goes wrong between us and RabbitMQ, and how it is told to people."""

from dataclasses import dataclass

from aiormq.exceptions import AMQPError
from pamqp.commands import Connection
from yarl import URL

from backhaul.core.errors import BrokerUnavailable, TurnedAway

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
NOT_ALLOWED = 530

# How OpenSSL calls it, in whatever error it comes.
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_NO_TLS = "WRONG_VERSION_NUMBER"
_TLS_ALERT = b"\x15\x03"
"""How a TLS server begins to say that it has understood nothing."""


class UnreadableFile(Exception):
    """A certificate or key that the URL names cannot be read."""


CONNECT_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError, UnreadableFile)
"""What opening a connection by aiormq may raise (`RuntimeError`: it closed itself meanwhile)."""


class ChannelLost(Exception):
    """A channel has ended: closed by the broker for a reason of its own (`code`), or with its connection (None)."""

    def __init__(self, code: int | None, text: str) -> None:
        super().__init__(text if code is None else f"{code} {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection could not be opened."""

    message: str
    """One sentence for operators: which broker, what happened, what to do."""
    reason: str | None = None
    """Why trying again is of no use until somebody changes something: a few words that strangers may read. None: it may
    be of use."""

    @property
    def final(self) -> bool:
        return self.reason is not None

    def error(self) -> BrokerUnavailable:
        return TurnedAway(self.message) if self.final else BrokerUnavailable(self.message)


def refusal(
    url: URL, error: BaseException, farewell: Connection.Close | None = None, foreign: bytes | None = None
) -> Refusal:
    """`farewell`: how the broker closed the connection, if it did; `foreign`: what was heard that is no AMQP."""
    broker = f"RabbitMQ at {redacted(url)}"
    if farewell is not None and (refused := _refused(url, broker, farewell)) is not None:
        return refused
    if (wrong := _misdirected(broker, error, foreign)) is not None:
        return wrong
    if _UNTRUSTED in str(error):
        return _untrusted(broker, error)
    if isinstance(error, TimeoutError):
        happened = "does not answer"
    elif isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower():
        happened = "refuses the connection"
    elif isinstance(error, AMQPError | ConnectionResetError) and farewell is None:
        happened = "hangs up before the handshake is over"  # as a proxy does behind which nobody listens yet
    else:
        text = farewell.reply_text if farewell is not None else ""
        happened = f"cannot be reached ({text or str(error) or type(error).__name__})"
    return Refusal(f"{broker} {happened}: start it, or correct BACKHAUL_AMQP_URL")


def _refused(url: URL, broker: str, farewell: Connection.Close) -> Refusal | None:
    """It is RabbitMQ, and it does not want us."""
    if farewell.reply_code == ACCESS_REFUSED:
        return Refusal(
            f"{broker} does not accept user {url.user or 'guest'!r} with this password: "
            "correct BACKHAUL_AMQP_URL, or create the user with `rabbitmqctl add_user`",
            "it does not accept our user and password",
        )
    if farewell.reply_code == NOT_ALLOWED and "limit" not in farewell.reply_text:  # of connections: others will go
        return Refusal(
            f"{broker} refuses the vhost ({farewell.reply_text}): create it with `rabbitmqctl add_vhost` "
            "and grant access with `rabbitmqctl set_permissions`",
            "it does not let us into the vhost",
        )
    return None


def _misdirected(broker: str, error: BaseException, foreign: bytes | None) -> Refusal | None:
    """The URL is wrong in a way that shows."""
    if isinstance(error, UnreadableFile):
        return Refusal(
            f"{broker} cannot be asked, for a certificate or key of ours cannot be read ({error}): correct cafile, "
            "certfile or keyfile in BACKHAUL_AMQP_URL",
            "our certificates cannot be read",
        )
    if _NO_TLS in str(error):
        return Refusal(
            f"{broker} speaks no TLS on this port: write amqp:// in BACKHAUL_AMQP_URL, or the port of its TLS listener "
            "(5671)",
            "it speaks no TLS",
        )
    if foreign is None:
        return None
    if foreign.startswith(_TLS_ALERT):
        return Refusal(
            f"{broker} expects TLS on this port: write amqps:// in BACKHAUL_AMQP_URL, or the port of its plain "
            "listener (5672)",
            "it expects TLS",
        )
    return Refusal(
        f"{broker} does not speak AMQP 0-9-1 (it says {foreign!r}): correct host and port in BACKHAUL_AMQP_URL",
        "it does not speak AMQP",
    )


def _untrusted(broker: str, error: BaseException) -> Refusal:
    told = str(error)
    if "expired" in told or "not yet valid" in told:
        remedy = "renew it, and look at the clocks of both machines"
    elif "mismatch" in told:
        remedy = "write a name in BACKHAUL_AMQP_URL that stands in it, or give it this one"
    else:
        remedy = "add ?cafile=FILE to BACKHAUL_AMQP_URL, with the certificate of its authority"
    return Refusal(
        f"{broker} shows a certificate that is not trusted here ({_shortly(told)}): {remedy}",
        "its certificate is not trusted",
    )


def _shortly(told: str) -> str:
    """What OpenSSL says, without where in its sources it says so."""
    return told.partition("verify failed: ")[2].partition(" (_ssl.c")[0].rstrip(".") or told


def redacted(url: URL) -> str:
    """The URL without its password and options."""
    shown = url.with_query(None)
    return str(shown.with_password("***") if shown.password is not None else shown)
