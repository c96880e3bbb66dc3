"""Sizes, settings, sessions, locks, sequences: what functions ask of the running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import (
    InsufficientPrivilege,
    InvalidCatalogName,
    InvalidParameterValue,
    ObjectNotInPrerequisiteState,
    UndefinedObject,
    UndefinedTable,
    Warning_,
    WrongObjectType,
)
from aurora.ids import RelFile
from compute_node.catalog.foreign_keys import parts_of
from compute_node.catalog.functions import addresses, advisory
from compute_node.catalog.functions.advisory import TWO_NUMBERS
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.names import split_name
from compute_node.catalog.permissions import denied_relation
from compute_node.catalog.roles import PG_READ_ALL_STATS, PG_SIGNAL_BACKEND
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import CATALOGS, CATALOGS_BY_OID
from compute_node.session import notifications, query_ids, read_only, setting_statements
from compute_node.session.settings import SECRET, SettingValue, define_or_raise, parse_value, show_value
from compute_node.txn.locks import FIRST_ADVISORY, FIRST_OBJECT, MODE_NAMES
from compute_node.types.acl import SELECT, SET, UPDATE, USAGE
from compute_node.work.waits import EVENTS, TRANSACTION

if TYPE_CHECKING:
    from compute_node.session.settings import Setting
    from compute_node.session.state import SessionState
    from compute_node.txn.serializable import SerialTxn
    from compute_node.txn.transaction import Txn


_PAGE_BYTES = 8192
_READ = "SIReadLock"
_DEFAULT_TABLESPACE = 1663


def _desc(call: Call, oid: int) -> RelationDesc | None:
    return call.view.relation(oid)


def _bytes(call: Call, relfile: RelFile) -> int:
    storage = call.engine.storage
    return int(storage.blocks(relfile)) * _PAGE_BYTES if relfile and storage.exists(relfile) else 0


def relation_size(call: Call, oid: int, fork: str = "main") -> int | None:
    """pg_relation_size; other forks than main do not exist."""
    desc = _desc(call, oid)
    if desc is None:
        return None
    if fork not in ("main", "fsm", "vm", "init"):
        raise InvalidParameterValue("invalid fork name", hint='Valid fork names are "main", "fsm", "vm", and "init".')
    return _bytes(call, desc.relfile) if fork == "main" else 0


def indexes_size(call: Call, oid: int) -> int | None:
    """pg_indexes_size."""
    desc = _desc(call, oid)
    return None if desc is None else sum(_bytes(call, index.relfile) for index in desc.indexes)


def table_size(call: Call, oid: int) -> int | None:
    """pg_table_size: with the TOAST table and its index."""
    desc = _desc(call, oid)
    if desc is None:
        return None
    toast = 0
    if desc.toast is not None:
        toast = _bytes(call, desc.toast.relfile) + sum(_bytes(call, index.relfile) for index in desc.toast.indexes)
    return _bytes(call, desc.relfile) + toast


def total_size(call: Call, oid: int) -> int | None:
    """pg_total_relation_size."""
    size = table_size(call, oid)
    return None if size is None else size + (indexes_size(call, oid) or 0)


def database_size(call: Call, database: int | str) -> int | None:
    """pg_database_size: the relation files that are its own; shared catalogs are in none."""
    key = {"oid": database} if isinstance(database, int) else {"datname": database}
    record = call.reader.one("pg_database", **key)
    if record is None:
        if isinstance(database, str):
            raise InvalidCatalogName(f'database "{database}" does not exist')
        return None
    return sum(_bytes(call, relfile) for relfile in call.engine.databases.files(int(record.oid)))


def tablespace_size(call: Call, _tablespace: int | str) -> int:
    """pg_tablespace_size: there is one."""
    return sum(int(file.map.blocks) for file in call.engine.storage.extents.files.values()) * _PAGE_BYTES


def filenode(call: Call, oid: int) -> int | None:
    """pg_relation_filenode."""
    desc = _desc(call, oid)
    return None if desc is None or not desc.relfile else desc.relfile


def filenode_relation(call: Call, tablespace: int, relfile: int) -> int | None:
    """pg_filenode_relation; 0 stands for the database's tablespace, of which there is one."""
    if tablespace not in (0, _DEFAULT_TABLESPACE) or not relfile:
        return None
    record = call.reader.one("pg_class", relfilenode=relfile)
    return None if record is None or record.relpersistence == "t" else int(record.oid)


