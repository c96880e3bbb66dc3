"""Rules of who may connect: PostgreSQL 15's pg_hba.conf, its errors, and who fits which line."""

from __future__ import annotations

import ipaddress

import pytest

from compute_node.wire import hba
from compute_node.wire.throttle import DELAY_MAX_S, ENTRIES_MAX, FREE_FAILURES, QUIET_S, Throttle

RULES = """\
# a comment
local   all            all                              trust
hostssl payroll        +staff        10.0.0.0/8         scram-sha-256
host    payroll        all           0.0.0.0/0          reject
host    sameuser       all           all                md5
host    samerole       "All"         samehost           password   # the quoted name is a role
host    "all"          dave,eve      192.168.1.7 255.255.255.0  trust
hostnossl replication  all           ::1/128            trust
host    all            postgres      ::1/128 \\
        trust
"""


def client(
    user: str, database: str, address: str | None = "127.0.0.1", tls: bool = False, groups: tuple[str, ...] = ()
) -> hba.Client:
    return hba.Client(user, database, hba.address_of(address) if address else None, tls, lambda role: role in groups)


@pytest.mark.parametrize(
    ("who", "line"),
    [
        (client("anna", "x", None), 2),
        (client("bob", "payroll", "10.1.2.3", True, ("staff",)), 3),
        (client("bob", "payroll", "10.1.2.3", False, ("staff",)), 4),
        (client("bob", "payroll", "10.1.2.3", True), 4),
        (client("staff", "payroll", "::ffff:10.1.2.3", True), 3),
        (client("carl", "carl", "203.0.113.9"), 5),
        (client("All", "team", groups=("team",)), 6),
        (client("All", "team", "10.0.0.1", groups=("team",)), None),
        (client("any", "team", groups=("team",)), None),
        (client("eve", "all", "192.168.1.200"), 7),
        (client("eve", "other", "192.168.1.200"), None),
        (client("postgres", "postgres", "::1"), 5),
        (client("postgres", "other", "::1"), 9),
        (client("postgres", "other", "::2"), None),
        (client("x", "replication", "::1"), None),
    ],
)
def test_the_first_rule_that_fits_decides(who: hba.Client, line: int | None) -> None:
    rule = hba.parse(RULES).match(who)
    assert (rule and rule.line) == line


def test_a_file_is_shown_as_postgresql_shows_it() -> None:
    rules = hba.parse(RULES).rules
    assert [(r.line, r.type, r.address, r.netmask, r.method) for r in rules[:3]] == [
        (2, "local", None, None, "trust"),
        (3, "hostssl", "10.0.0.0", "255.0.0.0", "scram-sha-256"),
        (4, "host", "0.0.0.0", "0.0.0.0", "reject"),
    ]
    assert rules[5].network == ipaddress.ip_network("192.168.1.0/24")
    assert hba.parse(RULES).errors == []


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("hots all all all trust", 'invalid connection type "hots"'),
        ("host", "end-of-line before database specification"),
        ("host all", "end-of-line before role specification"),
        ("host all all", "end-of-line before IP address specification"),
        ("host all all 10.0.0.1", "end-of-line before netmask specification"),
        ("host all all 10.0.0.0/8", "end-of-line before authentication method"),
        ("host all all 10.0.0.0/40 trust", 'invalid CIDR mask in address "10.0.0.0/40"'),
        ("host all all 10.0.0.0 ffff:: trust", "IP address and mask do not match"),
        ("host all all 10.0.0.0 255.0.255.0 trust", 'invalid IP mask "255.0.255.0": it has a gap'),
        (
            "host all all 10.0.0.0 255.0 trust",
            "invalid IP mask \"255.0\": '255.0' does not appear to be an IPv4 or IPv6 address",
        ),
        ("host all all example.org trust", 'host names are not looked up: "example.org"; give an address'),
        ("host all all all nothing", 'invalid authentication method "nothing"'),
        ("local all all peer", 'authentication method "peer" is not supported by this server'),
        ("host all all 1.1.1.1,2.2.2.2 trust", "multiple values specified for host address"),
        ("host all all all trust map=x", 'unrecognized authentication option name: "map"'),
        ("host all @users all trust", 'could not open secondary authentication file "@users": files are not included'),
        ('host all "x all trust', "unterminated quoted string"),
    ],
)
def test_a_line_that_cannot_be_read_keeps_its_error(line: str, error: str) -> None:
    rules = hba.parse(f"local all all trust\n{line}\n")
    assert rules.errors == [f"line 2: {error}"]
    assert rules.match(client("a", "b", None)) is rules.rules[0]


def test_an_empty_file_is_no_set_of_rules() -> None:
    assert hba.parse("# nothing\n").errors == ["it contains no entries"]


def test_the_rules_without_a_file() -> None:
    for text, method in ((hba.DEFAULT_TRUST, "trust"), (hba.DEFAULT_PASSWORD, "scram-sha-256")):
        rules = hba.parse(text)
        assert rules.errors == []
        for address, expected in (
            ("127.0.0.1", method),
            ("::1", method),
            (None, method),
            ("10.0.0.1", "scram-sha-256"),
        ):
            rule = rules.match(client("postgres", "postgres", address))
            assert rule is not None
            assert rule.method == expected


def test_wrong_passwords_cost_more_and_more_time() -> None:
    throttle = Throttle()
    waits = []
    now = 0.0
    for _ in range(12):
        wait = throttle.wait_s("eve", "10.0.0.1", now)
        assert wait is not None
        waits.append(wait)
        now += wait
        throttle.failed("eve", "10.0.0.1", now)
    assert waits[: FREE_FAILURES + 1] == [0.0] * (FREE_FAILURES + 1)
    paid = waits[FREE_FAILURES + 1 :]
    assert paid == pytest.approx([min(DELAY_MAX_S, 0.1 * 2**n) for n in range(len(paid))])
    assert throttle.failures == 12
    assert throttle.wait_s("eve", "10.0.0.2", now) == throttle.wait_s("anna", "10.0.0.1", now) == 0.0


def test_many_connections_at_once_guess_no_faster_than_one() -> None:
    throttle = Throttle()
    for _ in range(8):
        throttle.failed("eve", "a", 0.0)
    waits = [throttle.wait_s("eve", "a", 0.0) for _ in range(1000)]
    granted = [wait for wait in waits if wait is not None]
    assert granted == sorted(set(granted))
    assert len(granted) < 20
    assert throttle.refusals == 1000 - len(granted)


def test_a_right_password_and_quiet_end_it() -> None:
    throttle = Throttle()
    for _ in range(6):
        throttle.failed("eve", "a", 0.0)
        throttle.failed("bob", "a", 0.0)
    throttle.succeeded("eve", "a")
    assert throttle.wait_s("eve", "a", 0.0) == 0.0
    assert throttle.wait_s("bob", "a", 0.0)
    assert throttle.wait_s("bob", "a", QUIET_S + 1) == 0.0


def test_the_table_of_failures_is_bounded() -> None:
    throttle = Throttle()
    for number in range(ENTRIES_MAX + 50):
        throttle.failed(f"role{number}", "a", 0.0)
    assert len(throttle._entries) == ENTRIES_MAX
