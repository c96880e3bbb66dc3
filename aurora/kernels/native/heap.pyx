# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Heap pages, compiled. The specification is ``aurora.kernels.python.heap``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from aurora.errors import InvariantViolation
from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.clog cimport BlockMap, Clog, Snapshot
from aurora.kernels.native.columns cimport Columns
from aurora.kernels.native.mtr cimport Mtr
from aurora.kernels.native.tuples import too_big
from aurora.kernels.native.tuples cimport (
    HEADER,
    MAX_TUPLE,
    M_HEAP_ONLY,
    M_HOT_UPDATED,
    M_KEY_CHANGED,
    O_CMIN,
    O_INFOMASK,
    O_NEXT_BLOCK,
    O_NEXT_SLOT,
    O_XMAX,
    O_XMIN,
    Projection,
    RowCodec,
)
from aurora.page import PageKind

cdef int HEAP_KIND = PageKind.HEAP
if HEAP_KIND != C_HEAP_KIND:
    raise ImportError("PageKind.HEAP differs from the compiled constant")

UNUSED, NORMAL, REDIRECT, DEAD = 0, 1, 2, 3
RETRY = -1
OK, SELF, BUSY, MOVED, GONE, AWAY = 0, 1, 2, 3, 4, 5
LIVE, NOT_LIVE, UNDECIDED = 0, 1, 2
NEEDS_TOAST = -(1 << 62)
AWAY_BLOCK = C_AWAY_BLOCK


cdef struct Line:
    int offset
    int length


cdef int by_offset(const void* a, const void* b) noexcept nogil:
    return (<const Line*>a).offset - (<const Line*>b).offset


cdef int put_diff_c(Mtr mtr, Py_ssize_t frame, int offset, const unsigned char* data, int n) except -1:
    cdef const unsigned char* page = mtr.arena.base + frame * PAGE_BYTES + offset
    cdef int i = 0, j, end
    while i < n:
        if page[i] == data[i]:
            i += 1
            continue
        end = j = i + 1
        while j < n and j - end < GAP:
            if page[j] != data[j]:
                end = j + 1
            j += 1
        mtr.put_c(frame, offset + i, data + i, end - i)
        i = end
    return 0


def put_diff(Mtr mtr, Py_ssize_t frame, page, int offset, bytes data):
    """Write ``data`` at ``offset``, logging only the runs of bytes that change."""
    put_diff_c(mtr, frame, offset, <const unsigned char*>PyBytes_AS_STRING(data), <int>PyBytes_GET_SIZE(data))


cdef void header_c(unsigned char* out, unsigned int relfile) noexcept:
    cdef unsigned short word
    out[0] = <unsigned char>HEAP_KIND
    out[1] = 0
    word = PAGE_HEADER
    memcpy(out + 2, &word, 2)
    word = PAGE_BYTES
    memcpy(out + 4, &word, 2)
    memcpy(out + 6, &word, 2)
    memcpy(out + 8, &relfile, 4)


def empty_header(unsigned int relfile):
    """Bytes 12-24 of an empty heap page."""
    cdef unsigned char out[12]
    header_c(out, relfile)
    return PyBytes_FromStringAndSize(<char*>out, 12)


