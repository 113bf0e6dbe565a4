"""What a peer's answer for one object means: stored, refused for good, or worth another try."""

from dataclasses import dataclass

#: Success, three warnings (PS3.4 B.2.3), and duplicate SOP instance (PS3.7 C.5.6): the peer has the object.
STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
#: No status, and the same bytes would fare no better.
FINAL_CODES = frozenset({"context_refused", "unreadable", "http_refused"})
#: No status, but words of a peer that was there.
REACHED_CODES = frozenset({"context_refused", "http_refused", "http_unclear"})
#: No status because the object's turn did not come: this says nothing about it.
NOT_TRIED = "not_tried"
#: PS3.4 J.3.3 and PS3.3 C.14.1.1: why a peer does not vouch for an object.
NOT_COMMITTED = {
    0x0110: "processing failure",
    0x0112: "no such object",
    0x0119: "class and object conflict",
    0x0122: "class not supported",
    0x0131: "duplicate transaction",
    0x0213: "resource limitation",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the peer answered for one object; ``status`` is None when it did not answer."""

    status: int | None
    #: Why there is no status.
    code: str | None = None

    @property
    def stored(self) -> bool:
        """Whether the peer took the object."""
        return self.status in STORED

    @property
    def final(self) -> bool:
        """Whether sending the same bytes again cannot help."""
        if self.status is None:
            return self.code in FINAL_CODES
        # PS3.4 B.2.3: A9xx does not match the SOP class, Cxxx cannot be understood;
        # PS3.7 Annex C: 0x0117 invalid instance, 0x0122 class not supported.
        return self.status in {0x0117, 0x0122} or self.status >> 8 == 0xA9 or self.status >> 12 == 0xC

    @property
    def tried(self) -> bool:
        """Whether the object was really handed to the peer, so that the try counts against it."""
        return self.code != NOT_TRIED

    @property
    def reached(self) -> bool:
        """Whether this shows that the peer was there and listening."""
        return self.status is not None or self.code in REACHED_CODES