def filepath(call: Call, oid: int) -> str | None:
    """pg_relation_filepath: relations are extents of the volume; the path names their relation file."""
    found = filenode(call, oid)
    return None if found is None else f"volume/{found}"


def show_all_settings(call: Call) -> Iterator[Row]:
    """pg_show_all_settings: the rows of pg_settings."""
    settings = call.session.settings
    hidden = frozenset() if has_predefined_role(call, "pg_read_all_settings") else SECRET
    described = setting_statements.descriptions()
    for name in settings.names():
        if name in hidden:
            continue
        setting = define_or_raise(name)
        short, more = described.get(name, ("", None))
        value = settings.get(name)
        boot = show_value(setting, setting.boot)
        shown = _plain(setting, value)
        if name in setting_statements.OF_TRANSACTION:
            shown = setting_statements.show(call.session, name) or ""
        least, greatest = (
            (setting.least or None, setting.greatest or None) if setting.type in ("integer", "real") else (None, None)
        )
        source = "default" if value == setting.boot else "session"
        category = setting.category
        yield (
            setting.name,
            shown,
            setting.unit or None,
            category,
            short,
            more,
            setting.context,
            setting.type,
            source,
            least,
            greatest,
            list(setting.enum) if setting.type == "enum" else None,
            _plain(setting, setting.boot) if setting.type != "enum" else boot,
            _plain(setting, settings.default(name)),
            None,
            None,
            False,
        )


def _plain(setting: Setting, value: Datum) -> str:
    """A value without its unit, as pg_settings has it."""
    if setting.type == "bool":
        return "on" if value else "off"
    return f"{value:g}" if setting.type == "real" else str(value)


def _sessions(call: Call) -> list[SessionState]:
    registry = call.session.registry
    return [call.session] if registry is None else list(registry.sessions.values())


def _superuser(call: Call, function: str) -> None:
    if not call.session.superuser:
        raise InsufficientPrivilege(f"permission denied for function {function}")


def reload_conf(call: Call) -> bool:
    """pg_reload_conf: what may change while the instance runs is read again."""
    _superuser(call, "pg_reload_conf")
    if call.session.registry is not None:
        call.session.registry.reload()
    return True


def hba_file_rules(call: Call) -> Iterator[Row]:
    """pg_hba_file_rules: the rules of who may connect as their file has them now, wrong lines included."""
    _superuser(call, "pg_hba_file_rules")
    if call.session.registry is None:
        return
    yield from call.session.registry.file_rules()


def _wait_of(session: SessionState) -> tuple[str | None, str | None]:
    """What another session waits for: the type of the event, and the event."""
    waiting = None if session.txn is None else session.txn.waiting
    if waiting is not None:
        # The first who waits for a row waits for its transaction, the others for their turn.
        return "Lock", EVENTS[TRANSACTION if waiting.is_first else waiting.event]
    if session.forwarding is not None and (forwards := EVENTS.get(session.forwarding.waiting)) is not None:
        return "IPC", forwards
    if session.state != "active":
        return "Client", "ClientRead"
    return (None, None) if session.client_wait is None else ("Client", session.client_wait)


def stat_get_activity(call: Call, pid: int | None) -> Iterator[Row]:
    """pg_stat_get_activity: one row a session."""
    rights = call.view.layer.rights(call.session.user_oid)
    for session in _sessions(call):
        if pid is not None and session.pid != pid:
            continue
        database = call.view.layer.database(session.database)
        txn = session.txn
        base = (None if database is None else database.oid, session.pid, session.role_oid, session.application_name)
        xid = None if txn is None else txn.xid
        if not (rights.has_role(session.role_oid) or rights.has_role(PG_READ_ALL_STATS)):
            # What another role's session does is not for everybody to see.
            yield (*base, None, "<insufficient privilege>", *(None,) * 9, xid, *(None,) * 14)
            continue
        kind, event = (None, None) if session is call.session else _wait_of(session)
        yield (
            *base,
            "active" if session is call.session else session.state,
            session.query,
            kind,
            event,
            session.xact_start or None,
            session.query_start,
            session.backend_start,
            session.state_change,
            addresses.client_of(session),
            None,
            session.client_port,
            xid,
            None,
            "client backend",
            False,
            None,
            None,
            None,
            None,
            None,
            None,
            False,
            None,
            False,
            None,
            query_ids.of_latest(session),
        )


