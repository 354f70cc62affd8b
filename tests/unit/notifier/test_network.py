"""Where webhooks may not go."""

from collections.abc import Sequence
from ipaddress import ip_address

import httpcore
import pytest

from backhaul.core.addresses import Address, is_plainly_private, is_public
from backhaul.notifier.network import AddressRefused, GuardedNetwork, Resolver, UnknownHost
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


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["1.1.1.1", "::ffff:127.0.0.1"]])
async def test_a_name_that_leads_to_any_private_address_is_not_connected_to(answer: list[str]) -> None:
    async with receiving() as receiver:
        network = GuardedNetwork(Names(answer), allow_private=False)

        with pytest.raises(AddressRefused, match="BACKHAUL_WEBHOOK_ALLOW_PRIVATE"):
            await network.connect_tcp("hooks.example", receiver.port, timeout=2)


async def test_a_name_that_changes_after_it_was_checked_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []

    async def connect(network: object, host: str, *_: object) -> None:
        connected.append(host)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    names = Names(["1.1.1.1"], ["127.0.0.1"])
    network = GuardedNetwork(names, allow_private=False)

    await network.connect_tcp("rebinding.example", 80)
    with pytest.raises(AddressRefused):
        await network.connect_tcp("rebinding.example", 80)

    assert connected == ["1.1.1.1"]
    assert names.asked == 2


async def test_where_it_is_allowed_a_private_address_is_connected_to_and_the_next_one_if_the_first_is_dead() -> None:
    async with receiving() as receiver:
        network = GuardedNetwork(Names(["127.0.0.9", "127.0.0.1"]), allow_private=True)

        stream = await network.connect_tcp("hooks.example", receiver.port, timeout=2)

        await stream.aclose()


async def test_a_host_without_an_address_is_unknown() -> None:
    resolver = Resolver(1)

    with pytest.raises(UnknownHost, match=r"nowhere\.invalid has no address"):
        await resolver("nowhere.invalid", 80)
    with pytest.raises(UnknownHost):
        await GuardedNetwork(Names([]), allow_private=True).connect_tcp("hooks.example", 80)
    resolver.close()
