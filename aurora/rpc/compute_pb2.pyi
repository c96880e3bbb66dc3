from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InstanceState(_message.Message):
    __slots__ = ("id", "role", "state", "sql_address", "feed_address", "promotion_tier", "applied_lsn", "oldest_read_lsn", "lag_us", "session_id", "last_update_us", "cpu_percent", "epoch", "started_us", "feed_bytes", "stream_port")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SQL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FEED_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_TIER_FIELD_NUMBER: _ClassVar[int]
    APPLIED_LSN_FIELD_NUMBER: _ClassVar[int]
    OLDEST_READ_LSN_FIELD_NUMBER: _ClassVar[int]
    LAG_US_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_UPDATE_US_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STARTED_US_FIELD_NUMBER: _ClassVar[int]
    FEED_BYTES_FIELD_NUMBER: _ClassVar[int]
    STREAM_PORT_FIELD_NUMBER: _ClassVar[int]
    id: str
    role: str
    state: str
    sql_address: str
    feed_address: str
    promotion_tier: int
    applied_lsn: int
    oldest_read_lsn: int
    lag_us: int
    session_id: str
    last_update_us: int
    cpu_percent: float
    epoch: int
    started_us: int
    feed_bytes: int
    stream_port: int
    def __init__(self, id: _Optional[str] = ..., role: _Optional[str] = ..., state: _Optional[str] = ..., sql_address: _Optional[str] = ..., feed_address: _Optional[str] = ..., promotion_tier: _Optional[int] = ..., applied_lsn: _Optional[int] = ..., oldest_read_lsn: _Optional[int] = ..., lag_us: _Optional[int] = ..., session_id: _Optional[str] = ..., last_update_us: _Optional[int] = ..., cpu_percent: _Optional[float] = ..., epoch: _Optional[int] = ..., started_us: _Optional[int] = ..., feed_bytes: _Optional[int] = ..., stream_port: _Optional[int] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Topology(_message.Message):
    __slots__ = ("self", "instances", "writer_id", "epoch", "held")
    SELF_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    self: InstanceState
    instances: _containers.RepeatedCompositeFieldContainer[InstanceState]
    writer_id: str
    epoch: int
    held: _containers.RepeatedCompositeFieldContainer[HeldBack]
    def __init__(self_, self: _Optional[_Union[InstanceState, _Mapping]] = ..., instances: _Optional[_Iterable[_Union[InstanceState, _Mapping]]] = ..., writer_id: _Optional[str] = ..., epoch: _Optional[int] = ..., held: _Optional[_Iterable[_Union[HeldBack, _Mapping]]] = ...) -> None: ...

class HeldBack(_message.Message):
    __slots__ = ("id", "row_horizon", "read_point", "silent_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROW_HORIZON_FIELD_NUMBER: _ClassVar[int]
    READ_POINT_FIELD_NUMBER: _ClassVar[int]
    SILENT_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    row_horizon: int
    read_point: int
    silent_ms: int
    def __init__(self, id: _Optional[str] = ..., row_horizon: _Optional[int] = ..., read_point: _Optional[int] = ..., silent_ms: _Optional[int] = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("self", "resume_lsn", "volume_id", "applied_lsn", "row_horizon", "read_point")
    SELF_FIELD_NUMBER: _ClassVar[int]
    RESUME_LSN_FIELD_NUMBER: _ClassVar[int]
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIED_LSN_FIELD_NUMBER: _ClassVar[int]
    ROW_HORIZON_FIELD_NUMBER: _ClassVar[int]
    READ_POINT_FIELD_NUMBER: _ClassVar[int]
    self: InstanceState
    resume_lsn: int
    volume_id: bytes
    applied_lsn: int
    row_horizon: int
    read_point: int
    def __init__(self_, self: _Optional[_Union[InstanceState, _Mapping]] = ..., resume_lsn: _Optional[int] = ..., volume_id: _Optional[bytes] = ..., applied_lsn: _Optional[int] = ..., row_horizon: _Optional[int] = ..., read_point: _Optional[int] = ...) -> None: ...

class PgRun(_message.Message):
    __slots__ = ("pg", "prev_lsn", "first_lsn", "last_lsn", "records")
    PG_FIELD_NUMBER: _ClassVar[int]
    PREV_LSN_FIELD_NUMBER: _ClassVar[int]
    FIRST_LSN_FIELD_NUMBER: _ClassVar[int]
    LAST_LSN_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    pg: int
    prev_lsn: int
    first_lsn: int
    last_lsn: int
    records: bytes
    def __init__(self, pg: _Optional[int] = ..., prev_lsn: _Optional[int] = ..., first_lsn: _Optional[int] = ..., last_lsn: _Optional[int] = ..., records: _Optional[bytes] = ...) -> None: ...

class PgPoint(_message.Message):
    __slots__ = ("pg", "lsn")
    PG_FIELD_NUMBER: _ClassVar[int]
    LSN_FIELD_NUMBER: _ClassVar[int]
    pg: int
    lsn: int
    def __init__(self, pg: _Optional[int] = ..., lsn: _Optional[int] = ...) -> None: ...

class FollowReply(_message.Message):
    __slots__ = ("begin", "log", "topology", "moved", "descriptor")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    begin: Begin
    log: Log
    topology: Topology
    moved: Moved
    descriptor: bytes
    def __init__(self, begin: _Optional[_Union[Begin, _Mapping]] = ..., log: _Optional[_Union[Log, _Mapping]] = ..., topology: _Optional[_Union[Topology, _Mapping]] = ..., moved: _Optional[_Union[Moved, _Mapping]] = ..., descriptor: _Optional[bytes] = ...) -> None: ...

class Begin(_message.Message):
    __slots__ = ("vdl", "resumed", "pg_last", "epoch", "first_xid", "descriptor", "locks", "held", "held_from")
    VDL_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    PG_LAST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_XID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    LOCKS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_FROM_FIELD_NUMBER: _ClassVar[int]
    vdl: int
    resumed: bool
    pg_last: _containers.RepeatedCompositeFieldContainer[PgPoint]
    epoch: int
    first_xid: int
    descriptor: bytes
    locks: _containers.RepeatedCompositeFieldContainer[Lock]
    held: bool
    held_from: int
    def __init__(self, vdl: _Optional[int] = ..., resumed: _Optional[bool] = ..., pg_last: _Optional[_Iterable[_Union[PgPoint, _Mapping]]] = ..., epoch: _Optional[int] = ..., first_xid: _Optional[int] = ..., descriptor: _Optional[bytes] = ..., locks: _Optional[_Iterable[_Union[Lock, _Mapping]]] = ..., held: _Optional[bool] = ..., held_from: _Optional[int] = ...) -> None: ...

class Lock(_message.Message):
    __slots__ = ("xid", "relations")
    XID_FIELD_NUMBER: _ClassVar[int]
    RELATIONS_FIELD_NUMBER: _ClassVar[int]
    xid: int
    relations: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, xid: _Optional[int] = ..., relations: _Optional[_Iterable[int]] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("runs", "vdl", "sent_us", "epoch", "removed_below")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    SENT_US_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REMOVED_BELOW_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[PgRun]
    vdl: int
    sent_us: int
    epoch: int
    removed_below: int
    def __init__(self, runs: _Optional[_Iterable[_Union[PgRun, _Mapping]]] = ..., vdl: _Optional[int] = ..., sent_us: _Optional[int] = ..., epoch: _Optional[int] = ..., removed_below: _Optional[int] = ...) -> None: ...

class Moved(_message.Message):
    __slots__ = ("writer_feed_address", "writer_id", "problem")
    WRITER_FEED_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    writer_feed_address: str
    writer_id: str
    problem: str
    def __init__(self, writer_feed_address: _Optional[str] = ..., writer_id: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class PromoteReply(_message.Message):
    __slots__ = ("problem", "epoch", "vdl")
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    problem: str
    epoch: int
    vdl: int
    def __init__(self, problem: _Optional[str] = ..., epoch: _Optional[int] = ..., vdl: _Optional[int] = ...) -> None: ...

class StepDownRequest(_message.Message):
    __slots__ = ("successor",)
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    successor: str
    def __init__(self, successor: _Optional[str] = ...) -> None: ...

class StepDownReply(_message.Message):
    __slots__ = ("problem", "vdl")
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    problem: str
    vdl: int
    def __init__(self, problem: _Optional[str] = ..., vdl: _Optional[int] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("pid", "secret")
    PID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    pid: int
    secret: int
    def __init__(self, pid: _Optional[int] = ..., secret: _Optional[int] = ...) -> None: ...

class CancelReply(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: _Optional[bool] = ...) -> None: ...

class ForgetRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ForgetReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UseDatabaseRequest(_message.Message):
    __slots__ = ("oid",)
    OID_FIELD_NUMBER: _ClassVar[int]
    oid: int
    def __init__(self, oid: _Optional[int] = ...) -> None: ...

class UseDatabaseReply(_message.Message):
    __slots__ = ("problem", "lsn")
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    LSN_FIELD_NUMBER: _ClassVar[int]
    problem: str
    lsn: int
    def __init__(self, problem: _Optional[str] = ..., lsn: _Optional[int] = ...) -> None: ...

class ForwardRequest(_message.Message):
    __slots__ = ("open", "begin", "settings", "command_id", "input", "more", "cancel", "ask")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    open: ForwardOpen
    begin: ForwardBegin
    settings: _containers.RepeatedCompositeFieldContainer[ForwardSetting]
    command_id: int
    input: bytes
    more: bool
    cancel: bool
    ask: bool
    def __init__(self, open: _Optional[_Union[ForwardOpen, _Mapping]] = ..., begin: _Optional[_Union[ForwardBegin, _Mapping]] = ..., settings: _Optional[_Iterable[_Union[ForwardSetting, _Mapping]]] = ..., command_id: _Optional[int] = ..., input: _Optional[bytes] = ..., more: _Optional[bool] = ..., cancel: _Optional[bool] = ..., ask: _Optional[bool] = ...) -> None: ...

class ForwardOpen(_message.Message):
    __slots__ = ("user", "database", "reader_id", "volume_id", "idle_timeout_ms", "idle_in_transaction_timeout_ms", "application_name")
    USER_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    READER_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    IDLE_IN_TRANSACTION_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_NAME_FIELD_NUMBER: _ClassVar[int]
    user: str
    database: str
    reader_id: str
    volume_id: bytes
    idle_timeout_ms: int
    idle_in_transaction_timeout_ms: int
    application_name: str
    def __init__(self, user: _Optional[str] = ..., database: _Optional[str] = ..., reader_id: _Optional[str] = ..., volume_id: _Optional[bytes] = ..., idle_timeout_ms: _Optional[int] = ..., idle_in_transaction_timeout_ms: _Optional[int] = ..., application_name: _Optional[str] = ...) -> None: ...

class ForwardBegin(_message.Message):
    __slots__ = ("isolation", "snapshot_lsn", "started_us", "alone")
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_LSN_FIELD_NUMBER: _ClassVar[int]
    STARTED_US_FIELD_NUMBER: _ClassVar[int]
    ALONE_FIELD_NUMBER: _ClassVar[int]
    isolation: str
    snapshot_lsn: int
    started_us: int
    alone: bool
    def __init__(self, isolation: _Optional[str] = ..., snapshot_lsn: _Optional[int] = ..., started_us: _Optional[int] = ..., alone: _Optional[bool] = ...) -> None: ...

class ForwardSetting(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ForwardReply(_message.Message):
    __slots__ = ("output", "position")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    output: bytes
    position: ForwardPosition
    def __init__(self, output: _Optional[bytes] = ..., position: _Optional[_Union[ForwardPosition, _Mapping]] = ...) -> None: ...

class ForwardPosition(_message.Message):
    __slots__ = ("lsn", "xids", "command_id")
    LSN_FIELD_NUMBER: _ClassVar[int]
    XIDS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    lsn: int
    xids: _containers.RepeatedScalarFieldContainer[int]
    command_id: int
    def __init__(self, lsn: _Optional[int] = ..., xids: _Optional[_Iterable[int]] = ..., command_id: _Optional[int] = ...) -> None: ...
