"""``aurora endpoint …`` and ``aurora dns``: flags, and what is printed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from aurora.addresses import parse_listen
from aurora.programs.description import ClusterError
from aurora.programs.endpoints import command
from aurora.programs.endpoints.command import ENDPOINTS
from aurora.programs.endpoints.spec import BadEndpoints, Endpoint, Kind, Type, check_all, leads_to
from aurora.programs.supervisor import Cluster

if TYPE_CHECKING:
    from aurora.programs.endpoints.names import Names

    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

DNS_LISTEN: Final = "127.0.0.1:5353"
LOOK_S: Final = 1.0


def add_parsers(verbs: SubParsers, shared: argparse.ArgumentParser) -> None:
    """The verbs' flags."""
    endpoint = verbs.add_parser("endpoint", help="addresses that lead to the writer, to readers, or elsewhere")
    actions = endpoint.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", parents=[shared], help="one more endpoint")
    create.add_argument("name")
    create.add_argument("--type", choices=[str(each) for each in Type], default=str(Type.ANY), help="(%(default)s)")
    members = create.add_mutually_exclusive_group()
    members.add_argument("--static", default="", metavar="ID,…", help="its members")
    members.add_argument("--excluded", default="", metavar="ID,…", help="all instances but these are its members")
    actions.add_parser("list", parents=[shared], help="all endpoints")
    for action, text in (("drop", "give it up; connections that it made go on"), ("describe", "as JSON")):
        actions.add_parser(action, parents=[shared], help=text).add_argument("name")
    dns = verbs.add_parser("dns", parents=[shared], help="a name server: names as AWS's for endpoints and instances")
    dns.add_argument("--listen", default=DNS_LISTEN, metavar="HOST:PORT", help="(%(default)s; port 0: a free one)")
    dns.add_argument("--name", default="", help="the cluster's name (default: that of its folder)")
    dns.add_argument("--region", default="us-east-1", help="(%(default)s)")
    dns.add_argument("--hosts", action="store_true", help="only print the names, as lines of /etc/hosts")


def endpoint(args: argparse.Namespace) -> int:
    """``aurora endpoint …``"""
    cluster = Cluster(args.data)
    if args.action == "create":
        made = create(cluster, args.name, Type(args.type), _ids(args.static), _ids(args.excluded))
        print(f"endpoint {made.name} listens on {made.address}")
    elif args.action == "drop":
        drop(cluster, args.name)
        print(f"endpoint {args.name} is dropped")
    elif args.action == "list":
        print(list_text(cluster))
    else:
        print(json.dumps(asdict(_find(cluster, args.name)), indent=1))
    return 0


def _ids(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def create(
    cluster: Cluster, name: str, kind: Type, static: tuple[str, ...] = (), excluded: tuple[str, ...] = ()
) -> Endpoint:
    """A custom endpoint; it listens when this returns, if the cluster runs."""
    for instance_id in (*static, *excluded):
        cluster.required.instance(instance_id)
    with cluster.changing() as spec:
        if any(not instance.feed for instance in spec.instances):
            raise ClusterError("an instance was started by an older program; start it again: aurora instance reboot ID")
        cluster.give_block()
        there = command.endpoints_of(cluster.data, spec)
        made = Endpoint(name, Kind.CUSTOM, command.free_address(spec, there), kind, static, excluded)
        _write(cluster, [*there, made])
    cluster.serve_endpoints()
    return made


def _write(cluster: Cluster, endpoints: list[Endpoint]) -> None:
    try:
        command.write(cluster.data, check_all(endpoints))
    except BadEndpoints as error:
        raise ClusterError(str(error)) from error


def drop(cluster: Cluster, name: str) -> None:
    """Give a custom endpoint up."""
    if _find(cluster, name).kind is not Kind.CUSTOM:
        raise ClusterError(f"endpoint {name} belongs to the cluster and stays; only custom endpoints can be dropped")
    with cluster.changing() as spec:
        there = command.endpoints_of(cluster.data, spec)
        _write(cluster, [each for each in there if each.name != name])
    cluster.serve_endpoints()


def _find(cluster: Cluster, name: str) -> Endpoint:
    there = command.endpoints_of(cluster.data, cluster.required)
    for each in there:
        if each.name == name:
            return each
    raise ClusterError(f"no endpoint {name!r}; there are {', '.join(each.name for each in there) or 'none'}")


def list_text(cluster: Cluster) -> str:
    """One line an endpoint."""
    there = command.endpoints_of(cluster.data, cluster.required)
    if not there:
        return "no endpoints: they come with the first reader (aurora instance add), or with aurora endpoint create"
    lines = [f"{each.name:16} {each.address:22} {leads_to(each)}" for each in there]
    if cluster.pid(ENDPOINTS) is None:
        lines.append("nobody serves them now; start the cluster with: aurora up")
    return "\n".join(lines)


# ---- names ----


def dns(args: argparse.Namespace) -> int:
    """``aurora dns``"""
    names = names_of(Cluster(args.data), args.name, args.region)
    refresh(Cluster(args.data), names)
    if args.hosts:
        print(names.text(), end="")
        return 0
    try:
        host, port = parse_listen(args.listen)
    except ValueError as error:
        raise ClusterError(f"--listen: {error}") from error
    asyncio.run(_serve(args, names, host, port))
    return 0


def names_of(cluster: Cluster, name: str, region: str) -> Names:
    """The names of a cluster, which have its volume's id in them. ClusterError when no storage node tells that."""
    from aurora.programs.endpoints.names import Names, identifier, is_label
    from aurora.programs.status import storage_status

    label = name or cluster.data.name.lower()
    if not is_label(label):
        if name:
            raise ClusterError(f"--name {name!r} cannot be part of a host name: a to z, digits and hyphens")
        label = "aurora"
    volume = storage_status([node.address for node in cluster.required.nodes], cluster.access())["volume"].get("id")
    if not volume:
        raise ClusterError("no storage node answers; the names have the volume's id in them: aurora up")
    return Names(label, identifier(bytes.fromhex(volume)), region)


def refresh(cluster: Cluster, names: Names) -> None:
    """Have the names lead where the cluster's endpoints and instances are now. One that has no endpoints yet has its
    instance in the place of both."""
    spec = cluster.required
    there = command.endpoints_of(cluster.data, spec)
    if not there:
        first = Endpoint("cluster", Kind.WRITER, spec.instances[0].address)
        there = [first, replace(first, name="reader", kind=Kind.READER)]
    names.set(there, {instance.id: instance.host for instance in spec.instances})


async def _serve(args: argparse.Namespace, names: Names, host: str, port: int) -> None:
    from aurora.programs.endpoints.dns import NameServer

    server, done = NameServer(names), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    await server.start(host, port)
    try:
        print("ready {}:{}".format(*server.address), flush=True)
        print(names.text(), end="", flush=True)
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), LOOK_S)
            with contextlib.suppress(ClusterError):  # it is being written; the next look finds it
                refresh(Cluster(args.data), names)
    finally:
        server.close()
