"""Positions in the event log, which becomes visible out of order.

Ids are given out when events are inserted and become visible when their transactions commit, so a
position is the highest id seen and the lower ones still awaited.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

MOST_WRITTEN: Final = 100
"""How many awaited ids a written cursor names at most: it travels in an HTTP header."""
_LARGEST: Final = 2**63 - 1
_LONGEST_TEXT: Final = 20 * (MOST_WRITTEN + 1)
_TEXT: Final = re.compile(r"[0-9]{1,19}(-[0-9]{1,19}(\.[0-9]{1,19})*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """All events up to ``highest`` are seen, but for the ``awaited`` ones."""

    highest: int
    awaited: frozenset[int] = frozenset()

    def has_seen(self, id: int) -> bool:
        return id <= self.highest and id not in self.awaited

    def covers(self, other: "Cursor") -> bool:
        """True when this one has seen everything that the other has."""
        if self.highest < other.highest:
            return False
        return not any(other.has_seen(id) for id in self.awaited)

    def merge(self, other: "Cursor") -> "Cursor":
        """What either of the two has seen."""
        awaited = {id for id in self.awaited if not other.has_seen(id)}
        awaited |= {id for id in other.awaited if not self.has_seen(id)}
        return Cursor(max(self.highest, other.highest), frozenset(awaited))

    def passing(self, id: int, known: "Cursor") -> "Cursor":
        """This cursor after the event ``id``, and after all before it that ``known`` has seen."""
        awaited = {a for a in self.awaited if a != id and (a > id or not known.has_seen(a))}
        awaited |= {a for a in known.awaited if self.highest < a < id}
        return Cursor(max(self.highest, id), frozenset(awaited))

    def __str__(self) -> str:
        """As it is sent to clients: ``105``, or ``105-103.104`` while 103 and 104 are awaited."""
        newest = sorted(self.awaited)[-MOST_WRITTEN:]
        return f"{self.highest}-{'.'.join(map(str, newest))}" if newest else str(self.highest)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that a client sent back; None for anything that is not one."""
        if len(text) > _LONGEST_TEXT or not _TEXT.fullmatch(text):
            return None
        first, _, rest = text.partition("-")
        highest = int(first)
        awaited = frozenset(map(int, rest.split("."))) if rest else frozenset[int]()
        if highest > _LARGEST or any(not 0 < id < highest for id in awaited):
            return None
        return cls(highest, awaited)
