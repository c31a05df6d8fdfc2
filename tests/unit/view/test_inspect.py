"""What a file holds: aligned, whole in a pipe, and within the width of a terminal."""

from __future__ import annotations

from scaffold.pki.inspect import Description, Fact
from scaffold.view.inspect import description_lines

FINGERPRINT = "0123456789abcdef" * 4

DESCRIPTIONS = (
    Description(
        "certificate",
        (
            Fact("SHA-256 of the public key", FINGERPRINT),
            Fact("serial", "0a"),
            Fact("names", ", ".join(f"DNS:host-{number}.example" for number in range(4)), "the names it is valid for"),
        ),
        (Description("request", (Fact("key", "ec-p256"),)),),
    ),
)


def text(columns: int | None) -> list[str]:
    lines = description_lines(DESCRIPTIONS, columns)
    return ["".join(part for part, _ in line).rstrip() for line in lines]


def test_in_a_pipe_each_fact_is_one_line() -> None:
    assert text(None) == [
        "certificate",
        f"  SHA-256 of the public key  {FINGERPRINT}",
        "  serial                     0a",
        "  names                      DNS:host-0.example, DNS:host-1.example, DNS:host-2.example, DNS:host-3.example",
        "                             (the names it is valid for)",
        "",
        "  request",
        "    key  ec-p256",
    ]


def test_on_a_terminal_values_are_wrapped_beside_their_label_and_long_words_are_below_it() -> None:
    assert text(80) == [
        "certificate",
        "  SHA-256 of the public key",
        f"    {FINGERPRINT}",
        "  serial                     0a",
        "  names                      DNS:host-0.example, DNS:host-1.example,",
        "                             DNS:host-2.example, DNS:host-3.example",
        "                             (the names it is valid for)",
        "",
        "  request",
        "    key  ec-p256",
    ]
