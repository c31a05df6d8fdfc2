"""What is allowed and yet worth a word: notes of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from scaffold.topology.address import Address


@dataclass(frozen=True, slots=True)
class Note:
    """What is said of `about`, or of something that has no address; `text` goes on where the address ends."""

    about: Address | None
    text: str

    def __str__(self) -> str:
        return self.text if self.about is None else f"{self.about} {self.text}"
