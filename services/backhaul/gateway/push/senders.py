"""Who sends live messages: each numbers its own without holes, so a hole is a loss."""

from collections import OrderedDict

_MOST = 1_000


class Senders:
    """The number that the last message of each sender had; the senders heard of longest ago are forgotten."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def ahead(self, message_id: str | None) -> int:
        """Note a message that has arrived. How many are missing in front of it; negative for one that is repeated or
        late. With the first message of a sender nothing is missing, as far as one can know here."""
        sender, _, digits = (message_id or "").rpartition("-")
        if not sender or not digits.isdecimal():
            return 0
        number = int(digits)
        last = self._numbers.get(sender)
        self._numbers[sender] = max(number, last or 0)
        self._numbers.move_to_end(sender)
        if len(self._numbers) > _MOST:
            self._numbers.popitem(last=False)
        return 0 if last is None else number - last - 1
