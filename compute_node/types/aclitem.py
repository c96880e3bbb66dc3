"""aclitem: its text form, its functions and operators (manual, 9.26.2).

The value is ``acl.encode``'s text, with roles as OIDs; the text form has their names. Arithmetic is in ``acl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from aurora.datum import Datum, Row
from aurora.errors import InternalError, InvalidParameterValue, InvalidTextRepresentation, NotSupported
from compute_node.types import acl
from compute_node.types.acl import LETTERS, NAMES, AclItem, acl_default, decode, encode
from compute_node.types.declare import fn, operator_classes, operators
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import TypeEnv
from compute_node.types.text import string_type

_KEY_WORDS = ("group", "user")


def _take_name(text: str, at: int) -> tuple[str, int]:
    """A role's name from ``at`` on, blanks before and after it skipped: quoted, or letters, digits and underscores."""
    while at < len(text) and text[at].isspace():
        at += 1
    name = ""
    quoted = False
    while at < len(text):
        char = text[at]
        if char == '"':
            if quoted and text[at + 1 : at + 2] == '"':
                name, at = name + '"', at + 2
                continue
            quoted = not quoted
        elif quoted or char == "_" or char.isalnum() or ord(char) > 127:
            name += char
        else:
            break
        at += 1
        if len(name) > 63:
            break
    if len(name.encode()) > 63:
        raise InvalidTextRepresentation("identifier too long", detail="Identifier must be less than 64 characters.")
    if quoted:
        raise InvalidTextRepresentation("unterminated quoted identifier")
    while at < len(text) and text[at].isspace():
        at += 1
    return name, at


def aclitem_in(text: str, typmod: int, env: TypeEnv) -> str:
    """``grantee=privileges/grantor``; 22P02 for other text, 42704 for an unknown role."""
    name, at = _take_name(text, 0)
    if text[at : at + 1] != "=":
        if name not in _KEY_WORDS:
            raise InvalidTextRepresentation(
                f'unrecognized key word: "{name}"', hint='ACL key word must be "group" or "user".'
            )
        name, at = _take_name(text, at)
        if not name:
            raise InvalidTextRepresentation("missing name", hint='A name must follow the "group" or "user" key word.')
    if text[at : at + 1] != "=":
        raise InvalidTextRepresentation('missing "=" sign')
    privileges = options = bit = 0
    at += 1
    while at < len(text) and (text[at].isalpha() or text[at] == "*"):
        if text[at] == "*":
            options |= bit
        elif text[at] in LETTERS:
            bit = 1 << LETTERS.index(text[at])
            privileges |= bit
        else:
            raise InvalidTextRepresentation(f'invalid mode character: must be one of "{LETTERS}"')
        at += 1
    grantee = _role(name, env) if name else acl.PUBLIC
    grantor = 10
    if text[at : at + 1] == "/":
        name, at = _take_name(text, at + 1)
        if not name:
            raise InvalidTextRepresentation('a name must follow the "/" sign')
        grantor = _role(name, env)
    if at < len(text):
        raise InvalidTextRepresentation("extra garbage at the end of the ACL specification")
    return encode(AclItem(grantee, grantor, privileges, options))


def _role(name: str, env: TypeEnv) -> int:
    if env.lookup is None:
        if name.isdigit():
            return int(name)
        raise NotSupported("names of roles need a catalog")
    return int(env.lookup("acl_role_in", name))


def aclitem_out(value: str, env: TypeEnv) -> str:
    """With names; a role that is gone is shown as its OID."""
    item = decode(value)
    grantee = _name(item.grantee, env) if item.grantee else ""
    return f"{grantee}={acl.letters(item)}/{_name(item.grantor, env)}"


def _name(role: int, env: TypeEnv) -> str:
    name = None if env.lookup is None else env.lookup("acl_role_out", role)
    if name is None:
        return str(role)
    if all(char == "_" or (char.isascii() and char.isalnum()) for char in name):
        return str(name)
    return '"' + str(name).replace('"', '""') + '"'


string_type(
    1033,
    "aclitem",
    length=12,
    category="U",
    align="i",
    storage="p",
    collation=0,
    array=1034,
    input=aclitem_in,
    output=aclitem_out,
    text_bytes=None,
    receive=None,
    send=None,
    sort_key=None,
)


def _make(grantee: int, grantor: int, name: str, grantable: bool) -> str:
    upper = name.upper()
    bit = NAMES.get("TEMPORARY" if upper == "TEMP" else upper)
    if bit is None:
        raise InvalidParameterValue(f'unrecognized privilege type: "{name}"')
    return encode(AclItem(grantee, grantor, bit, bit if grantable else 0))


_DEFAULTS = {
    "c": "column", "r": "table", "s": "sequence", "d": "database", "f": "function", "l": "language",
    "L": "large object", "n": "schema", "p": "parameter", "t": "tablespace", "F": "foreign-data wrapper",
    "S": "foreign server", "T": "type",
}  # fmt: skip


def _default(kind: str, owner: int) -> list[str]:
    if kind not in _DEFAULTS:
        raise InternalError(f"unrecognized objtype abbreviation: {kind}")
    return acl.encode_all(acl_default(_DEFAULTS[kind], owner))


def _contains(items: list[str], wanted: str) -> bool:
    item = decode(wanted)
    for each in map(decode, items):
        if (each.grantee, each.grantor) == (item.grantee, item.grantor) and not (
            item.privileges & ~each.privileges or item.options & ~each.options
        ):
            return True
    return False


def _explode(items: list[str]) -> Iterator[Row]:
    for item in map(decode, items):
        for name, bit in NAMES.items():
            if item.privileges & bit:
                yield item.grantor, item.grantee, name, bool(item.options & bit)


def _no_longer(name: str) -> Datum:
    raise NotSupported(f"{name} is no longer supported")


fn(1062, "aclitemeq(aclitem, aclitem) bool", lambda a, b: decode(a) == decode(b))
fn(1035, "aclinsert(aclitem[], aclitem) aclitem[]", lambda items, item: _no_longer("aclinsert"))
fn(1036, "aclremove(aclitem[], aclitem) aclitem[]", lambda items, item: _no_longer("aclremove"))
fn(1037, "aclcontains(aclitem[], aclitem) bool", _contains)
fn(1365, "makeaclitem(oid, oid, text, bool) aclitem", _make)
fn(3943, "acldefault(char, oid) aclitem[]", _default)
fn(
    1689,
    "aclexplode(aclitem[]) setof record stable",
    _explode,
    argument_names=("acl",),
    out_columns=(
        ("grantor", TYPE_OIDS["oid"]),
        ("grantee", TYPE_OIDS["oid"]),
        ("privilege_type", TYPE_OIDS["text"]),
        ("is_grantable", TYPE_OIDS["bool"]),
    ),
)

operators("""
966 aclitem[] + aclitem aclitem[] 1035
967 aclitem[] - aclitem aclitem[] 1036
968 aclitem[] @> aclitem bool 1037
974 aclitem = aclitem bool 1062 commutator=974 hashes
""")
operator_classes("""
10059 aclitem_ops 2235 aclitem_ops aclitem 405 default 974 329,777
""")
