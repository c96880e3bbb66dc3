"""The ``aurora`` command: verbs over one cluster folder (``--data``, default ``./aurora-data``)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from aurora.supervisor import AZS, LOOPBACK, Cluster, ClusterError

PAGES_PER_PG_DEFAULT = (10 << 30) // 8192
"""10 GiB protection groups."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aurora", description="A PostgreSQL-compatible database on six storage nodes."
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", type=Path, default=Path(os.environ.get("AURORA_DATA", "./aurora-data")), help="cluster folder"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    up = verbs.add_parser("up", parents=[shared], help="start the cluster, creating it in an empty folder")
    up.add_argument("--host", default=None, help="address the writer listens on (default 127.0.0.1)")
    up.add_argument("--port", type=int, default=None, help="its port (default 5432; 0 takes a free one)")
    up.add_argument("--readers", type=int, default=0, help="reader instances")
    up.add_argument("--detach", action="store_true", help="return once it answers queries")
    up.add_argument(
        "--pages-per-pg", type=int, default=PAGES_PER_PG_DEFAULT, help="protection group size in 8 KiB pages"
    )
    up.add_argument("--cache-mb", type=int, default=512, help="the writer's page cache")
    up.add_argument("--password-file", type=Path, default=None, help="superuser password (or AURORA_PASSWORD)")

    up.add_argument(
        "--backup",
        default=None,
        metavar="URL",
        help="object store that log and pages are staged to, or off: file:///folder or s3://bucket/prefix?endpoint=URL"
        " (default: DIR/backup, which takes the log of a day and two copies of the pages, up to as much again)",
    )

    verbs.add_parser("down", parents=[shared], help="stop all processes of the cluster")

    status = verbs.add_parser("status", parents=[shared], help="show volume, nodes and instances")
    status.add_argument("--json", action="store_true")
    status.add_argument(
        "--storage", default=None, metavar="ADDR,…", help="ask these storage nodes over the network instead"
    )
    status.add_argument("--check", action="store_true", help="exit status 1 when something is down (for health checks)")

    node = verbs.add_parser("node", help="one storage node")
    node_verbs = node.add_subparsers(dest="action", required=True)
    for action in ("kill", "stop", "start"):
        node_verbs.add_parser(action, parents=[shared]).add_argument("id")

    az = verbs.add_parser("az", help="the nodes of one availability zone")
    az_verbs = az.add_subparsers(dest="action", required=True)
    for action in ("down", "up"):
        az_verbs.add_parser(action, parents=[shared]).add_argument("az", choices=AZS)

    instance = verbs.add_parser("instance", help="one compute instance")
    instance_verbs = instance.add_subparsers(dest="action", required=True)
    for action in ("kill", "stop", "start"):
        instance_verbs.add_parser(action, parents=[shared]).add_argument("id")

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
    restore.add_argument("--host", default=LOOPBACK, help="address the new cluster's writer listens on")
    restore.add_argument("--port", type=int, default=5432, help="its port (default 5432; 0 takes a free one)")
    restore.add_argument("--cache-mb", type=int, default=512, help="its page cache")
    restore.add_argument("--backup", default="", metavar="URL", help="the new cluster's own backup, as in aurora up")
    restore.add_argument("--password-file", type=Path, default=None, help="superuser password (or AURORA_PASSWORD)")

    psql = verbs.add_parser("psql", parents=[shared], help="connect with psql")
    psql.add_argument("arguments", nargs=argparse.REMAINDER, help="passed to psql")
    return parser


def _password(args: argparse.Namespace) -> str | None:
    return args.password_file.read_text().strip() if args.password_file else os.environ.get("AURORA_PASSWORD")


def _up(args: argparse.Namespace) -> int:
    if args.readers:
        raise ClusterError("reader instances are not available yet: start the cluster without --readers")
    cluster = Cluster(args.data)
    if cluster.spec is None:
        cluster.create(
            host=args.host or LOOPBACK,
            port=5432 if args.port is None else args.port,
            pages_per_pg=args.pages_per_pg,
            cache_mb=args.cache_mb,
            password=_password(args),
            backup=args.backup or "",
        )
    elif args.host is not None or args.port is not None:
        writer = cluster.writer
        cluster.move_writer(args.host or writer.host, writer.port if args.port is None else args.port)
    if args.backup is not None:
        cluster.set_backup(args.backup)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    ready = False
    try:
        cluster.up()
        ready = True
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
    host = LOOPBACK if writer.host in ("0.0.0.0", "*") else writer.host
    if missing:
        logs = cluster.data / "log"
        print(f"storage nodes that did not start: {', '.join(missing)} (see {logs})", file=sys.stderr, flush=True)
    nodes = "six" if not missing else len(cluster.required.nodes) - len(missing)
    print(f"{nodes} storage nodes and {writer.id} (writer) are up; connect with:", flush=True)
    print(f"  psql -h {host} -p {writer.port} -U postgres postgres", flush=True)


def _down(args: argparse.Namespace) -> int:
    Cluster(args.data).down()
    return 0


def _status(args: argparse.Namespace) -> int:
    from aurora.status import status_text, storage_status

    status = storage_status(args.storage.split(",")) if args.storage else Cluster(args.data).status()
    print(json.dumps(status) if args.json else status_text(status))
    ill = any(part["state"] in ("down", "not answering") for part in status["storage_nodes"] + status["instances"])
    return 1 if args.check and ill else 0


def _process(cluster: Cluster, action: str, process_id: str, start: Callable[[str], None]) -> None:
    if action == "kill":
        cluster.kill(process_id)
    elif action == "stop":
        cluster.stop(process_id)
    else:
        start(process_id)


def _node(args: argparse.Namespace) -> int:
    cluster = Cluster(args.data)
    cluster.required.node(args.id)
    _process(cluster, args.action, args.id, cluster.start_node)
    return 0


def _az(args: argparse.Namespace) -> int:
    cluster = Cluster(args.data)
    for node_id in cluster.nodes_of(args.az):
        _process(cluster, "kill" if args.action == "down" else "start", node_id, cluster.start_node)
    return 0


def _instance(args: argparse.Namespace) -> int:
    cluster = Cluster(args.data)
    cluster.required.instance(args.id)
    _process(cluster, args.action, args.id, cluster.start_instance)
    if args.action == "start":
        cluster.wait_ready()
    return 0


def _restore(args: argparse.Namespace) -> int:
    from aurora.restore import list_backup, restore_cluster

    source = args.source
    if source is None:
        old = Cluster(args.data)
        source = old.backup_url if old.spec is not None else (old.data / "backup").as_uri()
        if source is None:
            raise ClusterError(f"the cluster in {old.data} has no backup; name another with --from")
    if args.list:
        found = list_backup(source, args.volume)
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
    done = restore_cluster(Cluster(args.to), source, args.at, args.volume, options)
    print(f"restored to LSN {done['lsn']}, as of {done['time']}; start it with: aurora up --data {args.to}")
    return 0


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
    host = LOOPBACK if writer.host in ("0.0.0.0", "*") else writer.host
    os.execv(psql, [psql, f"host={host} port={writer.port} user=postgres dbname=postgres", *rest])


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "node": _node,
    "az": _az,
    "instance": _instance,
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
    except (ClusterError, OSError) as error:
        print(f"aurora: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
