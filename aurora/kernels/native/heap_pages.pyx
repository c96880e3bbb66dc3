# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Whole heap pages at a time, compiled. The specification is ``aurora.kernels.python.heap_pages``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from aurora.errors import InvariantViolation
from aurora.kernels.native.arena cimport Arena
from aurora.kernels.native.clog cimport BlockMap, Clog
from aurora.kernels.native.heap cimport (
    C_ABORTED,
    C_DEAD,
    C_FROZEN,
    C_NORMAL,
    C_UNUSED,
    MAX_SLOTS,
    OFF_KIND,
    OFF_LOWER,
    OFF_UPPER,
    PAGE_BYTES,
    PAGE_HEADER,
    HeapFile,
    Place,
    free_c,
    get16,
    get64,
    header_c,
    is_ours,
    line_of,
    put_diff_c,
    slots_of,
)
from aurora.kernels.native.mtr cimport Mtr
from aurora.kernels.native.tuples import too_big
from aurora.kernels.native.tuples cimport (
    MAX_TUPLE,
    M_HAS_EXTERNAL,
    M_HEAP_ONLY,
    O_CMIN,
    O_INFOMASK,
    O_XMAX,
    O_XMIN,
    Projection,
    RowCodec,
)


cdef class HeapPages(HeapFile):
    """The kernels of one heap relation, those of whole pages among them."""

    # Writing

    def insert_rows(
        self, unsigned long long block, rows, Py_ssize_t start, unsigned long long xid, unsigned int cid, int reserve
    ):
        """Store as many of ``rows[start:]`` as the page has room for, in one mini-transaction: their tids, or a missing
        page."""
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef unsigned char* page
        cdef const unsigned char* image
        cdef unsigned char body[PAGE_BYTES]
        cdef unsigned short lines[2 * MAX_SLOTS]
        cdef unsigned short bounds[2]
        cdef Py_ssize_t i, size
        cdef int n, lower, upper, slots, slot, offset, length, count = 0
        cdef bint is_plain = True
        cdef Place place
        cdef list tids = []
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        try:
            if not is_ours(page, self.relfile):
                self.init_c(frame)
            slots = slots_of(page)
            for slot in range(1, slots + 1):
                if line_of(page, slot, &offset, &length) == C_UNUSED:
                    is_plain = False
                    break
            lower = get16(page + OFF_LOWER)
            upper = get16(page + OFF_UPPER)
            for i in range(start, len(rows)):
                row = rows[i]
                if type(row) is bytes:
                    size = PyBytes_GET_SIZE(row)
                    image = <const unsigned char*>PyBytes_AS_STRING(row)
                else:
                    size = self.codec.encode_c(row)
                    image = self.codec.scratch
                    if self.codec.limit and size > self.codec.limit:
                        break
                if size > MAX_TUPLE:
                    raise too_big(size)
                n = <int>size
                if is_plain and upper - lower >= n + 4 + (reserve if slots else 0):
                    upper -= n
                    memcpy(body + upper, image, n)
                    memcpy(body + upper + O_XMIN, &xid, 8)
                    memcpy(body + upper + O_CMIN, &cid, 4)
                    lines[2 * count] = <unsigned short>upper
                    lines[2 * count + 1] = <unsigned short>(C_NORMAL << 14 | n)
                    lower += 4
                    slots += 1
                    count += 1
                    tids.append(block << 16 | slots)
                    continue
                if count or not self.place_c(page, n, reserve if slots else 0, &place):
                    break
                # Space that vacuum freed: a place for each row.
                is_plain = False
                memcpy(body, image, n)
                memcpy(body + O_XMIN, &xid, 8)
                memcpy(body + O_CMIN, &cid, 4)
                self.claim_c(frame, n, &place)
                self.mtr.put_c(frame, place.offset, body, n)
                slots = slots_of(page)
                tids.append(block << 16 | place.slot)
            if count:
                bounds[0] = <unsigned short>lower
                bounds[1] = <unsigned short>upper
                length = get16(page + OFF_UPPER) - upper
                slot = get16(page + OFF_LOWER)
                self.mtr.put_c(frame, OFF_LOWER, <unsigned char*>bounds, 4)
                self.mtr.put_c(frame, slot, <unsigned char*>lines, 4 * count)
                self.mtr.put_c(frame, upper, body + upper, length)
            if tids:
                self.mtr.commit_c()
            else:
                self.mtr.rollback()
        except BaseException:
            self.mtr.rollback()
            raise
        return tids

    def probe_page(self, list tids, Py_ssize_t start, Projection proj not None):
        """The rows of the versions of ``tids[start:]``, as many as are of one page, whole there and superseded by
        nobody; a missing page."""
        cdef unsigned long long tid = tids[start], xmax
        cdef unsigned long long block = tid >> 16
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef long long state
        cdef Py_ssize_t i, total = len(tids)
        cdef const unsigned char* page
        cdef int offset, length
        cdef list rows = []
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        for i in range(start, total):
            tid = tids[i]
            if tid >> 16 != block or line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
                break
            if get16(page + offset + O_INFOMASK) & M_HAS_EXTERNAL:
                break
            xmax = get64(page + offset)
            if xmax:
                state = self.clog.state_c(xmax)
                if state < 0:
                    if rows:
                        break
                    return -state
                if state != C_ABORTED:
                    break
            rows.append(proj.row_c(page + offset, tid))
        return rows

    def update_page(
        self, list tids, Py_ssize_t start, list values, positions, unsigned long long xid, unsigned int cid, bint hot,
        bytes new_keys, long long elsewhere
    ):
        """Supersede versions of one page in one mini-transaction: the new tids, as many as there is room for, or a
        missing page."""
        cdef Py_ssize_t frame, target_frame = -1, i, size
        cdef int offset, length, n, too_much = PAGE_BYTES
        cdef long long found, page_no
        cdef unsigned long long tid
        cdef unsigned char* page
        cdef unsigned char* target_page = NULL
        cdef unsigned char* image
        cdef unsigned short infomask
        cdef bint same, edited = False, key_changed
        cdef Place place
        cdef list made = []
        if elsewhere >= 0:
            page_no = self.blocks.page_c(elsewhere)
            target_frame = self.arena.lookup_c(page_no)
            if target_frame < 0:
                return page_no
            target_page = self.arena.base + target_frame * PAGE_BYTES
        try:
            for i in range(len(values)):
                row = values[i]
                if row is None:
                    made.append(0)
                    continue
                tid = tids[start + i]
                found = self.open_c(tid, &frame, &offset, &length)
                if found < 0:
                    if found != -1 and not edited and not made:
                        return -found
                    break
                page = self.arena.base + frame * PAGE_BYTES
                size = self.codec.replace_c(page + offset, positions, row)
                if self.codec.limit and size > self.codec.limit:
                    break
                if size > MAX_TUPLE:
                    raise too_big(size)
                n = <int>size
                image = self.codec.scratch
                same = n < too_much and self.place_c(page, n, 0, &place) != 0
                if not same:
                    too_much = min(too_much, n)
                    if target_page == NULL:
                        break
                    if not is_ours(target_page, self.relfile):
                        self.init_c(target_frame)
                    if not self.place_c(target_page, n, 0, &place):
                        break
                edited = True
                infomask = get16(image + O_INFOMASK) | (M_HEAP_ONLY if hot and same else 0)
                memcpy(image + O_INFOMASK, &infomask, 2)
                memcpy(image + O_XMIN, &xid, 8)
                memcpy(image + O_CMIN, &cid, 4)
                key_changed = new_keys is not None and PyBytes_AS_STRING(new_keys)[i] != 0
                if same:
                    self.claim_c(frame, n, &place)
                    line_of(page, <int>(tid & 0xFFFF), &offset, &length)
                    self.mtr.move_c(frame, offset, place.offset, min(n, length))
                    put_diff_c(self.mtr, frame, place.offset, image, n)
                    found = tid >> 16
                else:
                    self.claim_c(target_frame, n, &place)
                    self.mtr.put_c(target_frame, place.offset, image, n)
                    found = elsewhere
                self.supersede_c(
                    frame, offset, xid, cid, <unsigned int>found, <unsigned short>place.slot, hot and same, key_changed
                )
                made.append(found << 16 | place.slot)
            if edited:
                self.mtr.commit_c()
            else:
                self.mtr.rollback()
        except BaseException:
            self.mtr.rollback()
            raise
        return made

    def delete_many(self, list tids, Py_ssize_t start, unsigned long long xid, unsigned int cid):
        """Mark versions of ``tids[start:]`` deleted, as many as are of one page, whole there and superseded by nobody,
        in one mini-transaction: their number (0: the first wants a look of its own), or minus a missing page."""
        cdef unsigned long long tid = tids[start]
        cdef unsigned long long block = tid >> 16
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef Py_ssize_t done = start, total = len(tids)
        cdef const unsigned char* page
        cdef int offset, length
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        try:
            while done < total:
                tid = tids[done]
                if tid >> 16 != block or line_of(page, <int>(tid & 0xFFFF), &offset, &length) != C_NORMAL:
                    break
                if get64(page + offset) or get16(page + offset + O_INFOMASK) & M_HAS_EXTERNAL:
                    break
                self.supersede_c(frame, offset, xid, cid, 0, 0, False, True)
                done += 1
            if done > start:
                self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return done - start


    def fill_page(self, rows, Py_ssize_t start, unsigned long long xid, unsigned int cid, int reserve):
        """The image of a fresh page with as many of ``rows[start:]`` as fit, and their number."""
        cdef unsigned char content[PAGE_BYTES]
        cdef const unsigned char* image
        cdef Py_ssize_t size
        cdef int lower = PAGE_HEADER, upper = PAGE_BYTES, n
        cdef Py_ssize_t i, count = 0
        cdef unsigned short words[2]
        memset(content, 0, PAGE_BYTES)
        header_c(content + OFF_KIND, self.relfile)
        for i in range(start, len(rows)):
            row = rows[i]
            if type(row) is bytes:
                size = PyBytes_GET_SIZE(row)
                image = <const unsigned char*>PyBytes_AS_STRING(row)
            else:
                size = self.codec.encode_c(row)
                image = self.codec.scratch
                if self.codec.limit and size > self.codec.limit:
                    break
            if size > MAX_TUPLE:
                raise too_big(size)
            n = <int>size
            if upper - lower < n + 4 + (reserve if count else 0):
                break
            upper -= n
            memcpy(content + upper, image, n)
            memcpy(content + upper + O_XMIN, &xid, 8)
            memcpy(content + upper + O_CMIN, &cid, 4)
            words[0] = <unsigned short>upper
            words[1] = <unsigned short>(C_NORMAL << 14 | n)
            memcpy(content + lower, words, 4)
            lower += 4
            count += 1
        words[0] = <unsigned short>lower
        words[1] = <unsigned short>upper
        memcpy(content + OFF_LOWER, words, 4)
        return PyBytes_FromStringAndSize(<char*>content, PAGE_BYTES), count


    # Cleaning

    def free_dead(self, unsigned long long block, bytes dead not None):
        """Make dead line pointers unused, once no index entry names them: their number, or minus a missing page."""
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef int slot, offset, length, count, freed = 0
        cdef const unsigned char* bits = <const unsigned char*>PyBytes_AS_STRING(dead)
        cdef int becomes[MAX_SLOTS + 1]
        cdef unsigned short target[MAX_SLOTS + 1]
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        count = slots_of(page)
        for slot in range(1, count + 1):
            becomes[slot] = -1
        for slot in range(8 * <int>PyBytes_GET_SIZE(dead)):
            if not bits[slot >> 3] >> (slot & 7) & 1:
                continue
            if line_of(page, slot, &offset, &length) != C_DEAD:
                raise InvariantViolation(f"line pointer {slot} of block {block} in heap {self.relfile} is not dead")
            becomes[slot] = C_UNUSED
            target[slot] = 0
            freed += 1
        if freed:
            self.put_lines_c(frame, count, becomes, target)
        return freed

    def freeze(self, unsigned long long block, long long horizon, unsigned long long before_xid):
        """Freeze xmin below ``before_xid``, clear aborted xmax: versions changed, or minus a missing page."""
        return self.freeze_c(block, horizon, before_xid)

    cdef long long freeze_c(self, unsigned long long block, long long horizon, unsigned long long before_xid) except? -1:
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef int slot, offset, length, side, field
        cdef unsigned long long xid
        cdef long long state
        cdef list edits = []
        if frame < 0:
            return -page_no
        page = self.arena.base + frame * PAGE_BYTES
        if not is_ours(page, self.relfile):
            return 0
        for slot in range(1, slots_of(page) + 1):
            if line_of(page, slot, &offset, &length) != C_NORMAL:
                continue
            for side in range(2):
                field = O_XMAX if side else O_XMIN
                xid = get64(page + offset + field)
                if xid <= C_FROZEN or xid >= before_xid:
                    continue
                state = self.clog.state_c(xid)
                if state < 0:
                    return state
                if not side and C_ABORTED < state <= horizon:
                    edits.append((offset + field, C_FROZEN))
                elif side and state == C_ABORTED:
                    edits.append((offset + field, 0))
        try:
            for field, xid in edits:
                put_diff_c(self.mtr, frame, field, <unsigned char*>&xid, 8)
            self.mtr.commit_c()
        except BaseException:
            self.mtr.rollback()
            raise
        return len(edits)

    def vacuum_page(
        self, unsigned long long block, long long horizon, unsigned long long before_xid, long long lsn, bint indexed
    ):
        """One page's part of a vacuum: ``(versions removed, frozen, dead slots, rows, room, clean as of, oldest xmin)``,
        or a missing page."""
        cdef long long page_no = self.blocks.page_c(block)
        cdef long long frame = self.arena.lookup_c(page_no)
        cdef const unsigned char* page
        cdef int slot, offset, length, flags
        cdef unsigned long long xmin, xmax, oldest = ~0ULL
        cdef long long born, died, removed = 0, frozen = 0, rows = 0
        cdef bint prunes = False, freezes = False, is_clean = True
        cdef unsigned char dead[256]  # a bit a slot
        cdef int n_dead = 0, n_bytes = 0
        if frame < 0:
            return page_no
        page = self.arena.base + frame * PAGE_BYTES
        if not is_ours(page, self.relfile):
            return 0, 0, b"", 0, 0, PAGE_BYTES - PAGE_HEADER - 4, 0, 0
        # Whatever is needed of the commit log is looked at before the first edit.
        for slot in range(1, slots_of(page) + 1):
            if line_of(page, slot, &offset, &length) != C_NORMAL:
                continue
            xmin = get64(page + offset + O_XMIN)
            born = self.clog.state_c(xmin)
            if born < 0:
                return -born
            xmax = get64(page + offset)
            died = self.clog.state_c(xmax) if xmax else C_ABORTED
            if died < 0:
                return -died
            if C_ABORTED < born <= lsn and (died <= C_ABORTED or died > lsn):
                rows += 1
            if born == C_ABORTED or C_ABORTED < died <= horizon:
                prunes = True
            if xmin > C_FROZEN:
                oldest = min(oldest, xmin)
            if born <= C_ABORTED or born > horizon or xmax:
                is_clean = False
            if C_FROZEN < xmin < before_xid and C_ABORTED < born <= horizon:
                freezes = True
            if C_FROZEN < xmax < before_xid and died == C_ABORTED:
                freezes = True
        if prunes:
            removed = self.prune_c(block, horizon, indexed)
            if removed < 0:
                return -removed
        if freezes:
            frozen = self.freeze_c(block, horizon, before_xid)
            if frozen < 0:
                return -frozen
        memset(dead, 0, 256)
        for slot in range(1, slots_of(page) + 1):
            if line_of(page, slot, &offset, &length) == C_DEAD:
                dead[slot >> 3] = <unsigned char>(dead[slot >> 3] | 1 << (slot & 7))
                n_dead += 1
                n_bytes = (slot >> 3) + 1
        if removed or frozen or n_dead:
            is_clean = False
        return (
            removed, frozen, PyBytes_FromStringAndSize(<char*>dead, n_bytes), n_dead, rows, max(0, free_c(page) - 4),
            get64(page) if is_clean else 0, oldest if is_clean else 0
        )

    def clean_run(
        self, Py_ssize_t block, Py_ssize_t end, unsigned long long[::1] lsns, unsigned long long[::1] oldest,
        unsigned long long before_xid
    ):
        """The first block from ``block`` on that is not resident as it was found clean, ``end`` when all are."""
        cdef long long frame
        while block < end and lsns[block] and oldest[block] >= before_xid:
            frame = self.arena.find_c(self.blocks.page_c(block))
            if frame < 0 or get64(self.arena.base + frame * PAGE_BYTES) != lsns[block]:
                break
            block += 1
        return block
