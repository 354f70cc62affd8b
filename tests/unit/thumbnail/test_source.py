"""Where a picture comes from, and where it must not come from."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from backhaul.network import is_public
from thumbnail.source import Refused, Unavailable, decode, fetch


class Site(BaseHTTPRequestHandler):
    """Answers by path: a status, or a number of bytes."""

    def do_GET(self) -> None:
        what, _, more = self.path.strip("/").partition("/")
        if what == "bytes":
            self.send_response(200)
            self.send_header("Content-Length", more)
            self.end_headers()
            self.wfile.write(b"x" * int(more))
        elif what == "endless":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 5000)
        else:
            self.send_response(int(what))
            self.send_header("Location", more if "://" in more else f"/{more}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing between the lines of the tests."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetched(url: str, *, allow_private: bool = True, told: list[int] | None = None) -> bytes:
    def tell(come: int, length: int | None) -> None:
        if told is not None:
            told.append(come)

    return fetch(url, max_bytes=1000, allow_private=allow_private, tell=tell)


def test_an_image_comes_in_base64_or_as_a_data_url() -> None:
    assert decode("aGVsbG8=") == b"hello"
    assert decode("data:image/png;base64,aGVsbG8=") == b"hello"


@pytest.mark.parametrize("text", ["hello!", "data:image/svg+xml,<svg/>", "aGVsbG8=\n", "a"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="base64"):
        decode(text)


def test_a_picture_is_fetched_and_its_bytes_are_counted(site: str) -> None:
    told: list[int] = []

    body = fetched(f"{site}/bytes/1000", told=told)

    assert body == b"x" * 1000
    assert told[-1] == 1000


def test_redirects_are_followed(site: str) -> None:
    assert fetched(f"{site}/302/301/bytes/5") == b"xxxxx"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("bytes/1001", "larger than 1,000 bytes"),
        ("endless", "larger than 1,000 bytes"),
        ("404", "answers 404"),
        ("302/302/302/302/302/302/bytes/5", "more than 5 redirects"),
    ],
)
def test_what_will_never_be_a_picture_is_refused(site: str, path: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        fetched(f"{site}/{path}")


@pytest.mark.parametrize(("url", "sentence"), [("{site}/503", "answers 503"), ("http://127.0.0.1:1/", "as it should")])
def test_what_may_come_later_is_unavailable(site: str, url: str, sentence: str) -> None:
    with pytest.raises(Unavailable, match=sentence):
        fetched(url.format(site=site))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_the_inside_network_is_not_visited(host: str) -> None:
    with pytest.raises(Refused, match="not on the public internet"):
        fetched(f"http://{host}:9/", allow_private=False)


@pytest.mark.parametrize("target", ["file://etc/passwd", "http://[::", "http://x:0x50/"])
def test_a_redirect_leads_nowhere_but_to_another_page(site: str, target: str) -> None:
    with pytest.raises(Refused, match="no http or https address"):
        fetched(f"{site}/302/{target}")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fd00::1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public