cdef class HeapFile:
    """The kernels of one heap relation."""

    def __init__(
        self, Arena arena not None, Mtr mtr not None, Clog clog not None, BlockMap blocks not None,
        RowCodec codec not None, unsigned int relfile
    ):
        self.arena = arena
        self.mtr = mtr
        self.clog = clog
        self.blocks = blocks
        self.codec = codec
        self.relfile = relfile

    # Reading

    cdef int visible_c(self, const unsigned char* tup, Snapshot snap) except -2:
        # 1 visible, 0 not, -1 a page of the commit log is missing: its number is in self.missing.
        cdef unsigned long long xid = get64(tup + O_XMIN)
        cdef long long state = self.clog.state_c(xid)
        if state < 0:
            self.missing = -state
            return -1
        if state == C_ABORTED or state > snap.lsn:
            return 0
        if state == 0 and (get32(tup + O_CMIN) >= snap.cid or xid not in snap.own):
            return 0
        xid = get64(tup)
        if xid == 0:
            return 1
        state = self.clog.state_c(xid)
        if state < 0:
            self.missing = -state
            return -1
        if state == C_ABORTED or state > snap.lsn:
            return 1
        if state == 0:
            return 1 if get32(tup + 14) >= snap.cid or xid not in snap.own else 0
        return 0

    def fetch(self, Snapshot snap not None, unsigned long long tid, Projection proj not None):
        """The version at exactly ``tid``; None when absent or invisible; a missing page."""
        cdef long long page_no, frame
        cdef const unsigned char* page
        cdef int offset, length, seen
        if <long long>(tid >> 16) >= self.blocks.blocks:
            return None
        page_no = self.blocks.page_c(tid >> 16)
        frame = self.arena.lookup_c(page_no)
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        if line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
            return None
        seen = self.visible_c(page + offset, snap)
        if seen < 0:
            return self.missing
        return proj.row_c(page + offset, tid) if seen else None

    cdef int seen_c(self, const unsigned char* page, int root, Snapshot snap, int* at) except -1:
        # The offset of the visible version of a chain, its slot in ``at``; 0 when there is none, or with self.missing
        # set.
        cdef int offset, length, seen, slot = root
        cdef int flags = line_of(page, slot, &offset, &length)
        cdef unsigned long long expected = 0
        cdef const unsigned char* tup
        self.missing = 0
        if flags == C_REDIRECT:
            slot = offset
            flags = line_of(page, slot, &offset, &length)
        while flags == C_NORMAL:
            tup = page + offset
            if expected and get64(tup + O_XMIN) != expected:
                return 0
            seen = self.visible_c(tup, snap)
            if seen < 0:
                return 0
            if seen:
                at[0] = slot
                return offset
            expected = get64(tup)
            slot = get16(tup + O_NEXT_SLOT)
            if not expected or not slot or not get16(tup + O_INFOMASK) & M_HOT_UPDATED:
                return 0
            flags = line_of(page, slot, &offset, &length)
        return 0

    cdef tuple chain_c(
        self, const unsigned char* page, unsigned long long block, int root, Snapshot snap, Projection proj, bint root_tid
    ):
        # The visible row of a chain; None when there is none, or with self.missing set.
        cdef int slot = 0
        cdef int offset = self.seen_c(page, root, snap, &slot)
        if not offset:
            return None
        return proj.row_c(page + offset, block << 16 | (root if root_tid else slot))

    cdef tuple fetch_chain_c(self, Snapshot snap, unsigned long long tid, Projection proj):
        cdef long long page_no = self.blocks.page_c(tid >> 16)
        cdef long long frame = self.arena.lookup_c(page_no)
        if frame < 0:
            self.missing = page_no
            return None
        return self.chain_c(self.arena.base + frame * PAGE_BYTES, tid >> 16, <int>(tid & 0xFFFF), snap, proj, False)

    def fetch_chain(self, Snapshot snap not None, unsigned long long tid, Projection proj not None):
        """The visible version of the chain whose root an index entry names; None when there is none; a missing page."""
        cdef tuple row = self.fetch_chain_c(snap, tid, proj)
        if row is None and self.missing:
            return self.missing
        return row

    def fetch_many(self, Snapshot snap not None, tids, Projection proj not None):
        """``fetch_chain`` of each, the invisible ones left out; a missing page."""
        cdef list rows = []
        cdef tuple row
        for tid in tids:
            row = self.fetch_chain_c(snap, tid, proj)
            if row is not None:
                rows.append(row)
            elif self.missing:
                return self.missing
        return rows

    def fetch_stored(self, tids, Projection proj not None):
        """The versions at exactly ``tids`` whoever sees them, absent ones left out; a missing page."""
        cdef list rows = []
        cdef unsigned long long tid
        cdef long long page_no, frame
        cdef const unsigned char* page
        cdef int offset, length
        for each in tids:
            tid = each
            page_no = self.blocks.page_c(tid >> 16)
            frame = self.arena.lookup_c(page_no)
            if frame < 0:
                return page_no
            page = self.arena.base + frame * PAGE_BYTES
            if line_of(page, <int>(tid & 0xFFFF), &offset, &length) == C_NORMAL:
                rows.append(proj.row_c(page + offset, tid))
        return rows

    def externals(self, unsigned long long tid, positions):
        """Handles of the values out of line among ``positions`` (from 0; None: all) of version ``tid``; a missing
        page."""
        cdef long long page_no = self.blocks.page_c(tid >> 16)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef int offset, length
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        if line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
            return []
        return self.codec.externals_c(page + offset, positions)

    def scan_page(self, Snapshot snap not None, unsigned long long block, Projection proj not None, bint roots):
        """Visible rows of a block, in slot order; with ``roots`` chain by chain, the tid being that of the chain's root."""
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef int slot, flags, offset, length, seen
        cdef list rows = []
        cdef tuple row
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        if not is_ours(page, self.relfile):
            return rows
        for slot in range(1, slots_of(page) + 1):
            flags = line_of(page, slot, &offset, &length)
            if roots:
                if flags != C_REDIRECT and (flags != C_NORMAL or get16(page + offset + O_INFOMASK) & M_HEAP_ONLY):
                    continue
                row = self.chain_c(page, block, slot, snap, proj, True)
                if row is not None:
                    rows.append(row)
                elif self.missing:
                    return self.missing
            elif flags == C_NORMAL:
                seen = self.visible_c(page + offset, snap)
                if seen < 0:
                    return self.missing
                if seen:
                    rows.append(proj.row_c(page + offset, block << 16 | slot))
        return rows

    def scan_columns(
        self, Snapshot snap not None, long long start, long long end, Columns columns not None, Py_ssize_t enough
    ):
        """Put the visible rows of the blocks from ``start`` to before ``end`` into ``columns``, until there are
        ``enough``: (the first block that was not read, a missing page of it or 0). Of a block all rows are put, or
        none."""
        cdef long long block = start, missing
        while block < end:
            missing = self.scan_columns_c(snap, block, columns)
            if missing:
                return block, missing
            block += 1
            if columns.count >= enough:
                break
        return block, 0

    cdef long long scan_columns_c(self, Snapshot snap, unsigned long long block, Columns columns) except -1:
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef const unsigned char* tup
        cdef int slot, offset, length, seen
        cdef unsigned long long xmin, committed = 0
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        if not is_ours(page, self.relfile):
            return 0
        columns.begin_page(0)
        for slot in range(1, slots_of(page) + 1):
            if line_of(page, slot, &offset, &length) != C_NORMAL:
                continue
            tup = page + offset
            xmin = get64(tup + O_XMIN)
            # Most rows of a page are of one transaction, and nobody has touched them since.
            if xmin != committed or get64(tup):
                seen = self.visible_c(tup, snap)
                if seen < 0:
                    columns.undo_page()
                    return self.missing
                if not seen:
                    continue
                if self.clog.state_c(xmin) > 0:
                    committed = xmin
            columns.put_c(tup)
        return 0

    def fetch_columns(self, Snapshot snap not None, tids, Columns columns not None, unsigned char[::1] found=None):
        """Put the rows of ``fetch_many`` into ``columns``; None, or a missing page and nothing is put. At most
        ``FETCH_ROWS_MAX`` at once. ``found``: becomes 1 for each address that has a row, else 0."""
        cdef unsigned long long tid, block = 0
        cdef long long page_no, frame
        cdef const unsigned char* page = NULL
        cdef int offset, slot = 0
        cdef Py_ssize_t at = 0
        if found is not None and found.shape[0] != len(tids):
            raise ValueError("flags of another length")
        columns.begin_page(len(tids))
        for each in tids:
            tid = each
            if page == NULL or tid >> 16 != block:
                block = tid >> 16
                page_no = self.blocks.page_c(block)
                frame = self.arena.lookup_c(page_no)
                if frame < 0:
                    columns.undo_page()
                    return page_no
                page = self.arena.base + frame * PAGE_BYTES
            offset = self.seen_c(page, <int>(tid & 0xFFFF), snap, &slot)
            if offset:
                columns.put_c(page + offset)
            elif self.missing:
                columns.undo_page()
                return self.missing
            if found is not None:
                found[at] = offset != 0
                at += 1
        return None

    def probe(self, unsigned long long tid, Snapshot snap not None, Projection proj not None, bint follow):
        """What an update or lock of version ``tid`` meets: ``(outcome, tid, lsn, extra)``, or a missing page."""
        cdef long long lsn = 0, state, page_no, frame
        cdef unsigned long long expected = 0, xmax
        cdef const unsigned char* page
        cdef const unsigned char* tup
        cdef int offset, length
        while True:
            page_no = self.blocks.page_c(tid >> 16)
            frame = self.arena.lookup_c(page_no)
            if frame < 0:
                return page_no
            page = self.arena.base + frame * PAGE_BYTES
            if line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
                return 4, tid, lsn, None
            tup = page + offset
            if expected and get64(tup + O_XMIN) != expected:
                return 4, tid, lsn, None
            xmax = get64(tup)
            state = self.clog.state_c(xmax) if xmax else C_ABORTED
            if state < 0:
                return -state
            if state == C_ABORTED:
                return 0, tid, lsn, proj.row_c(tup, tid)
            if state == 0:
                if xmax in snap.own:
                    return 1, tid, lsn, None
                return 2, tid, lsn, xmax
            if state > lsn:
                lsn = state
            if not get16(tup + O_NEXT_SLOT):
                return 5 if get32(tup + O_NEXT_BLOCK) == C_AWAY_BLOCK else 4, tid, lsn, None
            if not follow:
                return 3, tid, lsn, None
            expected = xmax
            tid = <unsigned long long>get32(tup + O_NEXT_BLOCK) << 16 | get16(tup + O_NEXT_SLOT)

    def conflict(self, unsigned long long tid, set own not None):
        """Whether the chain at root ``tid`` holds a row that forbids an equal unique key; a missing page."""
        cdef long long page_no = self.blocks.page_c(tid >> 16)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef const unsigned char* tup
        cdef unsigned long long expected = 0, xmin, xmax
        cdef long long born, died, removed = 0
        cdef int flags, offset, length, slot
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        flags = line_of(page, <int>(tid & 0xFFFF), &offset, &length)
        if flags == C_REDIRECT:
            slot = offset
            flags = line_of(page, slot, &offset, &length)
        while flags == C_NORMAL:
            tup = page + offset
            xmin = get64(tup + O_XMIN)
            if expected and xmin != expected:
                break
            born = self.clog.state_c(xmin)
            if born < 0:
                return -born
            if born == C_ABORTED:
                break
            if born == 0 and xmin not in own:
                return 2, xmin
            xmax = get64(tup)
            died = self.clog.state_c(xmax) if xmax else C_ABORTED
            if died < 0:
                return -died
            if died == C_ABORTED:
                return 0, born
            if died == 0 and xmax not in own:
                return 2, xmax
            removed = max(removed, died)
            slot = get16(tup + O_NEXT_SLOT)
            if not slot or not get16(tup + O_INFOMASK) & M_HOT_UPDATED:
                break
            expected = xmax
            flags = line_of(page, slot, &offset, &length)
        return 1, removed

    def free_space(self, unsigned long long block):
        """Bytes that tuples could take on ``block``, gaps included; minus a missing page."""
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        if not is_ours(page, self.relfile):
            return PAGE_BYTES - PAGE_HEADER - 4
        return max(0, free_c(page) - 4)

    # Placing

    cdef int place_c(self, const unsigned char* page, int n, int reserve, Place* place) except -1:
        # 1 and the place, or 0 without room.
        cdef int slots = slots_of(page)
        cdef int lower = get16(page + OFF_LOWER), upper = get16(page + OFF_UPPER)
        cdef int slot, more, offset, length, at, i, count = 0, used = 0
        cdef Line lines[MAX_SLOTS]
        for slot in range(1, slots + 1):
            if line_of(page, slot, &offset, &length) == C_UNUSED:
                break
        else:
            slot = slots + 1
        more = 4 if slot > slots else 0
        place.slot = slot
        place.compact = 0
        if upper - lower >= n + more + reserve:
            place.offset = upper - n
            return 1
        if free_c(page) < n + more + reserve:
            return 0
        if lower + more <= upper:
            for i in range(1, slots + 1):
                if line_of(page, i, &offset, &length) == C_NORMAL:
                    lines[count].offset = offset
                    lines[count].length = length
                    count += 1
            qsort(lines, count, sizeof(Line), &by_offset)
            at = upper
            for i in range(count):
                if lines[i].offset - at >= n:
                    place.offset = lines[i].offset - n
                    return 1
                at = lines[i].offset + lines[i].length
            if PAGE_BYTES - at >= n:
                place.offset = PAGE_BYTES - n
                return 1
        place.offset = 0
        place.compact = 1
        return 1

    cdef int claim_c(self, Py_ssize_t frame, int n, Place* place) except -1:
        cdef unsigned char* page = self.arena.base + frame * PAGE_BYTES
        cdef unsigned short words[2]
        cdef int lower, upper, at
        if place.compact:
            self._compact(frame)
        lower = get16(page + OFF_LOWER)
        upper = get16(page + OFF_UPPER)
        if place.compact:
            place.offset = upper - n
        at = PAGE_HEADER + 4 * (place.slot - 1)
        words[0] = <unsigned short>max(lower, at + 4)
        words[1] = <unsigned short>min(upper, place.offset)
        put_diff_c(self.mtr, frame, OFF_LOWER, <unsigned char*>words, 4)
        words[0] = <unsigned short>place.offset
        words[1] = <unsigned short>(C_NORMAL << 14 | n)
        put_diff_c(self.mtr, frame, at, <unsigned char*>words, 4)
        return 0

    def _compact(self, Py_ssize_t frame):
        cdef unsigned char* page = self.arena.base + frame * PAGE_BYTES
        cdef unsigned char content[PAGE_BYTES]
        cdef int lower = get16(page + OFF_LOWER), upper = PAGE_BYTES
        cdef int slot, offset, length
        cdef unsigned short word
        memcpy(content, page, PAGE_BYTES)
        memset(content + lower, 0, PAGE_BYTES - lower)
        for slot in range(1, slots_of(page) + 1):
            if line_of(page, slot, &offset, &length) == C_NORMAL:
                upper -= length
                memcpy(content + upper, page + offset, length)
                word = <unsigned short>upper
                memcpy(content + PAGE_HEADER + 4 * (slot - 1), &word, 2)
        word = <unsigned short>upper
        memcpy(content + OFF_UPPER, &word, 2)
        self.mtr.image(frame, PyBytes_FromStringAndSize(<char*>content, PAGE_BYTES))

    cdef int init_c(self, Py_ssize_t frame) except -1:
        cdef unsigned char out[12]
        header_c(out, self.relfile)
        self.mtr.put_c(frame, OFF_KIND, out, 12)
        return 0

    # Writing

    def insert(self, unsigned long long block, bytes image not None, unsigned long long xid, unsigned int cid, int reserve):
        """Store a tuple image of ``RowCodec.encode``: its tid, 0 without room, or minus a missing page."""
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef unsigned char* page
        cdef int n = <int>PyBytes_GET_SIZE(image)
        cdef unsigned char stamped[PAGE_BYTES]
        cdef Place place
        if frame < 0:
            return -page_no
        if n < HEADER or n > PAGE_BYTES:
            raise InvariantViolation(f"tuple image of {n} bytes")
        page = self.arena.base + frame * PAGE_BYTES
        try:
            if not is_ours(page, self.relfile):
                self.init_c(frame)
                place.slot = 1
                place.offset = PAGE_BYTES - n
                place.compact = 0
            elif not self.place_c(page, n, reserve if slots_of(page) else 0, &place):
                return 0
            self.claim_c(frame, n, &place)
            memcpy(stamped, PyBytes_AS_STRING(image), n)
            memcpy(stamped + O_XMIN, &xid, 8)
            memcpy(stamped + O_CMIN, &cid, 4)
            self.mtr.put_c(frame, place.offset, stamped, n)
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return block << 16 | place.slot

    cdef long long open_c(self, unsigned long long tid, Py_ssize_t* frame, int* offset, int* length) except? -1:
        # Find a version to be superseded: 1, RETRY, or minus a missing page.
        cdef long long page_no = self.blocks.page_c(tid >> 16)
        cdef long long state
        cdef unsigned long long xmax
        cdef const unsigned char* page
        frame[0] = self.arena.lookup_c(page_no)
        if frame[0] < 0:
            return -page_no
        page = self.arena.base + frame[0] * PAGE_BYTES
        if line_of(page, <int>(tid & 0xFFFF), offset, length) != C_NORMAL:
            return -1
        xmax = get64(page + offset[0])
        if xmax:
            state = self.clog.state_c(xmax)
            if state < 0:
                return state
            if state != C_ABORTED:
                return -1
        return 1

    def update(
        self, unsigned long long tid, positions, values, unsigned long long xid, unsigned int cid, bint hot,
        bint key_changed, long long block, bint forced=False
    ):
        """Supersede version ``tid``: the new tid, 0 without room, RETRY, NEEDS_TOAST, or minus a missing page."""
        cdef long long old_block = tid >> 16, target, page_no
        cdef Py_ssize_t frame, target_frame
        cdef int offset, length, n
        cdef long long found = self.open_c(tid, &frame, &offset, &length)
        cdef bint same = block < 0 or block == old_block
        cdef unsigned char* page
        cdef unsigned char* target_page
        cdef unsigned char* image
        cdef unsigned short infomask
        cdef Py_ssize_t size
        cdef Place place
        if found < 0:
            return found
        page = self.arena.base + frame * PAGE_BYTES
        target, target_frame, target_page = old_block, frame, page
        if not same:
            target = block
            page_no = self.blocks.page_c(block)
            target_frame = self.arena.lookup_c(page_no)
            if target_frame < 0:
                return -page_no
            target_page = self.arena.base + target_frame * PAGE_BYTES
        size = self.codec.replace_c(page + offset, positions, values)
        if self.codec.limit and not forced and size > self.codec.limit:
            return NEEDS_TOAST
        if size > MAX_TUPLE:
            raise too_big(size)
        n = <int>size
        image = self.codec.scratch
        hot = hot and same
        infomask = get16(image + O_INFOMASK) | (M_HEAP_ONLY if hot else 0)
        memcpy(image + O_INFOMASK, &infomask, 2)
        memcpy(image + O_XMIN, &xid, 8)
        memcpy(image + O_CMIN, &cid, 4)
        try:
            if not is_ours(target_page, self.relfile):
                self.init_c(target_frame)
                place.slot = 1
                place.offset = PAGE_BYTES - n
                place.compact = 0
            elif not self.place_c(target_page, n, 0, &place):
                return 0
            self.claim_c(target_frame, n, &place)
            if same:
                line_of(page, <int>(tid & 0xFFFF), &offset, &length)
                self.mtr.move_c(frame, offset, place.offset, min(n, length))
                put_diff_c(self.mtr, frame, place.offset, image, n)
            else:
                self.mtr.put_c(target_frame, place.offset, image, n)
            self.supersede_c(frame, offset, xid, cid, <unsigned int>target, <unsigned short>place.slot, hot, key_changed)
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return target << 16 | place.slot

    cdef int supersede_c(
        self, Py_ssize_t frame, int offset, unsigned long long xid, unsigned int cid, unsigned int next_block,
        unsigned short next_slot, bint hot, bint key_changed
    ) except -1:
        cdef const unsigned char* tup = self.arena.base + frame * PAGE_BYTES + offset
        cdef unsigned char out[20]
        cdef unsigned short infomask = get16(tup + O_INFOMASK) & <unsigned short>~(M_HOT_UPDATED | M_KEY_CHANGED)
        infomask |= (M_HOT_UPDATED if hot else 0) | (M_KEY_CHANGED if key_changed else 0)
        memcpy(out, &xid, 8)
        memcpy(out + 8, &next_block, 4)
        memcpy(out + 12, &next_slot, 2)
        memcpy(out + 14, &cid, 4)
        memcpy(out + 18, &infomask, 2)
        return put_diff_c(self.mtr, frame, offset, out, 20)

    def delete(self, unsigned long long tid, unsigned long long xid, unsigned int cid, bint away=False):
        """Mark version ``tid`` deleted, or moved to another relation: 1, RETRY, or minus a missing page."""
        cdef Py_ssize_t frame
        cdef int offset, length
        cdef long long found = self.open_c(tid, &frame, &offset, &length)
        if found < 0:
            return found
        try:
            self.supersede_c(frame, offset, xid, cid, C_AWAY_BLOCK if away else 0, 0, False, True)
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return 1

    def key_is_changing(self, unsigned long long tid):
        """Whether the version's xmax deleted the row or changed its key: 1 or 0, or minus a missing page."""
        cdef long long page_no = self.blocks.page_c(tid >> 16)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef int offset, length
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        if line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
            return 1
        return 1 if get16(page + offset + O_INFOMASK) & M_KEY_CHANGED else 0

    def successor(self, unsigned long long tid):
        """The version that the one at ``tid`` was updated to, committed or not: 0 when there is none (any more), minus
        a missing page."""
        cdef long long page_no, frame
        cdef const unsigned char* page
        cdef int offset, length
        cdef unsigned long long xmax, found
        page_no = self.blocks.page_c(tid >> 16)
        frame = self.arena.lookup_c(page_no)
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        if line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
            return 0
        xmax = get64(page + offset)
        if not xmax or not get16(page + offset + 12):
            return 0
        found = <unsigned long long>get32(page + offset + 8) << 16 | get16(page + offset + 12)
        page_no = self.blocks.page_c(found >> 16)
        frame = self.arena.lookup_c(page_no)
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        if line_of(page, <int>(found & 0xFFFF), &offset, &length) != C_NORMAL:
            return 0
        return found if get64(page + offset + O_XMIN) == xmax else 0

    # Cleaning

    def prune(self, unsigned long long block, long long horizon):
        """Remove versions that no snapshot at or after LSN ``horizon`` sees: how many, or minus a missing page."""
        return self.prune_c(block, horizon, True)

    cdef long long prune_c(self, unsigned long long block, long long horizon, bint indexed) except? -1:
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef const unsigned char* tup
        cdef int root, slot, flags, offset, length, slots, live, removed = 0, dead, i
        cdef long long born, died
        cdef unsigned long long expected, xmin, xmax
        # What each line pointer becomes: offset and flags, -1 as it is.
        cdef int becomes[MAX_SLOTS + 1]
        cdef unsigned short target[MAX_SLOTS + 1]
        cdef int chain[MAX_SLOTS + 1]
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        if not is_ours(page, self.relfile):
            return 0
        slots = slots_of(page)
        for slot in range(1, slots + 1):
            becomes[slot] = -1
        for root in range(1, slots + 1):
            flags = line_of(page, root, &offset, &length)
            if flags == C_NORMAL and get16(page + offset + O_INFOMASK) & M_HEAP_ONLY:
                born = self.clog.state_c(get64(page + offset + O_XMIN))
                if born < 0:
                    return born
                if born == C_ABORTED:
                    becomes[root] = C_UNUSED
                    target[root] = 0
                    removed += 1
                continue
            if flags != C_NORMAL and flags != C_REDIRECT:
                continue
            slot = offset if flags == C_REDIRECT else root
            dead = 0
            live = 0
            expected = 0
            while True:
                if line_of(page, slot, &offset, &length) != C_NORMAL:
                    break
                tup = page + offset
                xmin = get64(tup + O_XMIN)
                if expected and xmin != expected:
                    break
                born = self.clog.state_c(xmin)
                if born < 0:
                    return born
                if born == C_ABORTED:
                    chain[dead] = slot
                    dead += 1
                    break
                xmax = get64(tup)
                died = self.clog.state_c(xmax) if xmax and born else C_ABORTED
                if died < 0:
                    return died
                if died <= C_ABORTED or died > horizon:
                    live = slot
                    break
                chain[dead] = slot
                dead += 1
                slot = get16(tup + O_NEXT_SLOT)
                if not slot or not get16(tup + O_INFOMASK) & M_HOT_UPDATED:
                    break
                expected = xmax
            if not dead:
                continue
            removed += dead
            for i in range(dead):
                becomes[chain[i]] = C_UNUSED
                target[chain[i]] = 0
            becomes[root] = C_REDIRECT if live else C_DEAD if indexed else C_UNUSED
            target[root] = <unsigned short>live
        if removed:
            self.put_lines_c(frame, slots, becomes, target)
        return removed

    cdef int put_lines_c(self, Py_ssize_t frame, int slots, const int* becomes, const unsigned short* target) except -1:
        # One mini-transaction. Unused line pointers at the end go, and with the last version all space is one.
        cdef const unsigned char* page = self.arena.base + frame * PAGE_BYTES
        cdef unsigned short lines[2 * MAX_SLOTS]
        cdef unsigned short bounds[2]
        cdef int slot, last = 0
        cdef bint is_empty = True
        memcpy(lines, page + PAGE_HEADER, 4 * slots)
        bounds[1] = get16(page + OFF_UPPER)
        for slot in range(1, slots + 1):
            if becomes[slot] >= 0:
                lines[2 * slot - 2] = target[slot]
                lines[2 * slot - 1] = <unsigned short>(becomes[slot] << 14)
            if lines[2 * slot - 1] >> 14 != C_UNUSED:
                last = slot
            if lines[2 * slot - 1] >> 14 == C_NORMAL:
                is_empty = False
        bounds[0] = <unsigned short>(PAGE_HEADER + 4 * last)
        if is_empty:
            bounds[1] = PAGE_BYTES
        try:
            put_diff_c(self.mtr, frame, OFF_LOWER, <unsigned char*>bounds, 4)
            put_diff_c(self.mtr, frame, PAGE_HEADER, <unsigned char*>lines, 4 * last)
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return 0


cdef int free_c(const unsigned char* page) noexcept:
    cdef int slot, offset, length, slots = slots_of(page), used = 0
    for slot in range(1, slots + 1):
        line_of(page, slot, &offset, &length)
        used += length
    return PAGE_BYTES - PAGE_HEADER - 4 * slots - used
