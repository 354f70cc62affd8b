"""Where nothing may go that goes where somebody else says."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import httpcore
import pytest

from backhaul.core.addresses import Address, is_plainly_private, is_public
from backhaul.network import AddressRefused, GuardedNetwork, GuardedSyncNetwork, Resolver, UnknownHost
from tests.support.receiver import receiving

PRIVATE = (
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
)
PUBLIC = ("1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101")


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_on_the_internet_is_told_from_one_that_is(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_on_the_internet_is_told_from_one_that_is_not(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "LOCALHOST.", "api.localhost"])
def test_a_host_that_names_this_machine_by_itself_is_plainly_private(host: str) -> None:
    assert is_plainly_private(host)
    assert not is_plainly_private("hooks.example")


class Names:
    """A name server that answers as told, each answer once and the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(text) for text in answer]


def guarded(names: Names, *, allow_private: bool) -> GuardedNetwork:
    return GuardedNetwork(resolve=names, allow_private=allow_private, setting="SHOP_ALLOW_PRIVATE")


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["1.1.1.1", "::ffff:127.0.0.1"]])
async def test_a_name_that_leads_to_any_private_address_is_not_connected_to(answer: list[str]) -> None:
    async with receiving() as receiver:
        network = guarded(Names(answer), allow_private=False)

        with pytest.raises(AddressRefused, match="SHOP_ALLOW_PRIVATE"):
            await network.connect_tcp("hooks.example", receiver.port, timeout=2)


async def test_a_name_that_changes_after_it_was_checked_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []

    async def connect(network: object, host: str, *_: object) -> None:
        connected.append(host)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    names = Names(["1.1.1.1"], ["127.0.0.1"])
    network = guarded(names, allow_private=False)

    await network.connect_tcp("rebinding.example", 80)
    with pytest.raises(AddressRefused):
        await network.connect_tcp("rebinding.example", 80)

    assert connected == ["1.1.1.1"]
    assert names.asked == 2


async def test_of_a_host_with_very_many_addresses_only_some_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def connect(network: object, host: str, *_: object) -> None:
        tried.append(host)
        raise httpcore.ConnectTimeout

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)

    with pytest.raises(httpcore.ConnectTimeout):
        await guarded(Names([f"1.1.1.{n}" for n in range(1, 100)]), allow_private=False).connect_tcp("many.example", 80)

    assert tried == ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]


def test_code_that_blocks_is_kept_from_the_network_inside_too(monkeypatch: pytest.MonkeyPatch) -> None:
    network = GuardedSyncNetwork(allow_private=False, setting="SHOP_ALLOW_PRIVATE")
    found: dict[str, list[str]] = {"inside.example": ["1.1.1.1", "64:ff9b::a00:1"], "nowhere.example": []}

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in found[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    with pytest.raises(AddressRefused, match=r"inside\.example is not on the public internet; SHOP_ALLOW_PRIVATE"):
        network.connect_tcp("inside.example", 80)
    with pytest.raises(UnknownHost):
        network.connect_tcp("nowhere.example", 80)
    with pytest.raises(httpcore.LocalProtocolError):
        network.connect_tcp("inside.example", 70_000)


async def test_where_it_is_allowed_a_private_address_is_connected_to_and_the_next_one_if_the_first_is_dead() -> None:
    async with receiving() as receiver:
        network = guarded(Names(["127.0.0.9", "127.0.0.1"]), allow_private=True)

        stream = await network.connect_tcp("hooks.example", receiver.port, timeout=2)
        peer = stream.get_extra_info("server_addr")

        await stream.aclose()

    assert peer == ("127.0.0.1", receiver.port)


async def test_a_host_without_an_address_is_unknown() -> None:
    resolver = Resolver(1)

    with pytest.raises(UnknownHost, match=r"nowhere\.invalid has no address"):
        await resolver("nowhere.invalid", 80)
    with pytest.raises(UnknownHost):
        await guarded(Names([]), allow_private=True).connect_tcp("hooks.example", 80)
    resolver.close()
