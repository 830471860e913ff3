"""The part of protocol buffers that ``tf.train.Example`` takes.

``Example`` holds in field 1 a ``Features``; that one, in field 1 again and again, the entries of a map: field 1 the
key, field 2 a ``Feature``, which is a list of bytes (field 1), of floats (2) or of int64 (3); each list has its values
in field 1, numbers packed or not.

Source: the Protocol Buffers encoding guide and the message definitions of ``tf.train.Example``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lineament.packs.filepack import Damaged

Peek = Callable[[int, int], bytes]
"""Reads at most so many bytes (second) of a message from a place (first) on."""
IMAGE_KEYS = (b"image_raw", b"image/encoded")
LABEL_KEYS = (b"label", b"image/class/label")
NAME_KEY = b"name"
_WANTED = frozenset((*IMAGE_KEYS, *LABEL_KEYS, NAME_KEY))
_FIELD_1, _FIELD_2, _NUMBER_1 = 0x0A, 0x12, 0x08
"""Tags: bytes in field 1, bytes in field 2, a varint in field 1."""
_BYTES_LIST, _INT64_LIST = 0x0A, 0x1A
_WINDOW_BYTES = 1024
_ENTRY_BYTES = 256
"""Bytes that the key of an entry and the beginning of its value take at most."""
_SIGN, _WORD = 1 << 63, 1 << 64


@dataclass(frozen=True, slots=True)
class Example:
    """What an Example says of a picture.

    Attributes:
        start: place of the picture's first byte in the message.
        end: one past its last byte.
        label: of the subject; None when it is not told.
        name: of the sample in UTF-8; None when it is not told.
    """

    start: int
    end: int
    label: int | None
    name: bytes | None


def parse_example(peek: Peek, size: int) -> Example:
    """Label and name of a serialised Example and the place of its picture, which is skipped and not read.

    Args:
        peek: reads from the message.
        size: bytes of the message.

    Raises:
        Damaged: it is no such message, has no picture, or a label or name of another kind.
    """
    try:
        found = _features(peek, size)
    except IndexError:
        raise Damaged("the Example ends too early") from None
    spans = [found[key] for key in IMAGE_KEYS if key in found]
    if not spans:
        raise Damaged("the Example has no picture under image_raw or image/encoded")
    kind, start, end = spans[0]
    if kind != _BYTES_LIST or start == end:
        raise Damaged("expected the picture as bytes, got another kind of feature or none")
    labels = [found[key] for key in LABEL_KEYS if key in found]
    name = found.get(NAME_KEY)
    if any(label[0] != _INT64_LIST for label in labels) or (name is not None and name[0] != _BYTES_LIST):
        raise Damaged("expected the label as int64 and the name as bytes")
    label = _first_number(peek(labels[0][1], 10)) if labels else None
    return Example(start, end, label, None if name is None else peek(name[1], name[2] - name[1]))


def _features(peek: Peek, size: int) -> dict[bytes, tuple[int, int, int]]:
    """Kind of the list, first and last place of its first value, of each wanted feature that has one."""
    found: dict[bytes, tuple[int, int, int]] = {}
    window, base = peek(0, _WINDOW_BYTES), 0
    if not window or window[0] != _FIELD_1:
        raise Damaged("expected an Example, got another message")
    length, place = varint(window, 1)
    if place + length != size:
        raise Damaged(f"expected an Example of {size} bytes, its features take {length}")
    while place < size:
        if place - base + _ENTRY_BYTES > len(window) and base + len(window) < size:
            window, base = peek(place, _WINDOW_BYTES), place
        tag = window[place - base]
        length, at = varint(window, place - base + 1)
        end = base + at + length
        if tag != _FIELD_1 or end > size or window[at] != _FIELD_1:
            raise Damaged("expected the entry of a map with its key first")
        key_length, at = varint(window, at + 1)
        key = window[at : at + key_length]
        if key in _WANTED:
            value = _first_value(window, at + key_length)
            if value is not None:
                kind, start, stop = value
                if base + stop > end:
                    raise Damaged("a value is longer than its entry")
                found[key] = kind, base + start, base + stop
        place = end
    return found


def _first_value(window: bytes, at: int) -> tuple[int, int, int] | None:
    """Kind, first and last place of the first value of the Feature at ``at``; None for an empty list."""
    if window[at] != _FIELD_2:
        raise Damaged("expected the value of an entry after its key")
    length, at = varint(window, at + 1)
    if length == 0:
        return None
    kind = window[at]
    length, at = varint(window, at + 1)
    if length == 0:
        return None
    tag = window[at]
    if tag == _NUMBER_1:
        return kind, at + 1, at + length
    if tag != _FIELD_1:
        return kind, at, at + length
    length, at = varint(window, at + 1)
    return kind, at, at + length


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at ``at`` and the place after it.

    Raises:
        IndexError: the data ends inside of it.
        Damaged: it is longer than 64 bits.
    """
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    shift = 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Damaged("a number is longer than 64 bits")
    return value, at


def _first_number(data: bytes) -> int:
    """A signed 64-bit number."""
    try:
        value = varint(data, 0)[0] % _WORD
    except IndexError:
        raise Damaged("the label ends too early") from None
    return value - _WORD if value >= _SIGN else value


def serialised(image: bytes, label: int, name: str) -> bytes:
    """An Example with ``label``, ``name`` and ``image_raw``, in this order: what is small can be read at once."""
    called = name.encode()
    number = _varint(label % _WORD)
    small = _entry(LABEL_KEYS[0], _INT64_LIST, len(number)) + number
    small += _entry(NAME_KEY, _BYTES_LIST, len(called)) + called
    head = small + _entry(IMAGE_KEYS[0], _BYTES_LIST, len(image))
    return b"".join((_headed(_FIELD_1, head, len(image)), image))


def _entry(key: bytes, kind: int, size: int) -> bytes:
    """All of a map's entry but the ``size`` bytes of its only value, which end it."""
    feature = _headed(_FIELD_2, _headed(kind, _headed(_FIELD_1, b"", size), size), size)
    return _headed(_FIELD_1, _headed(_FIELD_1, key, 0) + feature, size)


def _headed(tag: int, head: bytes, size: int) -> bytes:
    """A field that holds ``head`` and ``size`` bytes more, without those."""
    return b"%c%b%b" % (tag, _varint(len(head) + size), head)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
