from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backhaul.client.sse import EventParser, Message


def messages(*chunks: bytes) -> list[Message]:
    parser = EventParser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


def test_an_event_has_the_type_data_and_id_of_its_fields() -> None:
    assert messages(b"id: 17\nevent: task.output\ndata: {}\n\n") == [Message("task.output", "{}", "17")]


def test_data_lines_are_joined_by_line_feeds() -> None:
    assert messages(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [Message("message", "YHOO\n+2\n10", "")]


def test_only_one_space_behind_the_colon_belongs_to_the_syntax() -> None:
    assert messages(b"data:test\n\ndata:  test\n\n") == [
        Message("message", "test", ""),
        Message("message", " test", ""),
    ]


def test_a_data_line_without_a_value_is_an_empty_event() -> None:
    assert messages(b"data\n\ndata\ndata\n\ndata:") == [Message("message", "", ""), Message("message", "\n", "")]


def test_comments_and_unknown_fields_say_nothing() -> None:
    assert messages(b": ping\n\nfoo: bar\ndata: x\n: y\n\n") == [Message("message", "x", "")]


def test_an_event_without_data_is_none_but_its_id_stays() -> None:
    assert messages(b"id: 4\nevent: e\n\ndata: x\n\n") == [Message("message", "x", "4")]


def test_an_id_with_a_null_character_is_ignored() -> None:
    assert messages(b"id: 1\nid: 2\x003\ndata: x\n\n") == [Message("message", "x", "1")]


def test_what_the_end_cuts_off_is_not_an_event() -> None:
    assert messages(b"data: whole\n\ndata: half\n") == [Message("message", "whole", "")]


def test_a_byte_order_mark_at_the_start_is_skipped() -> None:
    assert messages(b"\xef\xbb\xbfdata: x\n\n") == [Message("message", "x", "")]


def test_line_and_paragraph_separators_of_unicode_do_not_end_a_line() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"

    assert messages(f"data: {text}\n\n".encode()) == [Message("message", text, "")]


def test_a_carriage_return_at_the_end_of_a_chunk_completes_the_event_at_once() -> None:
    parser = EventParser()

    first = list(parser.feed(b"data: 1\r\r"))
    second = list(parser.feed(b"\ndata: 2\r\n\r\n"))

    assert [message.data for message in first + second] == ["1", "2"]
    assert len(first) == 1


def test_the_reconnection_time_is_taken_if_it_is_only_digits() -> None:
    parser = EventParser()

    assert list(parser.feed(b"retry: 2500\nretry: 3s\nretry: -1\nretry: \xd9\xa3\n\n")) == []

    assert parser.retry == timedelta(milliseconds=2500)


def test_an_absurd_reconnection_time_is_cut_to_an_hour() -> None:
    parser = EventParser()

    assert list(parser.feed(b"retry: 99999999999999999999\n")) == []

    assert parser.retry == timedelta(hours=1)


STREAM = (
    "\ufeff: hello\r\nid: 1\r\ndata: gr\u00fc\u00df\u2028e \U0001f600\r\n\r\n"
    "retry: 5\rdata: a\rdata: b\r\rdata:x\n\n\ndata: end\n\n"
)


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=12))
def test_where_the_stream_is_cut_into_chunks_makes_no_difference(cuts: list[int]) -> None:
    content = STREAM.encode()
    bounds = [0, *sorted(cuts), len(content)]

    chunks = [content[a:b] for a, b in pairwise(bounds)]

    assert messages(*chunks) == messages(content)
    assert [message.data for message in messages(content)] == ["gr\u00fc\u00df\u2028e \U0001f600", "a\nb", "x", "end"]