def lock_status(call: Call) -> Iterator[Row]:
    """pg_lock_status: relation and advisory locks that transactions hold or wait for, those that sessions hold, and
    what serializable transactions have read. Others go on between two rows: each part is what it was when its first
    row was asked for."""
    storage = call.engine.storage
    owners = {id(each): each.advisory_locks.owner for each in _sessions(call) if each.advisory_locks is not None}
    for txn in list(storage.txns.active):
        masks = dict(txn.table_locks)
        for locks in txn.weak_locks:
            for key, mode in locks.modes:
                masks[key] = masks.get(key, 0) | 1 << mode
        # What both a session and its transaction hold is one lock.
        owner = owners.pop(id(txn.session), None)
        for key, mask in owner.table_locks.items() if owner is not None else ():
            masks[key] = masks.get(key, 0) | mask
        yield from _held(txn, masks)
        if txn.serial is not None:
            yield from _read(txn, txn.serial)
    for owner in owners.values():
        yield from _held(owner, dict(owner.table_locks))
    for lock in list(storage.locks.relations.values()):
        for txn, mode, _ in list(lock.queue):
            yield _lock_row(txn, lock.oid, MODE_NAMES[mode], granted=False)


def _held(txn: Txn, masks: Mapping[int, int]) -> Iterator[Row]:
    for key, mask in masks.items():
        for mode in range(1, len(MODE_NAMES)):
            if mask >> mode & 1:
                yield _lock_row(txn, key, MODE_NAMES[mode], granted=True)


def _read(txn: Txn, serial: SerialTxn) -> Iterator[Row]:
    """The tables, pages and rows that a serializable transaction has noted (of an index's ranges there is no page)."""
    for table in list(serial.tables):
        yield _lock_row(txn, table, _READ, granted=True)
    for table, places in list(serial.places.items()):
        for _, at in list(places):
            row = list(_lock_row(txn, table, _READ, granted=True))
            row[0], row[3], row[4] = ("tuple", at >> 16, at & 0xFFFF) if at >= 0 else ("page", -1 - at, None)
            yield tuple(row)


def _lock_row(txn: Txn, key: int, mode: str, granted: bool) -> Row:
    """A lock's key is (database, OID) of a relation, the OID of a database, one of ``object_key``, or an
    advisory key of a database."""
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    kind, database = "relation", high
    relation: int | None = low
    classid: int | None = None
    objid: int | None = None
    part: int | None = None
    if key >= FIRST_OBJECT:
        kind, database, relation = "object", (key >> 64) & 0xFFFFFFFF, None
        classid, objid, part = high, low, 0
    elif key >= FIRST_ADVISORY:
        kind, database, relation = "advisory", (key >> 64) & 0xFFFFFFFF, None
        classid, objid, part = high, low, 2 if key & TWO_NUMBERS else 1
    elif not high and low not in CATALOGS_BY_OID:
        kind, relation, classid, objid, part = "object", None, CATALOGS["pg_database"].desc.oid, low, 0
    return (
        kind,
        database,
        relation,
        None,
        None,
        None,
        None,
        classid,
        objid,
        part,
        f"{txn.pid or -1}/{txn.xid or 0}",
        txn.pid or None,  # a prepared transaction's is nobody's
        mode,
        granted,
        False,
        None,
    )


def prepared_statements(call: Call) -> Iterator[Row]:
    """pg_prepared_statement: the session's named statements."""
    for name, prepared in list(call.session.statements.items()):
        if name:
            types = list(prepared.param_types)
            choice = prepared.choice
            counted = (choice.generics, choice.customs)
            yield (name.decode(), prepared.source, prepared.created, types, prepared.from_sql, *counted)


def cursors(call: Call) -> Iterator[Row]:
    """pg_cursor: the session's open cursors."""
    for name, portal in list((call.session.portals or {}).items()):
        if portal.declared:
            binary = portal.formats == b"\0\1"
            yield (name.decode(), portal.sql, portal.with_hold, binary, portal.scroll, portal.created)


