"""Replay of `protocol.txt`: packets of messages → what the server answers, as short lines.

A line of the file is one packet. `Q sql` is a simple query. Everything else is messages of the extended protocol with
` | ` between them, and a Sync after the last:

    P name: sql          Parse                D S name, D P portal    Describe
    B portal name: a, b  Bind, values as text E portal [limit]        Execute
    C S name, C P portal Close

`F oid formats: a, b` is a FunctionCall, without a Sync: a digit for the format of each argument (or one for all, or
none), one for the result's; `0x` begins a value in hexadecimal.

`-` is the unnamed statement or portal. `T` in an answer lists the columns, `D` a row's values.
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

SCRIPT = Path(__file__).parent / "protocol.txt"
EXPECTED = Path(__file__).parent / "expected" / "protocol.json"
_SHOWN = "SCMDHP"
"""Fields of errors and notices: severity, SQLSTATE, message, detail, hint, position."""


def steps() -> list[str]:
    """The packets of the script."""
    lines = SCRIPT.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _message(kind: str, payload: bytes) -> bytes:
    return kind.encode() + struct.pack("!i", len(payload) + 4) + payload


def _name(text: str) -> bytes:
    return b"\0" if text == "-" else text.encode() + b"\0"


def _encode(text: str) -> bytes:
    kind, rest = text[0], text[2:]
    if kind == "P":
        name, _, sql = rest.partition(": ")
        return _message("P", _name(name) + sql.encode() + b"\0\0\0")
    if kind == "B":
        names, _, values = rest.partition(":")
        portal, statement = names.split()
        given = [value.strip() for value in values.split(",")] if values.strip() else []
        body = _name(portal) + _name(statement) + struct.pack("!HH", 0, len(given))
        for value in given:
            body += struct.pack("!i", -1) if value == "NULL" else struct.pack("!i", len(value)) + value.encode()
        return _message("B", body + b"\0\0")
    if kind == "F":
        return _message("F", _function_call(rest))
    words = rest.split()
    if kind == "E":
        return _message("E", _name(words[0]) + struct.pack("!i", int(words[1]) if len(words) > 1 else 0))
    return _message(kind, words[0].encode() + _name(words[1]))


def _function_call(rest: str) -> bytes:
    head, _, values = rest.partition(":")
    oid, formats = head.split()
    given = [value.strip() for value in values.split(",")] if values.strip() else []
    body = struct.pack("!IH", int(oid), len(formats) - 1)
    body += b"".join(struct.pack("!H", int(each)) for each in formats[:-1]) + struct.pack("!H", len(given))
    for value in given:
        raw = bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
        body += struct.pack("!i", -1) if value == "NULL" else struct.pack("!i", len(raw)) + raw
    return body + struct.pack("!H", int(formats[-1]))


def packet(step: str) -> bytes:
    """The bytes of one line."""
    if step.startswith("Q "):
        return _message("Q", step[2:].encode() + b"\0")
    if step.startswith("F "):
        return _encode(step)
    return b"".join(_encode(part.strip()) for part in step.split(" | ")) + _message("S", b"")


class Client:
    """A connection that shows every message."""

    def __init__(self, dsn: str) -> None:
        options = conninfo_to_dict(dsn)
        host, port = str(options.get("host", "127.0.0.1")), int(options.get("port", 5432))
        if host.startswith("/"):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self._socket = socket.create_connection((host, port))
        self._data = b""
        body = b"user\0postgres\0database\0postgres\0\0"
        self._socket.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        self._answer()

    def send(self, step: str) -> list[str]:
        """What the server answers to one packet, to ReadyForQuery or the end of the connection."""
        self._socket.sendall(packet(step))
        return [_shown(kind, payload) for kind, payload in self._answer() if kind != "S"]

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _answer(self) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        while not found or found[-1][0] not in ("Z", "EOF"):
            found.append(self._one())
        return found

    def _one(self) -> tuple[str, bytes]:
        while True:
            if len(self._data) >= 5:
                end = 1 + int.from_bytes(self._data[1:5], "big")
                if len(self._data) >= end:
                    whole, self._data = self._data[:end], self._data[end:]
                    return chr(whole[0]), whole[5:]
            more = self._socket.recv(65536)
            if not more:
                return "EOF", b""
            self._data += more


def _shown(kind: str, payload: bytes) -> str:
    if kind in "EN" and payload:
        fields = {item[:1].decode(): item[1:].decode() for item in payload.split(b"\0") if item}
        text = " ".join(f"{code}={fields[code]}" for code in _SHOWN if code in fields)
        # Where it was raised is the server's own matter, but for an error that drivers know by it.
        known = " R=RevalidateCachedQuery" if fields.get("R") == "RevalidateCachedQuery" else ""
        return f"{kind} {text}{known}" if kind == "N" or {"F", "L", "R"} <= fields.keys() else f"{kind} no origin"
    if kind == "T":
        names, at = [], 2
        for _ in range(int.from_bytes(payload[:2], "big")):
            end = payload.index(b"\0", at)
            names.append(f"{payload[at:end].decode()}:{int.from_bytes(payload[end + 7 : end + 11], 'big')}")
            at = end + 19
        return "T " + " ".join(names)
    if kind == "D":
        values, at = [], 2
        for _ in range(int.from_bytes(payload[:2], "big")):
            length = int.from_bytes(payload[at : at + 4], "big", signed=True)
            at += 4
            value = payload[at : at + max(length, 0)]
            readable = value.isascii() and b"\0" not in value
            values.append("NULL" if length < 0 else value.decode() if readable else value.hex())
            at += max(length, 0)
        return "D " + " | ".join(values)
    if kind == "t":
        return "t " + " ".join(str(oid) for oid in struct.unpack(f"!{(len(payload) - 2) // 4}I", payload[2:]))
    if kind in "CZ":
        return f"{kind} {payload.decode().rstrip(chr(0))}"
    return f"{kind} {payload.hex()}" if kind in "dV" else kind


def replay(dsn: str) -> list[dict[str, object]]:
    """The answers to the whole script, on one connection (a new one where it has ended)."""
    client = Client(dsn)
    found: list[dict[str, object]] = []
    for step in steps():
        answer = client.send(step)
        if answer[-1] == "EOF":
            client.close()
            client = Client(dsn)
        found.append({"packet": step, "answer": answer})
    client.close()
    return found


def write(dsn: str) -> None:
    """Record the answers of the server at ``dsn``."""
    lines = [json.dumps(entry, ensure_ascii=False) for entry in replay(dsn)]
    EXPECTED.write_text("[\n" + ",\n".join(lines) + "\n]\n")
