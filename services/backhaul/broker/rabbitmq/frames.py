"""The bytes of the few frames that carry nearly all traffic; rarer ones are left to pamqp.

Layout: AMQP 0-9-1, sections 2.3.5 (framing) and 4.2.6 (content), method numbers from its XML definition.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from pamqp import encode
from pamqp.common import FieldTable

from backhaul.core.ports.broker import HeaderValue, Message

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
FRAME_END: Final = b"\xce"
FRAME_OVERHEAD: Final = 8
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"

CONNECTION_CLOSE: Final = (10 << 16) | 50
CONNECTION_BLOCKED: Final = (10 << 16) | 60
CONNECTION_UNBLOCKED: Final = (10 << 16) | 61
CHANNEL_CLOSE: Final = (20 << 16) | 40
CHANNEL_CLOSE_OK: Final = (20 << 16) | 41
BASIC_CANCEL: Final = (60 << 16) | 30
BASIC_PUBLISH: Final = (60 << 16) | 40
BASIC_RETURN: Final = (60 << 16) | 50
BASIC_DELIVER: Final = (60 << 16) | 60
BASIC_GET_OK: Final = (60 << 16) | 71
BASIC_ACK: Final = (60 << 16) | 80
BASIC_REJECT: Final = (60 << 16) | 90
BASIC_NACK: Final = (60 << 16) | 120

_BASIC_CLASS: Final = 60
_CONTENT_TYPE: Final = 1 << 15
_CONTENT_ENCODING: Final = 1 << 14
_HEADERS: Final = 1 << 13
_DELIVERY_MODE: Final = 1 << 12
_PRIORITY: Final = 1 << 11
_CORRELATION_ID: Final = 1 << 10
_REPLY_TO: Final = 1 << 9
_EXPIRATION: Final = 1 << 8
_MESSAGE_ID: Final = 1 << 7
_TIMESTAMP: Final = 1 << 6
_TYPE: Final = 1 << 5
_APP_ID: Final = 1 << 3

frame_start = Struct(">BHI").unpack_from
"""Kind, channel number and size of the frame that starts at an offset."""
method_number = Struct(">I").unpack_from
body_size = Struct(">4xQ").unpack_from
"""The size of the whole body, from the payload of a header frame."""
delivery_tag = Struct(">Q").unpack_from

_start = Struct(">BHI").pack
_publish = Struct(">IH").pack
_content = Struct(">BHIHHQH").pack
_CONTENT_FIXED = 14
_settle = Struct(">BHIIQBB").pack
_SETTLE_SIZE = 13
_MULTIPLE, _REQUEUE = 1, 2


def ack_frame(channel: int, tag: int, *, multiple: bool) -> bytes:
    """`basic.ack` of one delivery, or of all up to it."""
    return _settle(METHOD, channel, _SETTLE_SIZE, BASIC_ACK, tag, multiple, FRAME_END[0])


def requeue_frame(channel: int, tag: int) -> bytes:
    """`basic.reject` with requeue: from RabbitMQ 4.3 a nack no longer counts towards the delivery limit."""
    return _settle(METHOD, channel, _SETTLE_SIZE, BASIC_REJECT, tag, True, FRAME_END[0])


def return_frame(channel: int, tag: int) -> bytes:
    """`basic.nack` with requeue of all deliveries up to one."""
    return _settle(METHOD, channel, _SETTLE_SIZE, BASIC_NACK, tag, _MULTIPLE | _REQUEUE, FRAME_END[0])


def publish_frames(channel: int, message: Message, frame_max: int) -> bytes:
    """One message as it goes over the wire: method, header, and as many body frames as it takes.

    Raises `ValueError` if a text is too long for AMQP.
    """
    body = message.body
    method = _publish_method(channel, message.exchange, message.routing_key, message.mandatory)
    flags, properties = _properties(message)
    size = _CONTENT_FIXED + len(properties)
    header = _content(HEADER, channel, size, _BASIC_CLASS, 0, len(body), flags)
    largest = frame_max - FRAME_OVERHEAD
    if not body:
        return b"".join((method, header, properties, FRAME_END))
    if len(body) <= largest:
        start = _start(BODY, channel, len(body))
        return b"".join((method, header, properties, FRAME_END, start, body, FRAME_END))
    pieces = (body[at : at + largest] for at in range(0, len(body), largest))
    split = (part for piece in pieces for part in (_start(BODY, channel, len(piece)), piece, FRAME_END))
    return b"".join((method, header, properties, FRAME_END, *split))


@lru_cache(maxsize=1024)
def _publish_method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    names = _short("exchange", exchange) + _short("routing key", routing_key)
    payload = _publish(BASIC_PUBLISH, 0) + names + bytes((mandatory,))
    return _start(METHOD, channel, len(payload)) + payload + FRAME_END


def _properties(message: Message) -> tuple[int, bytes]:
    flags, parts = _content_properties(message)
    if message.headers or message.copies_to:
        flags |= _HEADERS
        parts.append(encode.field_table(_table(message.headers, message.copies_to)))
    parts.append(b"\x02" if message.persistent else b"\x01")
    if message.priority is not None:
        flags |= _PRIORITY
        parts.append(bytes((message.priority,)))
    if message.correlation_id is not None:
        flags |= _CORRELATION_ID
        parts.append(_short("correlation id", message.correlation_id))
    if message.reply_to is not None:
        flags |= _REPLY_TO
        parts.append(_short("reply-to", message.reply_to))
    if message.expiration is not None:
        flags |= _EXPIRATION
        parts.append(_short("expiration", str(int(message.expiration.total_seconds() * 1000))))
    if message.message_id is not None:
        flags |= _MESSAGE_ID
        parts.append(_short("message id", message.message_id))
    described, description = _description(message)
    return flags | described, b"".join((*parts, description))


def _content_properties(message: Message) -> tuple[int, list[bytes]]:
    flags, parts = _DELIVERY_MODE, []
    if message.content_type:
        flags |= _CONTENT_TYPE
        parts.append(_short("content type", message.content_type))
    if message.content_encoding is not None:
        flags |= _CONTENT_ENCODING
        parts.append(_short("content encoding", message.content_encoding))
    return flags, parts


def _description(message: Message) -> tuple[int, bytes]:
    """The properties at the end of the list, which only foreign producers set."""
    flags, parts = 0, []
    if message.timestamp is not None:
        flags |= _TIMESTAMP
        parts.append(encode.timestamp(message.timestamp))
    if message.type is not None:
        flags |= _TYPE
        parts.append(_short("type", message.type))
    if message.app_id is not None:
        flags |= _APP_ID
        parts.append(_short("app id", message.app_id))
    return flags, b"".join(parts)


def _table(headers: Mapping[str, HeaderValue], copies_to: tuple[str, ...]) -> FieldTable:
    table: FieldTable = {name: _field(value) for name, value in headers.items()}
    if copies_to:
        table["CC"] = list(copies_to)
    return table


def _field(value: Any) -> Any:
    """What pamqp reads as `bytes` it writes only as a `bytearray`."""
    if isinstance(value, bytes):
        return bytearray(value)
    if isinstance(value, list):
        return [_field(item) for item in value]
    return {name: _field(item) for name, item in value.items()} if isinstance(value, dict) else value


def _short(what: str, text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"a {what} of {len(data)} bytes: AMQP carries at most 255")
    return bytes((len(data),)) + data


def short_text(data: bytes, at: int) -> tuple[str, int]:
    """The short string at an offset, and the offset behind it. AMQP promises no encoding: never fails on one."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end
