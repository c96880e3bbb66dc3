"""What an instance is opened with: its configuration as the wire and the volume take it, and who may log in."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from aurora.geometry import Member
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from compute_node.config import Config
from compute_node.session.settings import SettingValue
from compute_node.volume.volume import Volume, VolumeNotFound
from compute_node.wire import hba, scram
from compute_node.wire.server import WireConfig
from compute_node.wire.startup import Role
from compute_node.work import instance_folder
from compute_node.work.account import INSTANCE

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine

LOGGER = logging.getLogger(__name__)

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC in µs since 1970."""
FIND_TIMEOUT_S = 60.0
SUPERUSER = "postgres"
DEFAULT_PORT = 5432
RESERVED_CONNECTIONS = 3
"""Of ``max_connections``, for superusers alone."""


def now_us() -> int:
    """µs since 2000-01-01 UTC."""
    return time.time_ns() // 1000 - POSTGRES_EPOCH_US


def wire_config(config: Config) -> WireConfig:
    """How this instance's clients are served."""
    return WireConfig(
        host=config.host,
        port=config.port,
        max_connections=config.max_connections,
        reserved_connections=min(RESERVED_CONNECTIONS, config.max_connections - 1),
        authentication_timeout_s=config.authentication_timeout_s,
        hba_file=config.hba_file,
        default_rules=hba.DEFAULT_PASSWORD if config.password else hba.DEFAULT_TRUST,
        tls_cert=config.tls_cert,
        tls_key=config.tls_key,
        settings=_settings(config),
    )


def _settings(config: Config) -> dict[str, SettingValue]:
    """What SHOW tells of this instance's own configuration."""
    return {
        "listen_addresses": config.host,
        "port": config.port or DEFAULT_PORT,
        "max_connections": config.max_connections,
        "aurora.memory_limit": INSTANCE.limit_bytes // 1024,
        "superuser_reserved_connections": min(RESERVED_CONNECTIONS, config.max_connections - 1),
        "authentication_timeout": int(config.authentication_timeout_s),
        "data_directory": instance_folder.path(),
        "hba_file": str(config.hba_file or ""),
        "ssl": config.tls_cert is not None,
    }


async def open_volume(config: Config) -> Volume:
    """The volume on the configured nodes, for writing: a new one when they are empty."""
    try:
        return await _find_volume(config)
    except VolumeNotFound:
        LOGGER.info("the storage nodes are empty: creating a volume")
    members = [await member_at(address) for address in config.storage]
    await Volume.create(members, config.pages_per_pg, tails=config.tails)
    return await _find_volume(config)


async def _find_volume(config: Config) -> Volume:
    return await Volume.open(
        config.storage,
        config.id,
        read_only_after_s=config.read_only_after_s or None,
        find_timeout_s=FIND_TIMEOUT_S,
        replace_after_s=config.replace_after_s,
        away_after_s=config.zone_away_after_s,
    )


async def member_at(address: str) -> Member:
    """What the node at an address calls itself; waits until it answers."""
    channel = open_channel(address)
    try:
        while True:
            try:
                reply = await storage_stub(channel).Status(pb.StatusRequest(), timeout=2.0)
            except grpc.aio.AioRpcError as error:
                LOGGER.info("storage node %s does not answer yet: %s", address, error.code().name)
                await asyncio.sleep(0.1)
                continue
            return Member(reply.node_id, reply.az, address)
    finally:
        await channel.close()


class Authenticator:
    """Roles from the catalog; the superuser's password may come from the configuration."""

    def __init__(self, engine: DatabaseEngine, password: str | None) -> None:
        self._engine = engine
        self._verifier = scram.make_verifier(password).text() if password else None

    def lookup(self, user: str) -> Role | None:
        """The role of that name; called in a greenlet."""
        role = self._engine.catalog.role(user)
        if role is None:
            return None
        verifier = role.verifier
        if user == SUPERUSER and self._verifier is not None:
            verifier = self._verifier
        if role.valid_until is not None and role.valid_until <= now_us():
            verifier = None
        return Role(verifier, role.superuser, role.can_login, role.oid, role.connection_limit)

    def is_member(self, user: str, role: str) -> bool:
        """Whether a role belongs to another, directly or through others; called in a greenlet."""
        member, wanted = self._engine.catalog.role(user), self._engine.catalog.role(role)
        if member is None or wanted is None:
            return False
        seen, queue = {member.oid}, [member.oid]
        while queue:
            for record in self._engine.catalog.shared().reader.find("pg_auth_members", member=queue.pop()):
                if record.roleid not in seen:
                    seen.add(record.roleid)
                    queue.append(record.roleid)
        return wanted.oid in seen
