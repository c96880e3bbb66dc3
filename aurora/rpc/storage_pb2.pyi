from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Member(_message.Message):
    __slots__ = ("node_id", "az", "address")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    az: str
    address: str
    def __init__(self, node_id: _Optional[str] = ..., az: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Descriptor(_message.Message):
    __slots__ = ("volume_id", "generation", "membership_epoch", "geometry_epoch", "pages_per_pg", "members")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_PER_PG_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    generation: int
    membership_epoch: int
    geometry_epoch: int
    pages_per_pg: int
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, volume_id: _Optional[bytes] = ..., generation: _Optional[int] = ..., membership_epoch: _Optional[int] = ..., geometry_epoch: _Optional[int] = ..., pages_per_pg: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class PgLsn(_message.Message):
    __slots__ = ("pg", "lsn")
    PG_FIELD_NUMBER: _ClassVar[int]
    LSN_FIELD_NUMBER: _ClassVar[int]
    pg: int
    lsn: int
    def __init__(self, pg: _Optional[int] = ..., lsn: _Optional[int] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "sequence", "batches", "vdl", "pgmrpl")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    sequence: int
    batches: bytes
    vdl: int
    pgmrpl: int
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., sequence: _Optional[int] = ..., batches: _Optional[bytes] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("sequence", "scl", "refused_epoch", "error")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    REFUSED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    scl: _containers.RepeatedCompositeFieldContainer[PgLsn]
    refused_epoch: int
    error: str
    def __init__(self, sequence: _Optional[int] = ..., scl: _Optional[_Iterable[_Union[PgLsn, _Mapping]]] = ..., refused_epoch: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class PageAt(_message.Message):
    __slots__ = ("page_no", "pg_lsn", "read_point")
    PAGE_NO_FIELD_NUMBER: _ClassVar[int]
    PG_LSN_FIELD_NUMBER: _ClassVar[int]
    READ_POINT_FIELD_NUMBER: _ClassVar[int]
    page_no: int
    pg_lsn: int
    read_point: int
    def __init__(self, page_no: _Optional[int] = ..., pg_lsn: _Optional[int] = ..., read_point: _Optional[int] = ...) -> None: ...

class ReadPagesRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "pages")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    pages: _containers.RepeatedCompositeFieldContainer[PageAt]
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., pages: _Optional[_Iterable[_Union[PageAt, _Mapping]]] = ...) -> None: ...

class PageImage(_message.Message):
    __slots__ = ("page_no", "image", "scl", "behind", "collected")
    PAGE_NO_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_FIELD_NUMBER: _ClassVar[int]
    page_no: int
    image: bytes
    scl: int
    behind: bool
    collected: bool
    def __init__(self, page_no: _Optional[int] = ..., image: _Optional[bytes] = ..., scl: _Optional[int] = ..., behind: _Optional[bool] = ..., collected: _Optional[bool] = ...) -> None: ...

class ReadPagesReply(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[PageImage]
    def __init__(self, pages: _Optional[_Iterable[_Union[PageImage, _Mapping]]] = ...) -> None: ...

class FenceRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ...) -> None: ...

class Truncation(_message.Message):
    __slots__ = ("epoch", "vdl", "upper")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    vdl: int
    upper: int
    def __init__(self, epoch: _Optional[int] = ..., vdl: _Optional[int] = ..., upper: _Optional[int] = ...) -> None: ...

class PgState(_message.Message):
    __slots__ = ("pg", "scl", "highest_lsn", "collected_lsn", "vdl_hint", "scl_cpl", "staged_lsn")
    PG_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    VDL_HINT_FIELD_NUMBER: _ClassVar[int]
    SCL_CPL_FIELD_NUMBER: _ClassVar[int]
    STAGED_LSN_FIELD_NUMBER: _ClassVar[int]
    pg: int
    scl: int
    highest_lsn: int
    collected_lsn: int
    vdl_hint: int
    scl_cpl: int
    staged_lsn: int
    def __init__(self, pg: _Optional[int] = ..., scl: _Optional[int] = ..., highest_lsn: _Optional[int] = ..., collected_lsn: _Optional[int] = ..., vdl_hint: _Optional[int] = ..., scl_cpl: _Optional[int] = ..., staged_lsn: _Optional[int] = ...) -> None: ...

class FenceReply(_message.Message):
    __slots__ = ("adopted", "epoch", "writer_id", "pgs", "truncations", "descriptor", "log_port")
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    LOG_PORT_FIELD_NUMBER: _ClassVar[int]
    adopted: bool
    epoch: int
    writer_id: str
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    descriptor: Descriptor
    log_port: int
    def __init__(self, adopted: _Optional[bool] = ..., epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., log_port: _Optional[int] = ...) -> None: ...

class TruncateRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "range")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    range: Truncation
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., range: _Optional[_Union[Truncation, _Mapping]] = ...) -> None: ...

class TruncateReply(_message.Message):
    __slots__ = ("ok", "epoch")
    OK_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    epoch: int
    def __init__(self, ok: _Optional[bool] = ..., epoch: _Optional[int] = ...) -> None: ...

class FetchLogRequest(_message.Message):
    __slots__ = ("volume_id", "pg", "after_lsn", "upto_lsn")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    PG_FIELD_NUMBER: _ClassVar[int]
    AFTER_LSN_FIELD_NUMBER: _ClassVar[int]
    UPTO_LSN_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    pg: int
    after_lsn: int
    upto_lsn: int
    def __init__(self, volume_id: _Optional[bytes] = ..., pg: _Optional[int] = ..., after_lsn: _Optional[int] = ..., upto_lsn: _Optional[int] = ...) -> None: ...

class FetchLogReply(_message.Message):
    __slots__ = ("batches", "collected_lsn", "collected", "scl")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    batches: bytes
    collected_lsn: int
    collected: bool
    scl: int
    def __init__(self, batches: _Optional[bytes] = ..., collected_lsn: _Optional[int] = ..., collected: _Optional[bool] = ..., scl: _Optional[int] = ...) -> None: ...

class FetchPagesRequest(_message.Message):
    __slots__ = ("volume_id", "pg")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    PG_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    pg: int
    def __init__(self, volume_id: _Optional[bytes] = ..., pg: _Optional[int] = ...) -> None: ...

class FetchPagesReply(_message.Message):
    __slots__ = ("baseline_lsn", "baseline_cpl", "last", "pages")
    BASELINE_LSN_FIELD_NUMBER: _ClassVar[int]
    BASELINE_CPL_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    baseline_lsn: int
    baseline_cpl: int
    last: bool
    pages: _containers.RepeatedCompositeFieldContainer[PageImage]
    def __init__(self, baseline_lsn: _Optional[int] = ..., baseline_cpl: _Optional[int] = ..., last: _Optional[bool] = ..., pages: _Optional[_Iterable[_Union[PageImage, _Mapping]]] = ...) -> None: ...

class GossipRequest(_message.Message):
    __slots__ = ("volume_id", "node_id", "volume_epoch", "pgs", "vdl", "pgmrpl", "truncations", "descriptor_generation", "writer_id", "staged_vdl")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_GENERATION_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    STAGED_VDL_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    node_id: str
    volume_epoch: int
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    vdl: int
    pgmrpl: int
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    descriptor_generation: int
    writer_id: str
    staged_vdl: int
    def __init__(self, volume_id: _Optional[bytes] = ..., node_id: _Optional[str] = ..., volume_epoch: _Optional[int] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., descriptor_generation: _Optional[int] = ..., writer_id: _Optional[str] = ..., staged_vdl: _Optional[int] = ...) -> None: ...

class GossipReply(_message.Message):
    __slots__ = ("node_id", "volume_epoch", "pgs", "vdl", "pgmrpl", "truncations", "descriptor_generation", "writer_id", "staged_vdl")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_GENERATION_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    STAGED_VDL_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    volume_epoch: int
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    vdl: int
    pgmrpl: int
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    descriptor_generation: int
    writer_id: str
    staged_vdl: int
    def __init__(self, node_id: _Optional[str] = ..., volume_epoch: _Optional[int] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., descriptor_generation: _Optional[int] = ..., writer_id: _Optional[str] = ..., staged_vdl: _Optional[int] = ...) -> None: ...

class AdvanceRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "vdl", "pgmrpl", "pg_last")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    PG_LAST_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    vdl: int
    pgmrpl: int
    pg_last: _containers.RepeatedCompositeFieldContainer[PgLsn]
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., pg_last: _Optional[_Iterable[_Union[PgLsn, _Mapping]]] = ...) -> None: ...

