"""``aurora instance …`` and ``aurora failover``: flags, and what is printed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from aurora.programs import instances
from aurora.programs.description import PROMOTION_TIER_DEFAULT, READER, connect_host
from aurora.programs.supervisor import Cluster

if TYPE_CHECKING:
    from aurora.programs.description import InstanceSpec

    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

PROMOTION_TIERS: Final = range(16)


def add_parsers(verbs: SubParsers, shared: argparse.ArgumentParser) -> None:
    """The verbs' flags."""
    instance = verbs.add_parser("instance", help="one compute instance")
    instance_verbs = instance.add_subparsers(dest="action", required=True)
    add = instance_verbs.add_parser("add", parents=[shared], help="one more reader")
    add.add_argument("id", nargs="?", default="", help="its name (default: instance-2 and so on)")
    add.add_argument(
        "--promotion-tier",
        type=int,
        choices=PROMOTION_TIERS,
        default=PROMOTION_TIER_DEFAULT,
        metavar="T",
        help="0 to 15: who has the lowest takes over when the writer is gone (%(default)s)",
    )
    add.add_argument("--cache-mb", type=int, default=0, metavar="N", help="its page cache (default: as the cluster's)")
    for action, text in (
        ("remove", "stop it and forget it; a writer hands over before"),
        ("reboot", "end it in good order and start it again"),
        ("kill", "SIGKILL"),
        ("stop", "end it in good order"),
        ("start", "start it again"),
    ):
        instance_verbs.add_parser(action, parents=[shared], help=text).add_argument("id")
    failover = verbs.add_parser("failover", parents=[shared], help="have a reader become the writer")
    failover.add_argument("--to", default="", metavar="ID", help="this one (default: the best by its promotion tier)")


def instance(args: argparse.Namespace) -> int:
    """``aurora instance …``"""
    cluster = Cluster(args.data)
    if args.action == "add":
        added = instances.add(cluster, args.id, args.promotion_tier, args.cache_mb)
        if cluster.pid(added.id) is None:
            print(f"{added.id} ({READER}) is added; it starts with: aurora up")
        else:
            print(up_text(added))
        return 0
    if args.action == "remove":
        print(instances.remove(cluster, args.id))
        return 0
    cluster.required.instance(args.id)
    if args.action == "kill":
        cluster.kill(args.id)
    elif args.action == "stop":
        cluster.stop(args.id)
    elif args.action == "reboot":
        instances.reboot(cluster, args.id)
    else:
        instances.start(cluster, args.id)
    return 0


def failover(args: argparse.Namespace) -> int:
    """``aurora failover``"""
    done = instances.failover(Cluster(args.data), args.to, print)
    print(f"{done.after} is the writer now (volume epoch {done.epoch}); writes were away for {done.away_s:.3f} s")
    return 0


def up_text(instance: InstanceSpec) -> str:
    """How to connect to a reader."""
    host = connect_host(instance)
    return f"{instance.id} ({READER}) is up; connect with:\n  psql -h {host} -p {instance.port} -U postgres postgres"
