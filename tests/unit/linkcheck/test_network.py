"""Which addresses may be visited, decided on the address that is connected to."""

import asyncio
import socket
from datetime import timedelta
from ipaddress import ip_address

import pytest

from backhaul import network
from backhaul.network import is_public
from linkcheck.finding import Fault, Finding
from linkcheck.settings import Settings
from linkcheck.visitor import Visitor, open_visitor
from tests.unit.linkcheck.site import Site, open_site


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001:0:808:808::",
        "2002:7f00:1::",
        "fc00::1",
        "fe80::1",
        "ff0e::1",
    ],
)
def test_addresses_of_networks_machines_and_ways_back_inside_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


async def visited(url: str, settings: Settings) -> Finding:
    async with open_visitor(settings) as visitor:
        return await visit(visitor, url)


async def visit(visitor: Visitor, url: str) -> Finding:
    return await visitor.visit(url, timedelta(seconds=5), asyncio.Semaphore(1))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_refused_however_it_is_written(host: str, site: Site) -> None:
    site.answers("/")

    finding = await visited(f"http://{host}:{site.port}/", Settings())

    assert finding.error
    assert finding.error.code is Fault.REFUSED_ADDRESS
    assert "LINKCHECK_ALLOW_PRIVATE" in finding.error.detail
    assert site.requests == []


async def test_a_private_address_is_visited_where_the_operator_allows_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = site.answers("/")
    monkeypatch.setenv("LINKCHECK_ALLOW_PRIVATE", "true")

    finding = await visited(url, Settings())

    assert finding.ok


async def test_a_name_with_one_private_address_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    name_has_addresses(monkeypatch, "8.8.8.8", "127.0.0.1")

    finding = await visited(f"http://public.example:{site.port}/", Settings())

    assert finding.error
    assert finding.error.code is Fault.REFUSED_ADDRESS


async def test_a_redirect_leads_to_no_private_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_site("127.0.0.2") as inside:
        secret = inside.answers("/secret")
        monkeypatch.setattr(network, "is_public", lambda address: str(address) == "127.0.0.1")

        finding = await visited(site.answers("/", 302, location=secret), Settings())

    assert finding.error
    assert finding.error.code is Fault.REFUSED_ADDRESS
    assert finding.final_url == secret
    assert inside.requests == []


async def test_the_next_address_is_tried_when_one_takes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_site("127.0.0.2") as site:
        site.answers("/")
        name_has_addresses(monkeypatch, "127.0.0.1", "127.0.0.2")

        finding = await visited(f"http://two.example:{site.port}/", Settings(allow_private=True))

    assert finding.ok


async def test_a_host_without_an_address_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    name_has_addresses(monkeypatch)

    finding = await visited("http://nowhere.invalid/", Settings())

    assert finding.error
    assert finding.error.code is Fault.UNKNOWN_HOST


def name_has_addresses(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def getaddrinfo(_host: str, port: int, **_options: int) -> list[tuple[object, ...]]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
