"""The ``aurora`` command: verbs over one cluster folder (``--data``, default ``./aurora-data``)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from aurora.addresses import LOOPBACK
from aurora.keys import KeyRefused, KeySource, rekey_folder
from aurora.object_store import ObjectStoreError
from aurora.programs import certs, check, fleet, instance_cli, instances
from aurora.programs.description import ClusterError, connect_host
from aurora.programs.endpoints import verbs as endpoint_cli
from aurora.programs.places import INSTANCES_MAX
from aurora.programs.supervisor import AZS, MASTER_KEY, Cluster
from aurora.rpc import secret
from aurora.rpc.channels import Access
from aurora.rpc.tls import Tls, TlsUnusable, files_of
from aurora.sealed_store import Rewrapped, rekey_store

PAGES_PER_PG_DEFAULT = (10 << 30) // 8192
"""10 GiB protection groups."""
ILL = ("down", "not answering", "disconnected")
"""States of a process that health checks fail for."""
WATCH_S = 2.0
WATCH_MIN_S = 0.2
CLEAR_SCREEN = "\x1b[H\x1b[2J"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aurora",
        description="A PostgreSQL-compatible database whose storage is the log, in six copies over three zones.",
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", type=Path, default=Path(os.environ.get("AURORA_DATA", "./aurora-data")), help="cluster folder"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    up = verbs.add_parser("up", parents=[shared], help="start the cluster, creating it in an empty folder")
    up.add_argument("--host", default=None, help="address the writer listens on (default 127.0.0.1); not with readers")
    up.add_argument("--port", type=int, default=None, help="its port (default 5432; 0 takes a free one)")
    up.add_argument(
        "--readers",
        type=int,
        default=0,
        choices=range(INSTANCES_MAX),
        metavar="N",
        help="reader instances (0 to 15), each at an address of its own; a cluster that is there gets what it lacks",
    )
    up.add_argument(
        "--names-by-address",
        action="store_true",
        help="name a new cluster's instances after the last number of their addresses, so that the host pattern "
        "127.0.0.? of AWS's drivers finds them (with --readers)",
    )
    up.add_argument("--detach", action="store_true", help="return once it answers queries")
    up.add_argument(
        "--pages-per-pg",
        type=int,
        default=PAGES_PER_PG_DEFAULT,
        metavar="N",
        help="a new cluster's protection group size in 8 KiB pages (default 10 GiB)",
    )
    up.add_argument(
        "--cache-mb", type=int, default=512, metavar="N", help="a new cluster's page cache of the writer (512)"
    )
    up.add_argument(
        "--storage-nodes",
        type=int,
        default=6,
        choices=(6, 9, 12),
        help="a new cluster's storage nodes, evenly over three zones (default 6)",
    )
    up.add_argument("--tails", action="store_true", help="a new cluster: three of each six segments keep log only")
    up.add_argument("--password-file", type=Path, default=None, help="superuser password (or AURORA_PASSWORD)")
    up.add_argument(
        "--hba-file",
        type=Path,
        default=None,
        help="who may connect and how: rules in the form of pg_hba.conf (default: everybody with a password; without "
        "a superuser's password this machine alone, unasked)",
    )
    up.add_argument(
        "--tsearch-data",
        type=Path,
        default=None,
        metavar="DIR",
        help="files of text search dictionaries of your own (thesauri, synonyms, affixes, stop words)",
    )
    up.add_argument("--rds-roles", action="store_true", help="make rds_superuser and Aurora's other roles")
    up.add_argument(
        "--tls-cert", type=Path, default=None, help="instances' certificate chain (PEM): clients may use TLS"
    )
    up.add_argument("--tls-key", type=Path, default=None, help="its private key (PEM)")
    up.add_argument(
        "--backup",
        default=None,
        metavar="URL",
        help="object store that log and pages are staged to, or off: file:///folder or s3://bucket/prefix?endpoint=URL"
        " (default: DIR/backup, which takes the log of a day and two copies of the pages, up to as much again)",
    )
    up.add_argument(
        "--storage-tls",
        action="store_true",
        help="a new cluster's compute and storage speak mutual TLS, with certificates made in DIR/certs",
    )
    up.add_argument("--encrypt", action="store_true", help="encrypt a new cluster's storage; makes DIR/master.key")
    _key_flags(up, "", "encrypt a new cluster's storage with this master key:")

    made = verbs.add_parser("certs", help="make certificates for mutual TLS between compute and storage")
    made.add_argument("--dir", type=Path, required=True, help="folder to write them to")
    made.add_argument("--days", type=int, default=certs.DAYS_DEFAULT, help="how long they are good (%(default)s)")
    made.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="host name or IP address of a node; may be repeated"
    )

    made.add_argument("--if-missing", action="store_true", help="do nothing when they are all there")

    rekey = verbs.add_parser(
        "rekey", parents=[shared], help="wrap the data keys by a new master key (by default a new DIR/master.key)"
    )
    _key_flags(rekey, "new-", "the new master key:")
    _key_flags(rekey, "", "with --folder or --backup, the old master key:")
    rekey.add_argument("--folder", type=Path, default=None, help="one storage node's folder, in place of a cluster")
    rekey.add_argument(
        "--backup",
        default=None,
        metavar="URL",
        help="the keys in this object store, in place of a cluster",
    )

    verbs.add_parser("down", parents=[shared], help="stop all processes of the cluster")

    status = verbs.add_parser("status", parents=[shared], help="show volume, nodes and instances")
    status.add_argument("--json", action="store_true", help="all of it, as JSON")
    status.add_argument(
        "--storage", default=None, metavar="ADDR,…", help="ask these storage nodes over the network instead"
    )
    status.add_argument("--pgs", action="store_true", help="show all protection groups, however many there are")
    status.add_argument(
        "--watch", nargs="?", type=float, const=WATCH_S, metavar="SECONDS", help="show it again and again, until Ctrl-C"
    )
    for name, text in (("ca", "authority"), ("cert", "certificate"), ("key", "private key")):
        status.add_argument(
            f"--tls-{name}", type=Path, default=None, help=f"with --storage, for nodes that speak TLS: {text} (PEM)"
        )
    status.add_argument(
        "--secret-file", type=Path, default=None, help="with --storage, for nodes that ask for the cluster's secret"
    )
    status.add_argument("--check", action="store_true", help="exit status 1 when something is down (for health checks)")

    node = verbs.add_parser("node", help="one storage node")
    node_verbs = node.add_subparsers(dest="action", required=True)
    for action, text in (("kill", "SIGKILL"), ("stop", "end it in good order"), ("start", "start it again")):
        node_verbs.add_parser(action, parents=[shared], help=text).add_argument("id")
    scrub = node_verbs.add_parser("scrub", parents=[shared], help="check all of its files now, repair what is damaged")
    scrub.add_argument("id")
    scrub.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="give up waiting after so many seconds (%(default)g)"
    )

    add = node_verbs.add_parser("add", parents=[shared], help="one more storage node, as a spare")
    add.add_argument("az", choices=AZS)
    replace = node_verbs.add_parser("replace", parents=[shared], help="move a node's segments to a new, empty node")
    replace.add_argument("id")
    replace.add_argument("--by", default=None, metavar="ID", help="not to a new one, but to this one of the same zone")
    replace.add_argument(
        "--timeout-s", type=float, default=3600.0, metavar="S", help="go back when it takes longer (%(default)g)"
    )

    remove = node_verbs.add_parser(
        "remove", parents=[shared], help="take a node that holds nothing out of the fleet, stop and forget it"
    )
    remove.add_argument("id")

    zone = verbs.add_parser("quorum", help="the quorum model while a zone stays away for long")
    zone_verbs = zone.add_subparsers(dest="action", required=True)
    away = zone_verbs.add_parser("away", parents=[shared], help="count on the other two zones alone: 3/4")
    away.add_argument("az", choices=AZS)
    zone_verbs.add_parser("all", parents=[shared], help="count on all three zones again: 4/6")

    az = verbs.add_parser("az", help="the nodes of one availability zone")
    az_verbs = az.add_subparsers(dest="action", required=True)
    for action, text in (("down", "SIGKILL to all of them"), ("up", "start them again")):
        az_verbs.add_parser(action, parents=[shared], help=text).add_argument("az", choices=AZS)

    instance_cli.add_parsers(verbs, shared)
    endpoint_cli.add_parsers(verbs, shared)
    check.add_parsers(verbs, shared)

    restore = verbs.add_parser(
        "restore", parents=[shared], help="build a new cluster from a backup, as of an LSN or a time"
    )
    restore.add_argument(
        "--at", default=None, metavar="LSN|TIME", help="123456, 0/1E240, 2026-11-22T14:05:00Z (default: the latest)"
    )
    restore.add_argument("--to", type=Path, default=None, metavar="DIR", help="folder of the new cluster")
    restore.add_argument(
        "--from", dest="source", default=None, metavar="URL", help="object store (default: that of the --data cluster)"
    )
    restore.add_argument("--volume", default=None, metavar="ID", help="when the object store holds several volumes")
    restore.add_argument("--list", action="store_true", help="only say what can be restored")
    _key_flags(
        restore, "", "of an encrypted backup, and of the new cluster (without --from: that of the --data cluster):"
    )
    restore.add_argument("--host", default=LOOPBACK, help="address the new cluster's writer listens on")
    restore.add_argument("--port", type=int, default=5432, help="its port (default 5432; 0 takes a free one)")
    restore.add_argument("--cache-mb", type=int, default=512, help="its page cache")
    restore.add_argument("--backup", default="", metavar="URL", help="the new cluster's own backup, as in aurora up")
    restore.add_argument("--password-file", type=Path, default=None, help="superuser password (or AURORA_PASSWORD)")

    psql = verbs.add_parser("psql", parents=[shared], help="connect with psql")
    psql.add_argument("arguments", nargs=argparse.REMAINDER, help="passed to psql")
    return parser


def _key_flags(parser: argparse.ArgumentParser, prefix: str, text: str) -> None:
    parser.add_argument(f"--{prefix}master-key-file", type=Path, default=None, help=f"{text} the file that holds it")
    parser.add_argument(
        f"--{prefix}key-provider", default=None, metavar="MODULE:FACTORY", help=f"{text} the plugin that holds it"
    )


def _keys(file: Path | None, provider: str | None) -> KeySource | None:
    try:
        return KeySource.of(file, provider)
    except ValueError as error:
        raise ClusterError(str(error)) from error


def _password(args: argparse.Namespace) -> str | None:
    return args.password_file.read_text().strip() if args.password_file else os.environ.get("AURORA_PASSWORD")


def _up(args: argparse.Namespace) -> int:
    if args.readers and args.host is not None:
        raise ClusterError("with readers each instance has an address of its own; --host cannot be given")
    if args.names_by_address and not args.readers:
        raise ClusterError("--names-by-address is for a cluster with readers: only they have addresses of their own")
    if (args.tls_cert is None) != (args.tls_key is None):
        raise ClusterError("--tls-cert and --tls-key go together")
    cluster = Cluster(args.data)
    keys = _keys(args.master_key_file, args.key_provider)
    if cluster.spec is None:
        cluster.create(
            host=args.host or LOOPBACK,
            port=5432 if args.port is None else args.port,
            pages_per_pg=args.pages_per_pg,
            cache_mb=args.cache_mb,
            password=_password(args),
            nodes_per_az=args.storage_nodes // len(AZS),
            tails=args.tails,
            storage_tls=args.storage_tls,
            encrypt=args.encrypt,
            keys=keys,
            backup=args.backup or "",
            readers=args.readers,
            names_by_address=args.names_by_address,
        )
    else:
        cluster.check_safety(args.storage_tls, args.encrypt or keys is not None)
        if keys is not None:
            cluster.set_keys(keys)
        if args.host is not None or args.port is not None:
            cluster.move_writer(args.host, args.port)
        if args.backup is not None:
            cluster.set_backup(args.backup)
    files = {
        "hba-file": args.hba_file,
        "tsearch-data": args.tsearch_data,
        "tls-cert": args.tls_cert,
        "tls-key": args.tls_key,
    }
    given = {name: str(file.absolute()) for name, file in files.items() if file is not None}
    if given:
        with cluster.changing() as spec:
            spec.settings.update(given)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    ready = False
    try:
        cluster.up()
        ready = True
        while len(cluster.required.instances) <= args.readers:
            instances.add(cluster)
        if args.rds_roles:
            from aurora.programs import rds_roles

            rds_roles.make(cluster.dsn())
        _tell(cluster)
        if args.detach:
            return 0
        print("Ctrl-C stops the cluster.", flush=True)
        while True:
            signal.pause()
    except _Stop:
        print("stopping", flush=True)
        if ready:
            cluster.down()
    return 0


class _Stop(Exception):
    """SIGINT or SIGTERM has come."""


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # stopping is under way: a second one must not cut it short
    raise _Stop


def _tell(cluster: Cluster) -> None:
    """Say what is up and how to connect."""
    missing = [node.id for node in cluster.required.nodes if cluster.pid(node.id) is None]
    writer = cluster.writer
    if missing:
        logs = cluster.data / "log"
        print(f"storage nodes that did not start: {', '.join(missing)} (see {logs})", file=sys.stderr, flush=True)
    count = len(cluster.required.nodes) - len(missing)
    nodes = "six" if count == 6 else count
    print(f"{nodes} storage nodes and {writer.id} (writer) are up; connect with:", flush=True)
    print(f"  psql -h {connect_host(writer)} -p {writer.port} -U postgres postgres", flush=True)
    for one in cluster.required.instances:
        if one.id != writer.id:
            print(instance_cli.up_text(one), flush=True)
    if cluster.required.block:
        print("endpoints, which stay through failovers:", flush=True)
        print(endpoint_cli.list_text(cluster), flush=True)


def _down(args: argparse.Namespace) -> int:
    Cluster(args.data).down()
    return 0


def _status(args: argparse.Namespace) -> int:
    from aurora.programs.status import storage_status
    from aurora.programs.status_text import status_text

    try:
        files = files_of(args.tls_ca, args.tls_cert, args.tls_key, "--tls-ca, --tls-cert and --tls-key")
        tls = Tls(files) if files is not None else None
        access = Access(tls, secret.read(args.secret_file) if args.secret_file is not None else None)
    except (ValueError, TlsUnusable, secret.SecretUnusable) as error:
        raise ClusterError(str(error)) from error
    while True:
        status = storage_status(args.storage.split(","), access) if args.storage else Cluster(args.data).status()
        text = json.dumps(status) if args.json else status_text(status, args.pgs)
        redraw = args.watch is not None and not args.json and sys.stdout.isatty()
        print(CLEAR_SCREEN + text if redraw else text, flush=True)
        if args.watch is None:
            break
        time.sleep(max(args.watch, WATCH_MIN_S))
    parts = status["storage_nodes"] + status["instances"] + status.get("endpoints", [])
    ill = any(part["state"] in ILL for part in parts)
    return 1 if args.check and ill else 0


def _certs(args: argparse.Namespace) -> int:
    if args.if_missing and certs.complete(args.dir):
        return 0
    try:
        written = certs.make(args.dir, args.name, args.days)
    except (certs.CertificatesExist, ValueError) as error:
        raise ClusterError(str(error)) from error
    print("\n".join(str(path) for path in written))
    return 0


def _rekey(args: argparse.Namespace) -> int:
    old = _keys(args.master_key_file, args.key_provider)
    new = _keys(args.new_master_key_file, args.new_key_provider)
    count, backup = 0, Rewrapped()
    if args.folder is not None and args.backup is not None:
        raise ClusterError("--folder and --backup exclude each other")
    if args.folder is None and args.backup is None:
        if old is not None:
            raise ClusterError("the old master key is known to the cluster; it is given with --folder or --backup only")
        count, backup = Cluster(args.data).rekey(new)
    elif old is None or new is None:
        raise ClusterError("with --folder or --backup both the old master key and the new one must be given")
    elif args.folder is not None:
        count = int(rekey_folder(args.folder, old, new))
    else:
        backup = rekey_store(args.backup, old, new)
    for reason in backup.left:
        print(f"left in the backup: {reason}", file=sys.stderr)
    print(f"data keys wrapped anew: {count}, in the backup: {backup.count}")
    return 0


def _process(cluster: Cluster, action: str, process_id: str, start: Callable[[str], None]) -> None:
    if action == "kill":
        cluster.kill(process_id)
    elif action == "stop":
        cluster.stop(process_id)
    else:
        start(process_id)
        if any(node.id == process_id for node in cluster.required.nodes):
            cluster.wait_node(process_id)


def _node(args: argparse.Namespace) -> int:
    cluster = Cluster(args.data)
    if args.action == "add":
        print(fleet.add(cluster, args.az))
        return 0
    if args.action == "replace":
        fleet.replace(cluster, args.id, args.by, args.timeout_s, print)
        return 0
    if args.action == "remove":
        print(fleet.remove(cluster, args.id))
        return 0
    cluster.required.node(args.id)
    if args.action == "scrub":
        return _scrub(cluster, args.id, args.timeout)
    _process(cluster, args.action, args.id, cluster.start_node)
    return 0


def _quorum(args: argparse.Namespace) -> int:
    print(fleet.set_away(Cluster(args.data), args.az if args.action == "away" else ""))
    return 0


def _scrub(cluster: Cluster, node_id: str, timeout_s: float) -> int:
    from aurora.programs.node_scrub import scrub, scrub_text

    status = scrub(cluster.required.node(node_id).address, timeout_s, cluster.access())
    print(scrub_text(node_id, status))
    return 1 if status.running or status.waiting else 0


def _az(args: argparse.Namespace) -> int:
    cluster = Cluster(args.data)
    for node_id in cluster.nodes_of(args.az):
        if args.action == "down":
            cluster.kill(node_id)
        else:
            cluster.start_node(node_id)
    if args.action == "up":
        for node_id in cluster.nodes_of(args.az):
            cluster.wait_node(node_id)
    return 0


def _restore(args: argparse.Namespace) -> int:
    from aurora.programs.restore import list_backup, restore_cluster

    source, keys = args.source, _keys(args.master_key_file, args.key_provider)
    if source is None:
        old = Cluster(args.data)
        source = old.backup_url if old.spec is not None else (old.data / "backup").as_uri()
        if source is None:
            raise ClusterError(f"the cluster in {old.data} has no backup; name another with --from")
        keys = keys or _keys_of(old)
    if args.list:
        found = list_backup(source, args.volume, keys)
        print(f"volume {found['volume_id']}: {found['text']}")
        return 0
    if args.to is None:
        raise ClusterError("restore where? Name the new cluster's folder with --to, or ask with --list what there is")
    options = {
        "host": args.host,
        "port": args.port,
        "cache_mb": args.cache_mb,
        "password": _password(args),
        "backup": args.backup,
    }
    cluster = Cluster(args.to)
    done = restore_cluster(cluster, source, args.at, args.volume, options, keys)
    if cluster.required.master_key_file is not None:
        print(f"it is encrypted; its master key is in {cluster.required.master_key_file}")
    print(f"restored to LSN {done['lsn']}, as of {done['time']}; start it with: aurora up --data {args.to}")
    return 0


def _keys_of(cluster: Cluster) -> KeySource | None:
    """Where a cluster's master key is, whether its description still exists or not."""
    if cluster.spec is not None:
        return cluster.keys
    file = cluster.data / MASTER_KEY
    return KeySource(file) if file.exists() else None


def _psql(args: argparse.Namespace) -> NoReturn:
    cluster = Cluster(args.data)
    psql = shutil.which("psql")
    if psql is None:
        raise ClusterError(f"psql is not installed; any PostgreSQL client connects with: {cluster.dsn()}")
    rest = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
    password = cluster.password()
    if password is not None:
        os.environ["PGPASSWORD"] = password  # an argument could be read by everybody
    writer = cluster.writer
    host = connect_host(writer)
    os.execv(psql, [psql, f"host={host} port={writer.port} user=postgres dbname=postgres", *rest])


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "certs": _certs,
    "rekey": _rekey,
    "status": _status,
    "node": _node,
    "az": _az,
    "quorum": _quorum,
    "instance": instance_cli.instance,
    "failover": instance_cli.failover,
    "check": check.check,
    "endpoint": endpoint_cli.endpoint,
    "dns": endpoint_cli.dns,
    "restore": _restore,
    "psql": _psql,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    parser = _parser()
    args, unknown = parser.parse_known_args(arguments)
    if args.verb == "psql":
        args.arguments = [*unknown, *args.arguments]
    elif unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return VERBS[args.verb](args)
    except (ClusterError, KeyRefused, ObjectStoreError, OSError) as error:
        print(f"aurora: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
