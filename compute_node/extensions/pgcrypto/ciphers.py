"""encrypt, decrypt, encrypt_iv, decrypt_iv: ``algorithm[-mode][/pad:padding]`` over AES and triple DES (manual,
F.28.4). A key is filled up with zeros to the next length that its algorithm has, and cut at the longest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aurora.errors import ExternalRoutineInvocationException, InvalidParameterValue, SqlError
from aurora.lazy import lazy
from compute_node.extensions.library import define
from compute_node.hub import HUB

if TYPE_CHECKING:
    from cryptography.hazmat.decrepit.ciphers import algorithms as old_algorithms
    from cryptography.hazmat.primitives import ciphers
    from cryptography.hazmat.primitives.ciphers import algorithms, modes
else:
    old_algorithms = lazy("cryptography.hazmat.decrepit.ciphers.algorithms")
    ciphers = lazy("cryptography.hazmat.primitives.ciphers")
    algorithms = lazy("cryptography.hazmat.primitives.ciphers.algorithms")
    modes = lazy("cryptography.hazmat.primitives.ciphers.modes")

_PIECE_BYTES: Final = 1 << 22


class _Algorithm(NamedTuple):
    name: str
    block_bytes: int
    key_bytes: tuple[int, ...]


_AES: Final = _Algorithm("aes", 16, (16, 24, 32))
_DES3: Final = _Algorithm("3des", 8, (24,))
_NONE: Final = _Algorithm("none", 8, ())
"""what this OpenSSL does not do: Blowfish, CAST5, DES"""
_BLOWFISH: Final = _Algorithm("blowfish", 8, ())
_BLOWFISH_KEY_BYTES_MAX: Final = 16
_ALGORITHMS: Final = {
    "aes": _AES, "rijndael": _AES, "3des": _DES3, "des": _NONE, "cast5": _NONE, "bf": _BLOWFISH, "blowfish": _BLOWFISH,
}  # fmt: skip


class _Wanted(NamedTuple):
    algorithm: _Algorithm
    mode: str
    padded: bool


def _parsed(text: str) -> _Wanted:
    """22023 for a name that is none."""
    lowered = text.lower()

    def refuse(why: str) -> SqlError:
        return InvalidParameterValue(f'Cannot use "{lowered}": {why}')

    name, *options = lowered.split("/")
    padding = "pkcs"
    for option in options:
        what, _, value = option.partition(":")
        if what != "pad":
            raise refuse("Unknown option")
        padding = value
    word, dash, mode = name.partition("-")
    algorithm = _ALGORITHMS.get(word)
    modes_known = ("cbc", "ecb", "cfb") if algorithm is _BLOWFISH else ("cbc", "ecb")
    if algorithm is None or (dash and mode not in modes_known) or padding not in ("pkcs", "none"):
        raise refuse("No such cipher algorithm")
    return _Wanted(algorithm, mode or "cbc", padding == "pkcs")


def _cipher(wanted: _Wanted, key: bytes, iv: bytes, what: str) -> ciphers.Cipher[modes.CBC] | ciphers.Cipher[modes.ECB]:
    algorithm = wanted.algorithm
    if algorithm is _BLOWFISH and len(key) > _BLOWFISH_KEY_BYTES_MAX:
        raise _failed(what, "Key was too big")
    if not algorithm.key_bytes:
        raise _failed(what, "Cipher cannot be initialized")
    length = next((each for each in algorithm.key_bytes if len(key) <= each), algorithm.key_bytes[-1])
    whole = key[:length].ljust(length, b"\0")
    start = iv[: algorithm.block_bytes].ljust(algorithm.block_bytes, b"\0")
    block = algorithms.AES(whole) if algorithm is _AES else old_algorithms.TripleDES(whole)
    if wanted.mode == "cbc":
        return ciphers.Cipher(block, modes.CBC(start))
    return ciphers.Cipher(block, modes.ECB())


def _failed(what: str, why: str) -> SqlError:
    return ExternalRoutineInvocationException(f"{what} error: {why}")


def _through(context: ciphers.CipherContext, data: bytes) -> bytes:
    parts = []
    for at in range(0, len(data), _PIECE_BYTES):
        parts.append(context.update(data[at : at + _PIECE_BYTES]))
        HUB.pulse()
    return b"".join([*parts, context.finalize()])


def _encrypted(data: bytes, key: bytes, iv: bytes, kind: str, what: str) -> bytes:
    wanted = _parsed(kind)
    cipher, block = _cipher(wanted, key, iv, what), wanted.algorithm.block_bytes
    if wanted.padded:
        missing = block - len(data) % block
        data = data + bytes([missing]) * missing
    elif len(data) % block:
        raise _failed(what, "Encryption failed")
    return _through(cipher.encryptor(), data)


def _decrypted(data: bytes, key: bytes, iv: bytes, kind: str, what: str) -> bytes:
    wanted = _parsed(kind)
    cipher, block = _cipher(wanted, key, iv, what), wanted.algorithm.block_bytes
    if len(data) % block or (wanted.padded and not data):
        raise _failed(what, "Decryption failed")
    plain = _through(cipher.decryptor(), data)
    if not wanted.padded:
        return plain
    missing = plain[-1]
    if not 1 <= missing <= block or plain[-missing:] != bytes([missing]) * missing:
        raise _failed(what, "Decryption failed")
    return plain[:-missing]


define("pg_encrypt", 3, lambda data, key, kind: _encrypted(data, key, b"", kind, "encrypt"))
define("pg_encrypt_iv", 4, lambda data, key, iv, kind: _encrypted(data, key, iv, kind, "encrypt_iv"))
define("pg_decrypt", 3, lambda data, key, kind: _decrypted(data, key, b"", kind, "decrypt"))
define("pg_decrypt_iv", 4, lambda data, key, iv, kind: _decrypted(data, key, iv, kind, "decrypt_iv"))
