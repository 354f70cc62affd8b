"""Complaints: what is wrong for a while is said once, not at every look."""

import logging


class Complaints:
    """What is wrong now, by the thing it is wrong with."""

    def __init__(self, log: logging.Logger, level: int = logging.ERROR) -> None:
        """`level`: how bad it is."""
        self._log = log
        self._level = level
        self._standing: dict[str, str] = {}

    @property
    def standing(self) -> list[str]:
        """What has been said and not settled."""
        return sorted(self._standing.values())

    def stands(self, thing: str) -> bool:
        """Whether anything was said of this thing and not settled."""
        return thing in self._standing

    def say(self, thing: str, fault: object) -> None:
        """Log it, unless that was the last to be said of this thing."""
        said = str(fault)
        if self._standing.get(thing) != said:
            self._log.log(self._level, "%s", said)
        self._standing[thing] = said

    def begin(self, thing: str, fault: object) -> None:
        """Log it, unless anything has been said of this thing: others tell how its cause changes."""
        if not self.stands(thing):
            self.say(thing, fault)

    def settle(self, thing: str) -> None:
        """It is well again."""
        if self._standing.pop(thing, None) is not None:
            self._log.info("%s is well again", thing)
