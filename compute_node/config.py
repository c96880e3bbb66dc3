"""The compute node's configuration: command line and environment, read once into a frozen dataclass.

Every flag ``--some-flag`` may also be given as ``AURORA_SOME_FLAG``; the command line wins.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aurora.addresses import is_loopback, parse_listen
from aurora.rpc import secret
from aurora.rpc.tls import TlsFiles, files_of

WRITER = "writer"
READER = "reader"
PROMOTION_TIER_DEFAULT = 1
PROMOTION_TIER_MAX = 15
PAGES_PER_PG_DEFAULT = (10 << 30) // 8192
CACHE_MB_MIN = 8
MEMORY_MB_MIN = 16


class ConfigError(Exception):
    """A flag that makes no sense; the message names it."""


@dataclass(frozen=True, slots=True)
class Config:
    """``pages_per_pg`` counts only when the volume is created. ``password`` is the superuser's, None for none.
    ``feed_listen`` is where other instances find this one, empty: nowhere; ``peers`` are those addresses of others."""

    id: str
    role: str
    host: str
    port: int
    storage: tuple[str, ...]
    pages_per_pg: int = PAGES_PER_PG_DEFAULT
    cache_mb: int = 512
    password: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    storage_tls: TlsFiles | None = None
    storage_secret: str | None = field(default=None, repr=False)
    max_connections: int = 10_000
    memory_mb: int = 0
    authentication_timeout_s: float = 60.0
    hba_file: Path | None = None
    verify_redo: bool = False
    tails: bool = False
    replace_after_s: float = 30.0
    zone_away_after_s: float = 600.0
    read_only_after_s: float = 0.0
    metrics_listen: str = ""
    feed_listen: str = ""
    handover: Path | None = None
    peers: tuple[str, ...] = ()
    promotion_tier: int = PROMOTION_TIER_DEFAULT
    tsearch_data: Path | None = None

    @property
    def cache_frames(self) -> int:
        """Frames of the page arena."""
        return self.cache_mb * 128

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m compute_node",
        description="One compute instance: PostgreSQL's protocol in front, a volume on six storage nodes behind. "
        "Each flag may be given in the environment as AURORA_<FLAG>.",
    )

    def flag(name: str, **options: object) -> None:
        variable = "AURORA_" + name.strip("-").replace("-", "_").upper()
        if variable in environment:
            options["default"] = environment[variable]
            options.pop("required", None)
        parser.add_argument(name, **options)  # type: ignore[arg-type]

    flag("--id", required=True, help="name of this instance")
    flag(
        "--role",
        default=WRITER,
        choices=(WRITER, READER),
        help="writer: take the volume over at once; reader: follow whoever writes it, and take over when nobody does",
    )
    flag("--listen", default="127.0.0.1:5432", help="HOST:PORT for clients; beyond loopback only with a password")
    flag("--storage", required=True, help="storage node addresses, comma separated")
    flag(
        "--pages-per-pg",
        type=int,
        default=PAGES_PER_PG_DEFAULT,
        help="protection group size in pages, for a new volume",
    )
    flag("--cache-mb", type=int, default=512, help="page cache")
    flag("--password-file", type=Path, default=None, help="superuser password (or AURORA_PASSWORD)")
    flag("--tls-cert", type=Path, default=None, help="certificate chain (PEM) for TLS")
    flag("--tls-key", type=Path, default=None, help="its private key (PEM)")
    parser.add_argument(
        "--tails", action="store_true", help="for a new volume: three of each six segments keep log only, no pages"
    )
    flag("--replace-after-s", type=float, default=30.0, help="replace a silent storage node by a spare one; 0: never")
    flag("--zone-away-after-s", type=float, default=600.0, help="count a silent zone out (3/4 quorum); 0: never")
    flag(
        "--read-only-after-s",
        type=float,
        default=0.0,
        help="at the start: open for reading with a read quorum when a write quorum is that long away; 0: wait for it",
    )
    flag("--storage-tls-ca", type=Path, default=None, help="storage speaks TLS: certificate (PEM) of its authority")
    flag("--storage-tls-cert", type=Path, default=None, help="this instance's certificate (PEM) for storage")
    flag("--storage-tls-key", type=Path, default=None, help="its private key (PEM)")
    flag("--storage-secret-file", type=Path, default=None, help="the secret that storage asks for without mutual TLS")
    flag("--max-connections", type=int, default=10_000)
    flag("--memory-mb", type=int, default=0, help="what all statements together may use; 0: half of the machine's")
    flag("--authentication-timeout-s", type=float, default=60.0, help="how long a client may take to log in")
    flag(
        "--hba-file",
        type=Path,
        default=None,
        help="rules of who may connect, in the form of pg_hba.conf; without it everybody needs a password, but on "
        "loopback when the superuser has none. Read again at SIGHUP and by pg_reload_conf()",
    )
    flag(
        "--tsearch-data",
        type=Path,
        default=None,
        help="a folder with files of text search dictionaries, which come before those of the program; the same for "
        "all instances",
    )
    flag("--feed-listen", default="", help="HOST:PORT where the other instances find this one, port 0 a free one")
    flag("--peers", default="", help="such addresses of other instances, comma separated; the writer tells the rest")
    flag(
        "--promotion-tier",
        type=int,
        default=PROMOTION_TIER_DEFAULT,
        help=f"0 to {PROMOTION_TIER_MAX}: of the readers, the one with the lowest takes over when the writer is gone",
    )
    flag(
        "--handover", type=Path, default=None, help="Unix socket on which the endpoints' router hands connections over"
    )
    flag("--metrics-listen", default="", help="HOST:PORT for /metrics and /healthz, port 0 a free one; off by default")
    parser.add_argument("--verify-redo", action="store_true", help="replay each mini-transaction and compare (slow)")
    return parser


def _check_place(args: argparse.Namespace, peers: Sequence[str]) -> None:
    """An instance's place among the others."""
    if args.role not in (WRITER, READER):  # as the environment may have it
        raise ConfigError(f"--role is {WRITER} or {READER}")
    if args.role == READER and not args.feed_listen:
        raise ConfigError("--role reader goes with --feed-listen: the other instances must find it")
    if not 0 <= int(args.promotion_tier) <= PROMOTION_TIER_MAX:
        raise ConfigError(f"--promotion-tier is from 0 to {PROMOTION_TIER_MAX}")
    for peer in peers:
        host, _, port = peer.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"--peers: {peer!r} is not HOST:PORT")


