"""Unix password hashes over DES: the traditional one and the extended one (crypt(3), FIPS 46-3).

A block is 64 bits, most significant first, as an int. The salt's bits swap bits of the two halves of each expanded
half block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from compute_node.hub import HUB

ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""the digits of crypt(3) for six bits"""
TRADITIONAL_ROUNDS: Final = 25
_PULSE_EVERY: Final = 64
_MASK_32: Final = (1 << 32) - 1

_INITIAL: Final = [row + 8 * column for row in (58, 60, 62, 64, 57, 59, 61, 63) for column in range(0, -8, -1)]
_PERMUTED: Final = (
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
)  # fmt: skip
_CHOICE_1: Final = (
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
)  # fmt: skip
_CHOICE_2: Final = (
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
)  # fmt: skip
_SHIFTS: Final = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)
_BOXES: Final = (
    "e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
    "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
    "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
    "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
    "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
    "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
    "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
    "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
)
"""each box as four rows of sixteen hexadecimal digits; the outer bits of six choose the row"""


def _permuted(value: int, width: int, order: Sequence[int]) -> int:
    """The bits of ``value``, numbered from 1 at the most significant of ``width``, in that order."""
    result = 0
    for place in order:
        result = result << 1 | value >> (width - place) & 1
    return result


def _box(number: int, six: int) -> int:
    """What six bits through a box add to a round's result, permuted."""
    row, column = (six >> 4 & 2) | six & 1, six >> 1 & 15
    return _permuted(int(_BOXES[number][16 * row + column], 16) << (28 - 4 * number), 32, _PERMUTED)


_FINAL: Final = [_INITIAL.index(place) + 1 for place in range(1, 65)]
_TABLES: Final = [[_box(number, six) for six in range(64)] for number in range(8)]


def _schedule(key: int) -> list[tuple[int, int]]:
    """The keys of the sixteen rounds, each as its two halves of 24 bits."""
    chosen = _permuted(key, 64, _CHOICE_1)
    left, right, keys = chosen >> 28, chosen & (1 << 28) - 1, []
    for shift in _SHIFTS:
        left = (left << shift | left >> (28 - shift)) & (1 << 28) - 1
        right = (right << shift | right >> (28 - shift)) & (1 << 28) - 1
        round_key = _permuted(left << 28 | right, 56, _CHOICE_2)
        keys.append((round_key >> 24, round_key & (1 << 24) - 1))
    return keys


def _encrypted(block: int, keys: list[tuple[int, int]], salt: int, count: int) -> int:
    """A block, encrypted ``count`` times."""
    swaps = int(f"{salt:024b}"[::-1], 2)
    value = _permuted(block, 64, _INITIAL)
    left, right = value >> 32, value & _MASK_32
    one, two, three, four, five, six, seven, eight = _TABLES
    for turn in range(count):
        if turn % _PULSE_EVERY == 0:
            HUB.pulse()
        for key_left, key_right in keys:
            wide = (right & 1) << 33 | right << 1 | right >> 31
            high = (wide >> 28 & 63) << 18 | (wide >> 24 & 63) << 12 | (wide >> 20 & 63) << 6 | wide >> 16 & 63
            low = (wide >> 12 & 63) << 18 | (wide >> 8 & 63) << 12 | (wide >> 4 & 63) << 6 | wide & 63
            swapped = (high ^ low) & swaps
            high, low = high ^ swapped ^ key_left, low ^ swapped ^ key_right
            mixed = (
                one[high >> 18] | two[high >> 12 & 63] | three[high >> 6 & 63] | four[high & 63]
                | five[low >> 18] | six[low >> 12 & 63] | seven[low >> 6 & 63] | eight[low & 63]
            )  # fmt: skip
            left, right = right, left ^ mixed
        left, right = right, left
    return _permuted(left << 32 | right, 64, _FINAL)


def _digits(text: str) -> int:
    """A number of crypt(3), least significant digit first; other characters as the C library has them."""
    return sum(_digit(character) << 6 * place for place, character in enumerate(text))


def _digit(character: str) -> int:
    if "a" <= character <= "z":
        return ord(character) - ord("a") + 38
    if "A" <= character <= "Z":
        return ord(character) - ord("A") + 12
    return ord(character) - ord(".") if "." <= character <= "9" else 0


def _key(data: bytes) -> int:
    """The first eight bytes, each shifted into the seven bits that count."""
    return int.from_bytes(bytes([each << 1 & 255 for each in data[:8].ljust(8, b"\0")]))


def _shown(block: int) -> str:
    return "".join(ALPHABET[(block << 2) >> shift & 63] for shift in range(60, -1, -6))


def traditional(password: bytes, salt: str) -> str:
    """The hash of the first eight bytes under two characters of salt, which lead it."""
    done = _encrypted(0, _schedule(_key(password)), _digits(salt[:2]), TRADITIONAL_ROUNDS)
    return salt[:2] + _shown(done)


def extended(password: bytes, setting: str) -> str:
    """The hash of all bytes: ``_``, four digits of rounds and four of salt lead it."""
    key = _key(password)
    for at in range(8, len(password), 8):
        key = _encrypted(key, _schedule(key), 0, 1) ^ _key(password[at : at + 8])
    done = _encrypted(0, _schedule(key), _digits(setting[5:9]), _digits(setting[1:5]))
    return setting[:9] + _shown(done)
