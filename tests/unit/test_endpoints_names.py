"""Names of AWS's shape, and a name server's answers: what is there, what is not, what is not ours."""

from __future__ import annotations

import asyncio
import socket

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from aurora.programs.endpoints.dns import NameServer
from aurora.programs.endpoints.names import TTL_S, Names, identifier
from aurora.programs.endpoints.spec import Endpoint, Kind

ID = identifier(bytes(16))
TAIL = "us-east-1.rds.amazonaws.com"


def some() -> Names:
    names = Names("shop", ID)
    names.set(
        [
            Endpoint("cluster", Kind.WRITER, "127.0.0.27:5432"),
            Endpoint("reader", Kind.READER, "127.0.0.28:5432"),
            Endpoint("reports", Kind.CUSTOM, "127.0.0.29:5432"),
            Endpoint("six", Kind.CUSTOM, "[::1]:5432"),
        ],
        {"instance-1": "127.0.0.11", "everywhere": "0.0.0.0"},
    )
    return names


def ask(name: str, kind: str = "A", names: Names | None = None) -> DNSRecord:
    packed = (names or some()).answer(DNSRecord.question(name, kind).pack())
    assert packed is not None
    return DNSRecord.parse(packed)


def test_an_id_is_of_the_shape_that_drivers_look_for() -> None:
    assert len(ID) == 12 and ID.isalnum() and ID.islower() and ID[0].isalpha()
    assert ID == identifier(bytes(16)) != identifier(b"x" * 16)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (f"shop.cluster-{ID}.{TAIL}", "127.0.0.27"),
        (f"shop.cluster-ro-{ID}.{TAIL}", "127.0.0.28"),
        (f"reports.cluster-custom-{ID}.{TAIL}", "127.0.0.29"),
        (f"instance-1.{ID}.{TAIL}", "127.0.0.11"),
        (f"INSTANCE-1.{ID.upper()}.US-EAST-1.RDS.amazonaws.com.", "127.0.0.11"),
    ],
)
def test_names_that_are_there(name: str, address: str) -> None:
    reply = ask(name)
    assert reply.header.rcode == RCODE.NOERROR and reply.header.aa and reply.header.qr
    assert [(str(record.rdata), record.ttl) for record in reply.rr] == [(address, TTL_S)]


def test_another_type_is_no_answer_and_no_error() -> None:
    reply = ask(f"shop.cluster-{ID}.{TAIL}", "AAAA")
    assert reply.header.rcode == RCODE.NOERROR and not reply.rr
    assert [record.rtype for record in reply.auth] == [QTYPE.SOA]
    assert str(ask(f"six.cluster-custom-{ID}.{TAIL}", "AAAA").rr[0].rdata) == "::1"
    assert ask(f"cluster-{ID}.{TAIL}", "SOA").rr[0].rtype == QTYPE.SOA


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"other.cluster-{ID}.{TAIL}", RCODE.NXDOMAIN),
        (f"everywhere.{ID}.{TAIL}", RCODE.NXDOMAIN),
        (f"a.b.c.{ID}.{TAIL}", RCODE.NXDOMAIN),
        (f"shop.cluster-cother.{TAIL}", RCODE.REFUSED),
        (f"shop.cluster-{ID}.eu-west-1.rds.amazonaws.com", RCODE.REFUSED),
        (f"x{ID}.{TAIL}", RCODE.REFUSED),
        ("example.com", RCODE.REFUSED),
        (".", RCODE.REFUSED),
    ],
)
def test_names_that_are_not_there_and_names_of_others(name: str, code: int) -> None:
    reply = ask(name)
    assert reply.header.rcode == code and not reply.rr


def test_answers_are_not_answered_and_rubbish_is_told_so() -> None:
    names = some()
    answer = names.answer(DNSRecord.question("example.com").pack())
    assert answer is not None and names.answer(answer) is None
    assert names.answer(b"short") is None
    broken = DNSRecord.question("example.com").pack()[:-3]
    told = names.answer(broken)
    assert told is not None and DNSRecord.parse(told).header.rcode == RCODE.FORMERR and told[:2] == broken[:2]
    update = DNSRecord.question("example.com")
    update.header.opcode = 5
    told = names.answer(update.pack())
    assert told is not None and DNSRecord.parse(told).header.rcode == RCODE.NOTIMP


def test_edns_is_answered_in_kind() -> None:
    query = DNSRecord.question(f"shop.cluster-{ID}.{TAIL}")
    query.add_ar(EDNS0(udp_len=4096))
    answer = some().answer(query.pack())
    assert answer is not None
    assert [record.rtype for record in DNSRecord.parse(answer).ar] == [QTYPE.OPT]


@given(st.binary(max_size=80))
def test_no_packet_breaks_it(packet: bytes) -> None:
    some().answer(packet)


@given(st.integers(0, 60), st.integers(0, 255))
def test_no_changed_query_breaks_it(at: int, value: int) -> None:
    packet = bytearray(DNSRecord.question(f"shop.cluster-{ID}.{TAIL}").pack())
    packet[at % len(packet)] = value
    some().answer(bytes(packet))


def test_it_answers_over_udp_and_tcp_and_shows_hosts() -> None:
    assert f"127.0.0.27\tshop.cluster-{ID}.{TAIL}\n" in some().text()

    async def test() -> None:
        server = NameServer(some())
        await server.start("127.0.0.1", 0)
        query = DNSRecord.question(f"shop.cluster-{ID}.{TAIL}").pack()
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(server.address)
            client.send(query)
            assert str(DNSRecord.parse(await loop.sock_recv(client, 2000)).rr[0].rdata) == "127.0.0.27"
        reader, writer = await asyncio.open_connection(*server.address)
        for _ in range(2):
            writer.write(len(query).to_bytes(2, "big") + query)
            length = int.from_bytes(await reader.readexactly(2), "big")
            assert str(DNSRecord.parse(await reader.readexactly(length)).rr[0].rdata) == "127.0.0.27"
        writer.write(b"\0\5short")
        assert await reader.read() == b""
        writer.close()
        server.close()

    asyncio.run(asyncio.wait_for(test(), 10))