def _sequence(call: Call, oid: int) -> RelationDesc:
    desc = _desc(call, oid)
    if desc is None:
        raise UndefinedTable(f"relation with OID {oid} does not exist")
    if desc.kind != "S":
        raise WrongObjectType(f'"{desc.name}" is not a sequence')
    return desc


def _session_values(call: Call) -> dict[int, int]:
    session = call.session
    if session.sequence_values is None:
        session.sequence_values = {}
    return session.sequence_values


def _check_sequence(call: Call, desc: RelationDesc, wanted: int) -> None:
    if not call.view.rights(call.session.user_oid).relation(desc, wanted):
        raise denied_relation(desc)


def _check_writable(call: Call, desc: RelationDesc, what: str) -> None:
    """25006 in a read-only transaction; temporary sequences go on."""
    if call.txn.read_only and desc.persistence != "t":
        raise read_only.refused(what)


def identity_nextval(call: Call, oid: int) -> int:
    """nextval, whoever asks; remembered for currval and lastval."""
    desc = _sequence(call, oid)
    _check_writable(call, desc, "nextval()")
    value: int = call.engine.sequences.next(desc, call.session.txn)
    _session_values(call)[oid] = value
    call.session.last_sequence = oid
    return value


def nextval(call: Call, oid: int) -> int:
    """nextval: takes USAGE or UPDATE."""
    _check_sequence(call, _sequence(call, oid), USAGE | UPDATE)
    return identity_nextval(call, oid)


def currval(call: Call, oid: int) -> int:
    """currval: takes USAGE or SELECT; 55000 before nextval in this session."""
    desc = _sequence(call, oid)
    _check_sequence(call, desc, USAGE | SELECT)
    values = _session_values(call)
    if oid not in values:
        raise ObjectNotInPrerequisiteState(f'currval of sequence "{desc.name}" is not yet defined in this session')
    return values[oid]


def lastval(call: Call) -> int:
    """lastval: takes USAGE or SELECT; 55000 before nextval in this session."""
    values = _session_values(call)
    oid = call.session.last_sequence
    if oid is None or oid not in values:
        raise ObjectNotInPrerequisiteState("lastval is not yet defined in this session")
    _check_sequence(call, _sequence(call, oid), USAGE | SELECT)
    return values[oid]


def setval(call: Call, oid: int, value: int, called: bool = True) -> int:
    """setval: takes UPDATE."""
    desc = _sequence(call, oid)
    _check_sequence(call, desc, UPDATE)
    _check_writable(call, desc, "setval()")
    call.engine.sequences.set(desc, value, called, call.session.txn)
    if called:
        _session_values(call)[oid] = value
    return value


def sequence_row(call: Call, oid: int) -> tuple[int, int, bool]:
    """What a scan of a sequence reads: the values handed out, which the stored row is ahead of."""
    row: tuple[int, int, bool] = call.engine.sequences.row(_sequence(call, oid), call.txn)
    return row


def sequence_last_value(call: Call, oid: int) -> int | None:
    """pg_sequence_last_value: takes USAGE or SELECT, NULL without."""
    desc = _sequence(call, oid)
    if not call.view.rights(call.session.user_oid).relation(desc, USAGE | SELECT):
        return None
    found: int | None = call.engine.sequences.last_value(desc)
    return found


def row_security_active(call: Call, table: int | str) -> bool:
    """Whether the current user sees a table by its policies; 42P01, 42501 of a setting that forbids that are none
    here."""
    if isinstance(table, str):
        parts = split_name(table)
        desc = call.view.find_relation(parts[-2] if len(parts) > 1 else None, parts[-1])
        if desc is None:
            raise UndefinedTable(f'relation "{table}" does not exist')
    else:
        found = call.view.relation(table)
        if found is None:
            return False
        desc = found
    return bool(call.view.rights(call.session.user_oid).policies_hold(desc))


def readable_columns(call: Call, oid: int) -> list[int] | None:
    """The columns of a relation whose values an error may show to the current user; None: all."""
    desc = _desc(call, oid)
    if desc is None:
        return []
    rights = call.view.rights(call.session.user_oid)
    if rights.policies_hold(desc):
        return []
    if rights.relation(desc, SELECT):
        return None
    return [column.attno for column in desc.columns if rights.column(desc, column.attno, SELECT)]


