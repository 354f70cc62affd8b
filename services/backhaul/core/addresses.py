"""Which network addresses belong to the internet: a webhook must not be a way into the network behind it."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is assigned of IPv6 to the internet
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address it leads to


def read_address(text: str) -> Address:
    """An address as resolvers write it: an IPv6 one may name the interface that it is reached by."""
    return ip_address(text.partition("%")[0])


def is_public(address: Address) -> bool:
    """Whether it belongs to one machine on the internet, and is no other way of writing one that does not.

    The addresses at which clouds tell machines their credentials are link-local or private, and so refused with them.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _GLOBAL_UNICAST or address.sixtofour or address.teredo:
            return False  # IPv4-mapped ones (::ffff:0:0/96) too: they lie outside
    return address.is_global and not address.is_multicast


def is_plainly_private(host: str) -> bool:
    """Whether a host, as it stands in a URL, names such an address by itself, without any resolver."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return not is_public(ip_address(name))
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")  # RFC 6761