class AdvanceReply(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("node_id", "az", "volume_id", "volume_epoch", "writer_id", "pgs", "vdl", "pgmrpl", "log_bytes", "page_bytes", "cached_pages", "state", "pid", "note", "log_port", "backup")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHED_PAGES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LOG_PORT_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    az: str
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    vdl: int
    pgmrpl: int
    log_bytes: int
    page_bytes: int
    cached_pages: int
    state: str
    pid: int
    note: str
    log_port: int
    backup: str
    def __init__(self, node_id: _Optional[str] = ..., az: _Optional[str] = ..., volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., log_bytes: _Optional[int] = ..., page_bytes: _Optional[int] = ..., cached_pages: _Optional[int] = ..., state: _Optional[str] = ..., pid: _Optional[int] = ..., note: _Optional[str] = ..., log_port: _Optional[int] = ..., backup: _Optional[str] = ...) -> None: ...

class WriteDescriptorRequest(_message.Message):
    __slots__ = ("descriptor",)
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    descriptor: Descriptor
    def __init__(self, descriptor: _Optional[_Union[Descriptor, _Mapping]] = ...) -> None: ...

class WriteDescriptorReply(_message.Message):
    __slots__ = ("ok", "current")
    OK_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    current: Descriptor
    def __init__(self, ok: _Optional[bool] = ..., current: _Optional[_Union[Descriptor, _Mapping]] = ...) -> None: ...

class ReadDescriptorRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadDescriptorReply(_message.Message):
    __slots__ = ("descriptor", "present")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    descriptor: Descriptor
    present: bool
    def __init__(self, descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., present: _Optional[bool] = ...) -> None: ...

class SegmentMeta(_message.Message):
    __slots__ = ("pg", "collected_lsn", "collected_cpl", "staged_lsn")
    PG_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_CPL_FIELD_NUMBER: _ClassVar[int]
    STAGED_LSN_FIELD_NUMBER: _ClassVar[int]
    pg: int
    collected_lsn: int
    collected_cpl: int
    staged_lsn: int
    def __init__(self, pg: _Optional[int] = ..., collected_lsn: _Optional[int] = ..., collected_cpl: _Optional[int] = ..., staged_lsn: _Optional[int] = ...) -> None: ...

class NodeMeta(_message.Message):
    __slots__ = ("node_id", "descriptor", "volume_epoch", "writer_id", "truncations", "segments", "vdl", "pgmrpl", "settled_vdl")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    SETTLED_VDL_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    descriptor: Descriptor
    volume_epoch: int
    writer_id: str
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    segments: _containers.RepeatedCompositeFieldContainer[SegmentMeta]
    vdl: int
    pgmrpl: int
    settled_vdl: int
    def __init__(self, node_id: _Optional[str] = ..., descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., segments: _Optional[_Iterable[_Union[SegmentMeta, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., settled_vdl: _Optional[int] = ...) -> None: ...

class BackupLog(_message.Message):
    __slots__ = ("prev_lsn", "last_lsn")
    PREV_LSN_FIELD_NUMBER: _ClassVar[int]
    LAST_LSN_FIELD_NUMBER: _ClassVar[int]
    prev_lsn: int
    last_lsn: int
    def __init__(self, prev_lsn: _Optional[int] = ..., last_lsn: _Optional[int] = ...) -> None: ...

class BackupPages(_message.Message):
    __slots__ = ("base_lsn", "chunk")
    BASE_LSN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    base_lsn: int
    chunk: int
    def __init__(self, base_lsn: _Optional[int] = ..., chunk: _Optional[int] = ...) -> None: ...

class BackupSnapshot(_message.Message):
    __slots__ = ("base_lsn", "base_cpl", "upto_lsn", "chunks", "pages", "wall_ms")
    BASE_LSN_FIELD_NUMBER: _ClassVar[int]
    BASE_CPL_FIELD_NUMBER: _ClassVar[int]
    UPTO_LSN_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    base_lsn: int
    base_cpl: int
    upto_lsn: int
    chunks: int
    pages: int
    wall_ms: int
    def __init__(self, base_lsn: _Optional[int] = ..., base_cpl: _Optional[int] = ..., upto_lsn: _Optional[int] = ..., chunks: _Optional[int] = ..., pages: _Optional[int] = ..., wall_ms: _Optional[int] = ...) -> None: ...

class BackupMoment(_message.Message):
    __slots__ = ("wall_ms", "vdl", "pgs")
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    wall_ms: int
    vdl: int
    pgs: _containers.RepeatedCompositeFieldContainer[PgLsn]
    def __init__(self, wall_ms: _Optional[int] = ..., vdl: _Optional[int] = ..., pgs: _Optional[_Iterable[_Union[PgLsn, _Mapping]]] = ...) -> None: ...

class BackupTimeline(_message.Message):
    __slots__ = ("descriptor", "truncations", "moments")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    MOMENTS_FIELD_NUMBER: _ClassVar[int]
    descriptor: Descriptor
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    moments: _containers.RepeatedCompositeFieldContainer[BackupMoment]
    def __init__(self, descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., moments: _Optional[_Iterable[_Union[BackupMoment, _Mapping]]] = ...) -> None: ...