def load(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Parse and check; ConfigError for values that contradict each other."""
    args = _parser(environment).parse_args(arguments)
    host, _, port = args.listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")  # as IPv6 addresses are written
    if not host or not port.isdigit():
        raise ConfigError(f"--listen {args.listen!r} is not HOST:PORT")
    password = (
        Path(args.password_file).read_text().strip() if args.password_file else environment.get("AURORA_PASSWORD")
    )
    if not is_loopback(host) and not password:
        raise ConfigError(
            f"--listen {args.listen}: beyond loopback a password is needed (AURORA_PASSWORD or --password-file)"
        )
    if (args.tls_cert is None) != (args.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key go together")
    try:
        storage_tls = files_of(
            args.storage_tls_ca,
            args.storage_tls_cert,
            args.storage_tls_key,
            "--storage-tls-ca, --storage-tls-cert and --storage-tls-key",
        )
        storage_secret = secret.read(Path(args.storage_secret_file)) if args.storage_secret_file else None
    except (ValueError, secret.SecretUnusable) as error:
        raise ConfigError(str(error)) from error
    if int(args.cache_mb) < CACHE_MB_MIN:
        raise ConfigError(f"--cache-mb is at least {CACHE_MB_MIN}")
    if int(args.max_connections) < 1:
        raise ConfigError("--max-connections is at least 1")
    if int(args.memory_mb) and int(args.memory_mb) < MEMORY_MB_MIN:
        raise ConfigError(f"--memory-mb is 0 or at least {MEMORY_MB_MIN}")
    if not 1 <= float(args.authentication_timeout_s) <= 600:
        raise ConfigError("--authentication-timeout-s is from 1 to 600")
    if int(args.pages_per_pg) < 16:
        raise ConfigError("--pages-per-pg is at least 16")
    for name, listen in (("--metrics-listen", args.metrics_listen), ("--feed-listen", args.feed_listen)):
        try:
            parse_listen(listen or "0")
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error
    tsearch_data = Path(args.tsearch_data) if args.tsearch_data else None
    if tsearch_data is not None and not tsearch_data.is_dir():
        raise ConfigError(f"--tsearch-data: {tsearch_data} is not a folder")
    peers = tuple(filter(None, args.peers.split(",")))
    _check_place(args, peers)
    return Config(
        id=args.id,
        role=args.role,
        host=host,
        port=int(port),
        storage=tuple(args.storage.split(",")),
        pages_per_pg=int(args.pages_per_pg),
        cache_mb=int(args.cache_mb),
        password=password or None,
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
        storage_tls=storage_tls,
        storage_secret=storage_secret,
        max_connections=int(args.max_connections),
        memory_mb=int(args.memory_mb),
        authentication_timeout_s=float(args.authentication_timeout_s),
        hba_file=args.hba_file,
        tails=args.tails or bool(environment.get("AURORA_TAILS")),
        replace_after_s=float(args.replace_after_s),
        zone_away_after_s=float(args.zone_away_after_s),
        read_only_after_s=float(args.read_only_after_s),
        metrics_listen=args.metrics_listen,
        feed_listen=args.feed_listen,
        handover=args.handover,
        peers=peers,
        tsearch_data=tsearch_data,
        promotion_tier=int(args.promotion_tier),
        verify_redo=args.verify_redo or bool(environment.get("AURORA_VERIFY_REDO")),
    )