def deferrable_constraints(call: Call, names: list[tuple[str | None, str]]) -> list[int]:
    """The constraints that SET CONSTRAINTS names, each in the first schema that has one of that name. 42704, 42809."""
    found = []
    for schema, name in names:
        path = [call.view.schema_oid(schema)] if schema else [oid for _, oid in call.view.path]
        for namespace in path:
            rows = call.reader.find("pg_constraint", conname=name, connamespace=namespace)
            wrong = next((row for row in rows if not row.condeferrable), None)
            if wrong is not None:
                raise WrongObjectType(f'constraint "{name}" is not deferrable')
            if rows:
                for row in rows:
                    found += [row.oid, *parts_of(call.reader, row.oid)]
                break
        else:
            shown = f"{schema}.{name}" if schema else name
            raise UndefinedObject(f'constraint "{shown}" does not exist')
    return found


def current_xid(call: Call, assign: bool) -> int | None:
    """The transaction's xid, taken now if ``assign``."""
    txn = call.session.txn
    if txn is None:
        return None
    if assign and call.engine.in_recovery:
        raise read_only.refused_in_recovery("pg_current_xact_id()")
    if assign and txn.xid is None:
        call.engine.storage.txns.assign(txn)
    xid: int | None = txn.xid
    return xid


def find_role(call: Call, name: str) -> int | None:
    """A role's OID by name, for SET ROLE."""
    role = call.view.role(name)
    return None if role is None else role.oid


def stored_settings(call: Call, database: str, role: int) -> list[tuple[str, str]]:
    """What ALTER SYSTEM, DATABASE and ROLE have set for a new session, the strongest last."""
    record = call.engine.catalog.database(database)
    return [] if record is None else call.engine.catalog.stored_settings(int(record.oid), role)


def system_setting(call: Call, name: str) -> SettingValue:
    """The value that ALTER SYSTEM has given a setting, else its built-in one: what an instance acts on."""
    setting = define_or_raise(name)
    text = dict(call.engine.catalog.stored_settings(0, 0)).get(name)
    return setting.boot if text is None else parse_value(setting, text)


def role_is_superuser(call: Call, role: int) -> bool:
    """Whether a role is a superuser."""
    return call.view.layer.role_graph.is_superuser(role)


def may_set_parameter(call: Call, name: str) -> bool:
    """Whether the current user was given a superuser's setting."""
    return bool(call.view.rights(call.session.user_oid).parameter(name.lower(), SET))


def has_predefined_role(call: Call, name: str) -> bool:
    """Whether the current user has the privileges of a role that every cluster has."""
    role = call.view.role(name)
    return role is not None and call.view.rights(call.session.user_oid).has_role(role.oid)


def check_identity(call: Call, setting: str, name: str) -> None:
    """Whether the session may act as a role from now on: SET ROLE takes membership of the session user, SET SESSION
    AUTHORIZATION that whoever logged in is a superuser, or that role. 22023 for an unknown role, 42501."""
    session = call.session
    role = call.view.role(name)
    if role is None:
        raise InvalidParameterValue(f'role "{name}" does not exist')
    if setting == "role":
        if not call.view.layer.role_graph.is_member(session.session_oid, role.oid):
            raise InsufficientPrivilege(f'permission denied to set role "{name}"')
    elif role.oid != session.role_oid and not session.login_superuser:
        raise InsufficientPrivilege("permission denied to set session authorization")


def signal_backend(call: Call, pid: int, terminate: bool) -> bool:
    """pg_cancel_backend and pg_terminate_backend: of a superuser's session by superusers, of another's by members of
    its role and of pg_signal_backend. False with a warning when there is none of that pid."""
    registry = call.session.registry
    target = None if registry is None else registry.sessions.get(pid)
    if registry is None or target is None:
        call.session.notice(Warning_(f"PID {pid} is not a PostgreSQL backend process"), "WARNING")
        return False
    rights = call.view.layer.rights(call.session.user_oid)
    what = "terminate" if terminate else "cancel"
    if rights.graph.is_superuser(target.session_oid) and not rights.superuser:
        raise InsufficientPrivilege(f"must be a superuser to {what} superuser {'process' if terminate else 'query'}")
    if not (rights.has_role(target.session_oid) or rights.has_role(PG_SIGNAL_BACKEND)):
        whose = "process is being terminated" if terminate else "query is being canceled"
        raise InsufficientPrivilege(f"must be a member of the role whose {whose} or member of pg_signal_backend")
    return bool(registry.signal(pid, terminate))


