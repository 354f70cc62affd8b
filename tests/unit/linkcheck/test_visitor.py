"""What is found where a link leads, on real sockets."""

import asyncio
from datetime import timedelta

import pytest

from linkcheck.finding import Fault, Finding, Redirect
from linkcheck.visitor import MAX_REDIRECTS, Visitor
from tests.unit.linkcheck.site import Site, answer, hang_up, silence

PATIENCE = timedelta(seconds=10)


async def visit(visitor: Visitor, url: str, patience: timedelta = PATIENCE) -> Finding:
    return await visitor.visit(url, patience, asyncio.Semaphore(10))


async def test_a_page_is_asked_for_its_head_only(site: Site, visitor: Visitor) -> None:
    url = site.answers("/page", 200)

    finding = await visit(visitor, url)

    assert finding == Finding(
        url=url, ok=True, status=200, final_url=url, redirects=[], elapsed=finding.elapsed, error=None
    )
    assert 0 < finding.elapsed < 10
    assert site.requests == ["HEAD /page"]


@pytest.mark.parametrize("status", [404, 410, 500])
async def test_an_answer_from_400_on_is_a_broken_link_without_an_error(
    status: int, site: Site, visitor: Visitor
) -> None:
    finding = await visit(visitor, site.answers("/", status))

    assert (finding.ok, finding.status, finding.error) == (False, status, None)


@pytest.mark.parametrize("refusal", [405, 501])
async def test_a_site_that_refuses_head_is_asked_with_get_but_its_body_is_not_read(
    refusal: int, site: Site, visitor: Visitor
) -> None:
    async def endless(method: str) -> bytes:
        return (
            await answer(refusal) if method == "HEAD" else b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n..."
        )

    finding = await visit(visitor, site.behaves("/", endless))

    assert finding.ok
    assert site.requests == ["HEAD /", "GET /"]


async def test_redirects_are_followed_and_recorded(site: Site, visitor: Visitor) -> None:
    start = site.answers("/a", 301, location="/b")
    middle = site.answers("/b", 307, location="/c")
    end = site.answers("/c")

    finding = await visit(visitor, start)

    assert finding.ok
    assert finding.redirects == [Redirect(status=301, url=middle), Redirect(status=307, url=end)]
    assert finding.final_url == end


async def test_redirects_in_a_circle_come_to_an_end(site: Site, visitor: Visitor) -> None:
    finding = await visit(visitor, site.answers("/", 302, location="/"))

    assert finding.error
    assert finding.error.code is Fault.TOO_MANY_REDIRECTS
    assert len(site.requests) == MAX_REDIRECTS + 1


async def test_a_silent_page_is_given_up_after_the_patience(site: Site, visitor: Visitor) -> None:
    finding = await visit(visitor, site.behaves("/", silence), timedelta(milliseconds=50))

    assert finding.error
    assert finding.error.code is Fault.TIMED_OUT
    assert site.requests == ["HEAD /"]


async def test_a_lost_connection_is_tried_once_more(site: Site, visitor: Visitor) -> None:
    async def hang_up_first(method: str) -> bytes:
        return await (hang_up(method) if len(site.requests) == 1 else answer(200))

    finding = await visit(visitor, site.behaves("/", hang_up_first))

    assert finding.ok
    assert site.requests == ["HEAD /", "HEAD /"]


async def test_a_connection_lost_twice_is_a_bad_answer(site: Site, visitor: Visitor) -> None:
    finding = await visit(visitor, site.behaves("/", hang_up))

    assert finding.error
    assert finding.error.code is Fault.BAD_ANSWER
    assert len(site.requests) == 2


async def test_no_more_requests_go_to_a_host_at_a_time_than_allowed(site: Site, visitor: Visitor) -> None:
    pair = asyncio.Barrier(2)
    under_way: list[int] = []

    async def in_pairs(_: str) -> bytes:
        async with pair:
            under_way.append(len(site.requests))
        return await answer(200)

    urls = [site.behaves(f"/{number}", in_pairs) for number in range(10)]
    findings = await asyncio.gather(*(visit(visitor, url) for url in urls))

    assert all(finding.ok for finding in findings)
    assert under_way == [2, 2, 4, 4, 6, 6, 8, 8, 10, 10]


async def test_cookies_of_one_visit_are_not_shown_to_the_next(site: Site, visitor: Visitor) -> None:
    url = site.answers("/", 200, set_cookie="name=value; Path=/")

    await visit(visitor, url)
    await visit(visitor, url)

    assert ["cookie" in headers for headers in site.headers] == [False, False]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://", Fault.BAD_URL),
        ("http://[::1", Fault.BAD_URL),
        ("http://host:port/", Fault.BAD_URL),
        ("http://127.0.0.1:99999/", Fault.BAD_URL),
        ("http://xn--/", Fault.BAD_URL),
        ("ftp://127.0.0.1/", Fault.BAD_URL),
        ("http://" + "a" * 64 + ".example/", Fault.UNKNOWN_HOST),
        ("http://127.0.0.1:1/", Fault.NO_CONNECTION),
    ],
)
async def test_what_cannot_be_visited_is_found_out_and_named(url: str, fault: Fault, visitor: Visitor) -> None:
    finding = await visit(visitor, url)

    assert finding.error
    assert finding.error.code is fault
    assert finding.error.detail
    assert (finding.ok, finding.status) == (False, None)


async def test_a_host_that_speaks_no_tls_is_named(visitor: Visitor) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        finding = await visit(visitor, f"https://127.0.0.1:{port}/")

    assert finding.error
    assert finding.error.code is Fault.TLS_FAILED


async def test_a_redirect_to_an_impossible_address_is_a_finding(site: Site, visitor: Visitor) -> None:
    finding = await visit(visitor, site.answers("/", 302, location="http://xn--/"))

    assert finding.error
    assert finding.error.code is Fault.BAD_URL
