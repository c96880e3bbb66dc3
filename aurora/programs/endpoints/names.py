"""Names of AWS's shape for a cluster's endpoints and instances, and the answers of a name server for them, sans I/O.

::

    CLUSTER.cluster-ID.REGION.rds.amazonaws.com      the cluster endpoint
    CLUSTER.cluster-ro-ID.REGION.rds.amazonaws.com   the reader endpoint
    NAME.cluster-custom-ID.REGION.rds.amazonaws.com  a custom endpoint
    INSTANCE.ID.REGION.rds.amazonaws.com             an instance

Names of these four zones that are not there do not exist (NXDOMAIN); all other names are refused (REFUSED), AWS's own
among them, so that a resolver asks the next server. Source: RFC 1035, 2308, 6891.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dnslib import AAAA, CLASS, EDNS0, QTYPE, RCODE, RR, SOA, A, DNSError, DNSHeader, DNSRecord

from aurora.addresses import parse_listen
from aurora.programs.endpoints.spec import Endpoint, Kind

TTL_S: Final = 5
REGION_DEFAULT: Final = "us-east-1"
DOMAIN: Final = "rds.amazonaws.com"
ID_LENGTH: Final = 12
UDP_BYTES: Final = 1232
HEADER_BYTES: Final = 12
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX: Final = {Kind.WRITER: "cluster-", Kind.READER: "cluster-ro-", Kind.CUSTOM: "cluster-custom-"}


def identifier(volume_id: bytes) -> str:
    """The part that AWS makes of account and region: twelve lower-case letters and digits, first a ``c``."""
    text = base64.b32encode(hashlib.sha256(volume_id).digest()).decode().lower()
    return "c" + text[: ID_LENGTH - 1]


def is_label(text: str) -> bool:
    """Whether it can be one part of a host name."""
    return _LABEL.fullmatch(text) is not None


@dataclass(slots=True)
class Names:
    """The names of one cluster. ``hosts``: address by name."""

    cluster: str
    id: str
    region: str = REGION_DEFAULT
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that all names are in."""
        return tuple(f"{prefix}{self.id}.{self.region}.{DOMAIN}" for prefix in ("", *_PREFIX.values()))

    def set(self, endpoints: Iterable[Endpoint], instances: Mapping[str, str]) -> None:
        """What there is now: endpoints, and the instances' hosts by id. Hosts that are no IP address have no name
        here."""
        found = {}
        for endpoint in endpoints:
            name = self.cluster if endpoint.kind is not Kind.CUSTOM else endpoint.name
            found[f"{name}.{_PREFIX[endpoint.kind]}{self.id}.{self.region}.{DOMAIN}"] = parse_listen(endpoint.address)[
                0
            ]
        for instance_id, host in instances.items():
            found[f"{instance_id}.{self.id}.{self.region}.{DOMAIN}"] = host
        self.hosts = {name.lower(): host for name, host in found.items() if _is_address(host)}

    def answer(self, packet: bytes, bytes_max: int = UDP_BYTES) -> bytes | None:
        """The answer to a query; None: it deserves none. One that is longer than ``bytes_max`` is cut, and says so."""
        try:
            query = DNSRecord.parse(packet)
        except (DNSError, ValueError, IndexError):
            return _unreadable(packet)
        if query.header.qr:
            return None  # an answer: to answer it could go on for ever
        reply = query.reply(ra=0, aa=1)
        if any(record.rtype == QTYPE.OPT for record in query.ar):
            reply.add_ar(EDNS0(udp_len=UDP_BYTES))
        if query.header.opcode:
            reply.header.rcode = RCODE.NOTIMP
        elif len(query.questions) != 1:
            reply.header.rcode = RCODE.FORMERR
        else:
            self._fill(reply)
        packed = bytes(reply.pack())
        return packed if len(packed) <= bytes_max else bytes(reply.truncate().pack())

    def _fill(self, reply: DNSRecord) -> None:
        asked = reply.questions[0]
        name = str(asked.qname).rstrip(".").lower()
        zone = next((zone for zone in self.zones if name == zone or name.endswith("." + zone)), None)
        if zone is None or asked.qclass != CLASS.IN:
            reply.header.rcode, reply.header.aa = RCODE.REFUSED, 0
            return
        host = self.hosts.get(name)
        if host is not None:
            version = ipaddress.ip_address(host).version
            if version == 4 and asked.qtype in (QTYPE.A, QTYPE.ANY):
                reply.add_answer(RR(asked.qname, QTYPE.A, ttl=TTL_S, rdata=A(host)))
            elif version == 6 and asked.qtype in (QTYPE.AAAA, QTYPE.ANY):
                reply.add_answer(RR(asked.qname, QTYPE.AAAA, ttl=TTL_S, rdata=AAAA(host)))
        elif name != zone:
            reply.header.rcode = RCODE.NXDOMAIN
        elif asked.qtype in (QTYPE.SOA, QTYPE.ANY):
            reply.add_answer(_authority(zone))
        if not reply.rr:
            reply.add_auth(_authority(zone))

    def text(self) -> str:
        """The same as lines of /etc/hosts."""
        return "".join(f"{host}\t{name}\n" for name, host in self.hosts.items())


def _authority(zone: str) -> RR:
    times = (1, 60, 60, 60, TTL_S)  # serial, refresh, retry, expire, and how long "there is none" may be kept
    return RR(zone, QTYPE.SOA, ttl=TTL_S, rdata=SOA(f"ns.{zone}", f"hostmaster.{zone}", times))


def _is_address(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _unreadable(packet: bytes) -> bytes | None:
    """FORMERR, as far as the packet has a header that tells whom to answer."""
    if len(packet) < HEADER_BYTES or packet[2] & 0x80:
        return None
    header = DNSHeader(id=int.from_bytes(packet[:2], "big"), qr=1, rcode=RCODE.FORMERR, bitmap=None)
    return bytes(DNSRecord(header).pack())
