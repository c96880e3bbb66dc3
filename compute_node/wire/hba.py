"""Who may connect, from where, and how they prove who they are: pg_hba.conf rules (manual, chapter 21.1), sans I/O.

::

    text ─ parse ─► Rules ─ match(connection) ─► Rule ─► trust | reject | scram-sha-256 | md5 | password

The first rule that fits decides; none fits: refused. A line that cannot be read keeps its error (``pg_hba_file_rules``
shows it), and rules with such a line are never put in force. Methods that are not here (peer, cert, ldap, gss, …) are
errors of their line. Host names are not looked up; ``samehost`` and ``samenet`` fit loopback only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

TYPES: Final = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")
METHODS: Final = ("trust", "reject", "scram-sha-256", "md5", "password")
ELSEWHERE: Final = ("gss", "sspi", "ident", "peer", "ldap", "radius", "cert", "pam", "bsd")
"""Methods that PostgreSQL has and this server does not."""
DEFAULT_TRUST: Final = """\
# TYPE  DATABASE  USER  ADDRESS       METHOD
local   all       all                 trust
host    all       all   127.0.0.1/32  trust
host    all       all   ::1/128       trust
host    all       all   all           scram-sha-256
"""
"""In force where the superuser has no password and there is no file: this machine is trusted, nobody else."""
DEFAULT_PASSWORD: Final = """\
# TYPE  DATABASE  USER  ADDRESS  METHOD
local   all       all            scram-sha-256
host    all       all   all      scram-sha-256
"""
"""In force where the superuser has a password and there is no file: everybody is asked, loopback included."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a line; a quoted one is never a keyword."""

    text: str
    quoted: bool = False

    def is_keyword(self, word: str) -> bool:
        """Whether it is this keyword."""
        return not self.quoted and self.text == word


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. ``network`` is None for ``local`` and for the address words ``all``, ``samehost``, ``samenet``."""

    line: int
    type: str = ""
    databases: tuple[Token, ...] = ()
    users: tuple[Token, ...] = ()
    address: str | None = None
    netmask: str | None = None
    network: Network | None = None
    method: str = ""
    options: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of a connection before it has proved anything. ``address`` None: a unix socket.

    ``is_member(role)`` says whether the user belongs to a role, directly or through others; a superuser does not by
    being one.
    """

    user: str
    database: str
    address: Address | None
    tls: bool
    is_member: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole file."""

    rules: tuple[Rule, ...]

    @property
    def errors(self) -> list[str]:
        """What is wrong, a line each; empty when it may be put in force."""
        found = [f"line {rule.line}: {rule.error}" for rule in self.rules if rule.error is not None]
        return found if self.rules else ["it contains no entries"]

    def match(self, client: Client) -> Rule | None:
        """The first rule that fits."""
        return next((rule for rule in self.rules if rule.error is None and _fits(rule, client)), None)


def parse(text: str) -> Rules:
    """The rules of a file's text; comments and empty lines are left out."""
    rules = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        while line.endswith("\\") and at + 1 < len(lines):  # a line goes on after a backslash
            at += 1
            line = line[:-1] + lines[at]
        at += 1
        try:
            fields = _fields(line)
            if fields:
                rules.append(_rule(number, fields))
        except ValueError as error:
            rules.append(Rule(number, error=str(error)))
    return Rules(tuple(rules))


def address_of(text: str) -> Address | None:
    """An address as asyncio gives it; IPv4 in IPv6's clothes is IPv4. None for what is none."""
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _fields(line: str) -> list[list[Token]]:
    """The fields of a line, each a list of tokens that commas separate."""
    fields: list[list[Token]] = []
    comma = False
    at = 0
    while at < len(line):
        char = line[at]
        if char == "#":
            break
        if char.isspace():
            at += 1
            continue
        if char == ",":
            comma, at = True, at + 1
            continue
        token, at = _token(line, at)
        if comma and fields:
            fields[-1].append(token)
        else:
            fields.append([token])
        comma = False
    return fields


def _token(line: str, at: int) -> tuple[Token, int]:
    text, quoted, inside = "", False, False
    while at < len(line):
        char = line[at]
        if char == '"':
            if inside and line[at + 1 : at + 2] == '"':
                text, at = text + '"', at + 1
            else:
                inside, quoted = not inside, True
        elif not inside and (char.isspace() or char in ",#"):
            break
        else:
            text += char
        at += 1
    if inside:
        raise ValueError("unterminated quoted string")
    return Token(text, quoted), at


