"""pgcrypto: digests, password hashes, ciphers, random bytes (manual, F.28).

``digests``, ``passwords`` over ``des_crypt``, ``ciphers``, ``armor``. What OpenPGP has besides the armor is not here:
those functions are there and answer 0A000. As in a PostgreSQL over OpenSSL 3, Blowfish, CAST5 and single DES are names
without a cipher.
"""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.extensions.library import define
from compute_node.extensions.pgcrypto import armor, ciphers, digests, passwords

__all__ = ["armor", "ciphers", "digests", "passwords"]

_OPENPGP = (
    ("pgp_sym_encrypt_text", 2), ("pgp_sym_encrypt_text", 3), ("pgp_sym_encrypt_bytea", 2),
    ("pgp_sym_encrypt_bytea", 3), ("pgp_sym_decrypt_text", 2), ("pgp_sym_decrypt_text", 3),
    ("pgp_sym_decrypt_bytea", 2), ("pgp_sym_decrypt_bytea", 3), ("pgp_pub_encrypt_text", 2),
    ("pgp_pub_encrypt_text", 3), ("pgp_pub_encrypt_bytea", 2), ("pgp_pub_encrypt_bytea", 3),
    ("pgp_pub_decrypt_text", 2), ("pgp_pub_decrypt_text", 3), ("pgp_pub_decrypt_text", 4),
    ("pgp_pub_decrypt_bytea", 2), ("pgp_pub_decrypt_bytea", 3), ("pgp_pub_decrypt_bytea", 4), ("pgp_key_id_w", 1),
)  # fmt: skip


def _refused(symbol: str) -> Callable[..., Datum]:
    name = symbol.removesuffix("_text").removesuffix("_w")

    def refuse(*_: Datum) -> Datum:
        raise NotSupported(f"function {name} is not supported", detail="Messages of OpenPGP are not here.")

    return refuse


for _symbol, _count in _OPENPGP:
    define(_symbol, _count, _refused(_symbol))
