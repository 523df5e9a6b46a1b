"""Reading bits, most significant first; past the end is a PayloadError, never zeros."""

from sfu.codecs.payload import PayloadError


class BitReader:
    """Over at most the first `limit` bytes: headers are short, and a hostile one must not cost more."""

    def __init__(self, data: bytes, limit: int = 256) -> None:
        data = data[:limit]
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        """The next `count` bits as an unsigned integer."""
        self._left -= count
        if self._left < 0:
            raise PayloadError("header ends early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.bits(1) == 1

    def ue(self) -> int:
        """Unsigned Exp-Golomb code of at most 32 bits (H.264 9.1)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise PayloadError("Exp-Golomb code too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def se(self) -> int:
        """Signed Exp-Golomb code (H.264 9.1.1)."""
        code = self.ue()
        return (code + 1) >> 1 if code & 1 else -(code >> 1)

    def uvlc(self) -> int:
        """AV1 4.10.3; the same code as `ue`."""
        return self.ue()