def _single(field: Sequence[Token], what: str) -> str:
    if len(field) > 1:
        raise ValueError(f"multiple values specified for {what}")
    return field[0].text


def _rule(line: int, fields: list[list[Token]]) -> Rule:
    """One rule. ValueError with PostgreSQL's words for what is wrong with it."""
    kind = _single(fields[0], "connection type")
    if kind not in TYPES:
        raise ValueError(f'invalid connection type "{kind}"')
    rest = fields[1:]
    if not rest:
        raise ValueError("end-of-line before database specification")
    databases = tuple(_no_files(rest.pop(0)))
    if not rest:
        raise ValueError("end-of-line before role specification")
    users = tuple(_no_files(rest.pop(0)))
    address = netmask = None
    network: Network | None = None
    if kind != "local":
        if not rest:
            raise ValueError("end-of-line before IP address specification")
        address, netmask, network = _address(rest)
    if not rest:
        raise ValueError("end-of-line before authentication method")
    method = _single(rest.pop(0), "authentication type")
    if method in ELSEWHERE:
        raise ValueError(f'authentication method "{method}" is not supported by this server')
    if method not in METHODS:
        raise ValueError(f'invalid authentication method "{method}"')
    options = tuple(token.text for field in rest for token in field)
    for option in options:
        if "=" not in option:
            raise ValueError(f"authentication option not in name=value format: {option}")
        raise ValueError(f'unrecognized authentication option name: "{option.partition("=")[0]}"')
    return Rule(line, kind, databases, users, address, netmask, network, method, options)


def _no_files(tokens: list[Token]) -> list[Token]:
    for token in tokens:
        if not token.quoted and token.text.startswith("@"):
            raise ValueError(f'could not open secondary authentication file "{token.text}": files are not included')
    return tokens


def _address(rest: list[list[Token]]) -> tuple[str, str | None, Network | None]:
    token = rest[0][0]
    text = _single(rest.pop(0), "host address")
    if not token.quoted and text in ("all", "samehost", "samenet"):
        return text, None, None
    base, slash, length = text.partition("/")
    try:
        address = ipaddress.ip_address(base)
    except ValueError:
        if slash:
            raise ValueError(f'specifying both host name and CIDR mask is invalid: "{text}"') from None
        raise ValueError(f'host names are not looked up: "{text}"; give an address') from None
    if slash:
        if not length.isdigit() or int(length) > address.max_prefixlen:
            raise ValueError(f'invalid CIDR mask in address "{text}"')
        network = ipaddress.ip_network((base, int(length)), strict=False)
        return base, str(network.netmask), network
    if not rest:
        raise ValueError("end-of-line before netmask specification")
    mask = _single(rest.pop(0), "netmask")
    try:
        bits = ipaddress.ip_address(mask)
    except ValueError as error:
        raise ValueError(f'invalid IP mask "{mask}": {error}') from error
    if bits.version != address.version:
        raise ValueError("IP address and mask do not match")
    digits = f"{int(bits):0{bits.max_prefixlen}b}"
    if "01" in digits:
        raise ValueError(f'invalid IP mask "{mask}": it has a gap')
    return base, mask, ipaddress.ip_network((base, digits.count("1")), strict=False)


def _fits(rule: Rule, client: Client) -> bool:
    if (rule.type == "local") != (client.address is None):
        return False
    if rule.type == "hostgssenc" or (rule.type in ("hostssl", "hostnossl") and client.tls != (rule.type == "hostssl")):
        return False
    if client.address is not None and rule.type != "local":
        if rule.network is None:
            if rule.address != "all" and not client.address.is_loopback:
                return False
        elif client.address not in rule.network:
            return False
    return any(_is_database(token, client) for token in rule.databases) and any(
        _is_user(token, client) for token in rule.users
    )


def _is_database(token: Token, client: Client) -> bool:
    if token.is_keyword("all"):
        return True
    if token.is_keyword("sameuser"):
        return client.user == client.database
    if token.is_keyword("samerole") or token.is_keyword("samegroup"):
        return client.user == client.database or client.is_member(client.database)
    return not token.is_keyword("replication") and token.text == client.database


def _is_user(token: Token, client: Client) -> bool:
    if token.is_keyword("all"):
        return True
    if not token.quoted and token.text.startswith("+"):
        return token.text[1:] == client.user or client.is_member(token.text[1:])
    return token.text == client.user
