{% include "shared/der.py" %}

def subject(certificate: bytes) -> list[list[tuple[str, Element]]]:
    """The relative distinguished names of its subject, in their order: pairs of dotted identifier and value."""
    return [
        [_pair(attribute.content) for attribute in _elements(relative.content)]
        for relative in _elements(_fields(certificate)[4].content)
    ]


def _pair(attribute: bytes) -> tuple[str, Element]:
    identifier, value = _elements(attribute)
    return _dotted(identifier.content), value


def _dotted(identifier: bytes) -> str:
    """X.690 8.19: seven bits an octet, the first number holds two."""
    numbers, number = [], 0
    for octet in identifier:
        number = number << 7 | octet & 0x7F
        if octet < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