def discard(call: Call, target: str) -> None:
    """DISCARD ALL, TEMP or SEQUENCES."""
    session = call.session
    if target == "all":
        advisory.end_session(call.engine, session)
    if target in ("all", "sequences"):
        session.sequence_values = session.last_sequence = None
    if target in ("all", "temp"):
        call.engine.ddl.end_session(session, call.txn)


def blocking_pids(call: Call, pid: int) -> list[int]:
    """pg_blocking_pids: whom the session of that pid waits for."""
    storage = call.engine.storage
    for txn in storage.txns.active:
        if txn.pid == pid and txn.waiting is not None:
            return list(dict.fromkeys(blocker.pid for blocker in storage.locks.blockers(txn)))
    return []


def notify(call: Call, channel: str | None, payload: str | None) -> str:
    """pg_notify: void, which is not NULL."""
    if call.engine.in_recovery:
        raise read_only.refused_in_recovery("NOTIFY")
    notifications.notify(call.session, channel or "", payload or "")
    return ""


def safe_snapshot_blocking_pids(call: Call, pid: int) -> list[int]:
    """pg_safe_snapshot_blocking_pids: whose ends a READ ONLY DEFERRABLE transaction waits for."""
    for txn in call.engine.storage.txns.active:
        serial = txn.serial
        if txn.pid == pid and serial is not None and serial.waiter is not None:
            return [each.pid for each in serial.possible]
    return []


def is_blocked_by(call: Call, pid: int, others: list[int]) -> bool:
    """pg_isolation_test_session_is_blocked: whether the session of ``pid`` waits for one of ``others``."""
    return not set(others).isdisjoint([*blocking_pids(call, pid), *safe_snapshot_blocking_pids(call, pid)])


def _constant(value: Datum) -> Callable[..., Datum]:
    return lambda call, *args: value


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_get_userbyid": lambda call, oid: call.view.layer.role_name(oid) or f"unknown (OID={oid})",
    "pg_relation_size": relation_size,
    "pg_table_size": table_size,
    "pg_indexes_size": indexes_size,
    "pg_total_relation_size": total_size,
    "pg_database_size": database_size,
    "pg_tablespace_size": tablespace_size,
    "pg_tablespace_location": _constant(""),
    "pg_relation_filenode": filenode,
    "pg_relation_filepath": filepath,
    "pg_filenode_relation": filenode_relation,
    "pg_postmaster_start_time": lambda call: call.engine.start_time_us,
    "pg_conf_load_time": lambda call: call.engine.start_time_us,
    "pg_reload_conf": reload_conf,
    "pg_hba_file_rules": hba_file_rules,
    "pg_blocking_pids": blocking_pids,
    "pg_safe_snapshot_blocking_pids": safe_snapshot_blocking_pids,
    "pg_isolation_test_session_is_blocked": is_blocked_by,
    "pg_listening_channels": lambda call: call.engine.channels.of(call.session),
    "pg_notify": notify,
    "pg_notification_queue_usage": lambda call: call.engine.channels.usage,
    "pg_stat_get_activity": stat_get_activity,
    "pg_show_all_settings": show_all_settings,
    "pg_lock_status": lock_status,
    "pg_prepared_statement": prepared_statements,
    "pg_cursor": cursors,
    "nextval": nextval,
    "identity_nextval": identity_nextval,
    "readable_columns": readable_columns,
    "deferrable_constraints": deferrable_constraints,
    "currval": currval,
    "lastval": lastval,
    "setval": setval,
    "pg_sequence_last_value": sequence_last_value,
    "sequence_row": sequence_row,
    "row_security_active": row_security_active,
    "current_xid": current_xid,
    "find_role": find_role,
    "discard": discard,
    "stored_settings": stored_settings,
    "system_setting": system_setting,
    "role_is_superuser": role_is_superuser,
    "may_set_parameter": may_set_parameter,
    "check_identity": check_identity,
    "has_predefined_role": has_predefined_role,
    "signal_backend": signal_backend,
}
