# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Dates, timestamps and intervals, compiled. The specification is ``aurora.kernels.python.moments``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memmove

from aurora.errors import DatetimeFieldOverflow
from aurora.kernels.python.moments import DAYS as _DAYS
from aurora.kernels.python.moments import MARGIN_US as _MARGIN_US
from aurora.kernels.python.moments import MONTHS as _MONTHS
from aurora.kernels.python.moments import SPANS_MAX as _SPANS_MAX
from aurora.kernels.python.moments import Interval

cdef extern from *:
    ctypedef long long wide "__int128"

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyType_GenericAlloc(PyTypeObject* kind, Py_ssize_t count)

cdef enum:
    CYCLE_DAYS = 146097
    TO_CYCLE = 730425

cdef long long DAY = 86400000000
cdef long long HOUR = 3600000000
cdef long long MINUTE = 60000000
cdef long long SECOND = 1000000
cdef long long STAMP_MIN = -211813488000000000
cdef long long STAMP_END = 9223371331200000000
cdef long long ENDLESS = 9223372036854775807
cdef long long BEGINLESS = -ENDLESS - 1
cdef long long FIRST_YEAR = -730119 * DAY
cdef long long YEAR_10000 = 2921940 * DAY
cdef long long MARGIN = _MARGIN_US
cdef Py_ssize_t SPANS_MAX = _SPANS_MAX

cdef int[12] MONTH_DAYS
MONTH_DAYS[:] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
cdef tuple MONTHS = tuple(name.encode() for name in _MONTHS)
cdef tuple DAYS = tuple(name.encode() for name in _DAYS)

cdef struct Civil:
    long long year
    int month
    int day


cdef inline long long floored(long long number, long long unit) noexcept nogil:
    cdef long long whole = number // unit
    return whole - 1 if number % unit < 0 else whole


cdef inline long long modulo(long long number, long long unit) noexcept nogil:
    cdef long long rest = number % unit
    return rest + unit if rest < 0 else rest


cdef inline bint leap(long long year) noexcept nogil:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


cdef inline int length_of(long long year, int month) noexcept nogil:
    return 29 if month == 2 and leap(year) else MONTH_DAYS[month - 1]


cdef inline long long from_civil(long long year, int month, int day) noexcept nogil:
    cdef long long shifted = year - (1 if month <= 2 else 0)
    cdef long long era = floored(shifted, 400)
    cdef long long of_era = shifted - era * 400
    cdef long long of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * CYCLE_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - TO_CYCLE


cdef inline Civil civil(long long days) noexcept nogil:
    cdef Civil out
    cdef long long era = floored(days + TO_CYCLE, CYCLE_DAYS)
    cdef long long of_era = days + TO_CYCLE - era * CYCLE_DAYS
    cdef long long year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    cdef long long of_year = of_era - (365 * year + year // 4 - year // 100)
    cdef int shifted = <int>((5 * of_year + 2) // 153)
    out.day = <int>(of_year - (153 * shifted + 2) // 5 + 1)
    out.month = shifted + (3 if shifted < 10 else -9)
    out.year = year + era * 400 + (1 if out.month <= 2 else 0)
    return out


cdef inline object span_of(object months, object days, object us):
    cdef object made = PyType_GenericAlloc(<PyTypeObject*>Interval, 3)
    Py_INCREF(months)
    PyTuple_SET_ITEM(made, 0, months)
    Py_INCREF(days)
    PyTuple_SET_ITEM(made, 1, days)
    Py_INCREF(us)
    PyTuple_SET_ITEM(made, 2, us)
    return made


cdef inline bint is_endless(long long us) noexcept nogil:
    return us == ENDLESS or us == BEGINLESS


cdef long long months_later(long long days, long long months) noexcept nogil:
    cdef Civil at = civil(days)
    cdef long long total = at.year * 12 + at.month - 1 + months
    cdef long long year = floored(total, 12)
    cdef int month = <int>(total - year * 12) + 1
    cdef int length = length_of(year, month)
    return from_civil(year, month, at.day if at.day < length else length)


cdef bint added(long long us, long long months, long long days, long long more, long long* out) noexcept nogil:
    # Whether the sum is a timestamp.
    cdef long long whole
    cdef wide sum = us
    if months or days:
        whole = floored(us, DAY)
        sum = us - whole * DAY
        if months:
            whole = months_later(whole, months)
        sum += <wide>(whole + days) * DAY
    sum += more
    if sum < STAMP_MIN or sum >= STAMP_END:
        return False
    out[0] = <long long>sum
    return True


def plus_interval(long long us, object span):
    """timestamp + interval, months first, then days, then µs; 22008 outside the range."""
    cdef long long out = us
    if is_endless(us):
        return us
    if not isinstance(span, tuple):
        raise TypeError("no interval")
    if not added(
        us, <object>PyTuple_GET_ITEM(span, 0), <object>PyTuple_GET_ITEM(span, 1), <object>PyTuple_GET_ITEM(span, 2), &out
    ):
        raise DatetimeFieldOverflow("timestamp out of range")
    return out


def binned(long long stride_us, long long us, long long origin):
    """The start of the bin of a timestamp; None where there is something to check."""
    cdef wide since, found, rest
    if stride_us <= 0 or not (STAMP_MIN <= us < STAMP_END and STAMP_MIN <= origin < STAMP_END):
        return None
    since = <wide>us - origin
    rest = since % stride_us
    if rest < 0:
        rest += stride_us
    found = us - rest
    if since > ENDLESS or since < BEGINLESS or found < STAMP_MIN or found >= STAMP_END:
        return None
    return <long long>found


def days_between(long long a, long long b):
    """date - date; 22008 for an infinity."""
    if a == 2147483647 or a == -2147483648 or b == 2147483647 or b == -2147483648:
        raise DatetimeFieldOverflow("cannot subtract infinite dates")
    return a - b


def date_of(long long year, long long month, long long day):
    """Days of a date of the years 1 to 9999; None of any other, and of one that is none."""
    if not 1 <= year < 10000 or not 1 <= month <= 12 or not 1 <= day <= length_of(year, <int>month):
        return None
    return from_civil(year, <int>month, <int>day)


def difference(long long a, long long b):
    """timestamp - timestamp in days and µs of the same sign; it wraps where 64 bits do not hold it. 22008."""
    cdef long long us, days
    if is_endless(a) or is_endless(b):
        raise DatetimeFieldOverflow("cannot subtract infinite timestamps")
    us = <long long>(<unsigned long long>a - <unsigned long long>b)
    days = us // DAY
    return span_of(0, days, us - days * DAY)


def age(long long later, long long earlier):
    """Symbolic difference in years, months and days; 22008 for minus infinity, which has no calendar."""
    cdef Civil a, b
    cdef long long days_a, days_b, months, days, us, swapped
    cdef int sign = 1
    if later == BEGINLESS or earlier == BEGINLESS:
        raise DatetimeFieldOverflow("timestamp out of range")
    if later < earlier:
        swapped = later
        later = earlier
        earlier = swapped
        sign = -1
    days_a = floored(later, DAY)
    days_b = floored(earlier, DAY)
    a = civil(days_a)
    b = civil(days_b)
    months = (a.year - b.year) * 12 + a.month - b.month
    days = a.day - b.day
    us = (later - days_a * DAY) - (earlier - days_b * DAY)
    if us < 0:
        us += DAY
        days -= 1
    if days < 0:
        days += length_of(b.year, b.month)
        months -= 1
    return span_of(sign * months, sign * days, sign * us)


cdef enum Unit:
    U_OTHER = 0
    U_MICROSECOND
    U_MILLISECOND
    U_SECOND
    U_MINUTE
    U_HOUR
    U_DAY
    U_WEEK
    U_MONTH
    U_QUARTER
    U_YEAR
    U_DOW
    U_ISODOW
    U_DOY

cdef dict UNITS = {
    "microsecond": U_MICROSECOND, "millisecond": U_MILLISECOND, "second": U_SECOND, "minute": U_MINUTE,
    "hour": U_HOUR, "day": U_DAY, "week": U_WEEK, "month": U_MONTH, "quarter": U_QUARTER, "year": U_YEAR,
    "dow": U_DOW, "isodow": U_ISODOW, "doy": U_DOY,
}


cdef bint cut_to(int unit, long long us, long long* out) noexcept nogil:
    # Whether there is a rule for the unit.
    cdef long long days
    cdef Civil at
    if unit == U_MICROSECOND:
        out[0] = us
        return True
    if unit == U_MILLISECOND:
        out[0] = floored(us, 1000) * 1000
        return True
    if unit == U_SECOND:
        out[0] = floored(us, SECOND) * SECOND
        return True
    if unit == U_MINUTE:
        out[0] = floored(us, MINUTE) * MINUTE
        return True
    if unit == U_HOUR:
        out[0] = floored(us, HOUR) * HOUR
        return True
    days = floored(us, DAY)
    if unit == U_DAY:
        out[0] = days * DAY
        return True
    if unit == U_WEEK:
        out[0] = (days - modulo(days + 5, 7)) * DAY
        return True
    at = civil(days)
    if unit == U_MONTH:
        out[0] = from_civil(at.year, at.month, 1) * DAY
        return True
    if unit == U_QUARTER:
        out[0] = from_civil(at.year, (at.month - 1) // 3 * 3 + 1, 1) * DAY
        return True
    if unit == U_YEAR:
        out[0] = from_civil(at.year, 1, 1) * DAY
        return True
    return False


def truncated(str field not None, long long us):
    """A timestamp without what is smaller than a unit, given by its name; infinities stay. None: another unit."""
    cdef long long out = us
    if is_endless(us):
        return us
    if not cut_to(UNITS.get(field, U_OTHER), us, &out):
        return None
    return out


def part(str field not None, long long us):
    """A whole part of a timestamp, given by its name. None: another part, or an infinity."""
    cdef int unit
    cdef long long days
    cdef Civil at
    if is_endless(us):
        return None
    unit = UNITS.get(field, U_OTHER)
    days = floored(us, DAY)
    if unit == U_HOUR:
        return (us - days * DAY) // HOUR
    if unit == U_MINUTE:
        return (us - days * DAY) // MINUTE % 60
    if unit == U_DOW:
        return modulo(days + 6, 7)
    if unit == U_ISODOW:
        return modulo(days + 5, 7) + 1
    at = civil(days)
    if unit == U_YEAR:
        return at.year if at.year > 0 else at.year - 1
    if unit == U_MONTH:
        return at.month
    if unit == U_DAY:
        return at.day
    if unit == U_QUARTER:
        return (at.month - 1) // 3 + 1
    if unit == U_DOY:
        return days - from_civil(at.year, 1, 1) + 1
    return None


# Texts.

cdef inline char* two(char* out, int number) noexcept nogil:
    out[0] = <char>(c"0" + number // 10)
    out[1] = <char>(c"0" + number % 10)
    return out + 2


cdef inline char* padded(char* out, long long number, int width) noexcept nogil:
    # A number that is not negative, with zeros before it.
    cdef char digits[20]
    cdef int count = 0
    while number or count == 0:
        digits[count] = <char>(c"0" + number % 10)
        number //= 10
        count += 1
    while width > count:
        out[0] = c"0"
        out += 1
        width -= 1
    while count:
        count -= 1
        out[0] = digits[count]
        out += 1
    return out


cdef inline char* put_clock(char* out, long long us) noexcept nogil:
    cdef long long seconds = us // SECOND
    cdef int fraction = <int>(us - seconds * SECOND)
    cdef int hours = <int>(seconds // 3600)
    out = two(out, hours) if hours < 100 else padded(out, hours, 2)
    out[0] = c":"
    out = two(out + 1, <int>(seconds // 60 % 60))
    out[0] = c":"
    out = two(out + 1, <int>(seconds % 60))
    if fraction:
        out[0] = c"."
        out = padded(out + 1, fraction, 6)
        while (out - 1)[0] == c"0":
            out -= 1
    return out


cdef inline char* put_day(char* out, Civil at) noexcept nogil:
    cdef long long year = at.year if at.year > 0 else 1 - at.year
    out = padded(out, year, 4)
    out[0] = c"-"
    out = two(out + 1, at.month)
    out[0] = c"-"
    return two(out + 1, at.day)


def clock_text(long long us):
    """µs of a day → ``HH:MM:SS[.ffffff]`` without trailing zeros."""
    cdef char[48] out
    return PyUnicode_DecodeASCII(out, put_clock(out, us) - out, NULL)


def date_text(int days):
    """A date in the style ISO."""
    cdef char[48] out
    cdef char* end
    cdef Civil at
    if days == 2147483647:
        return "infinity"
    if days == -2147483647 - 1:
        return "-infinity"
    at = civil(days)
    end = put_day(out, at)
    if at.year <= 0:
        memcpy(end, " BC", 3)
        end += 3
    return PyUnicode_DecodeASCII(out, end - out, NULL)


def timestamp_text(long long us, offset_seconds=None):
    """A timestamp in the style ISO; with an offset that of an instant, as seen there."""
    cdef char[80] out
    cdef char* end
    cdef Civil at
    cdef long long days
    cdef long offset = 0
    if us == ENDLESS:
        return "infinity"
    if us == BEGINLESS:
        return "-infinity"
    if offset_seconds is not None:
        offset = offset_seconds
        us += offset * SECOND
    days = floored(us, DAY)
    at = civil(days)
    end = put_day(out, at)
    end[0] = c" "
    end = put_clock(end + 1, us - days * DAY)
    if offset_seconds is not None:
        end[0] = c"-" if offset < 0 else c"+"
        if offset < 0:
            offset = -offset
        end = padded(end + 1, offset // 3600, 2)
        if offset % 3600:
            end[0] = c":"
            end = two(end + 1, <int>(offset // 60 % 60))
        if offset % 60:
            end[0] = c":"
            end = two(end + 1, <int>(offset % 60))
    if at.year <= 0:
        memcpy(end, " BC", 3)
        end += 3
    return PyUnicode_DecodeASCII(out, end - out, NULL)


cdef inline int digits_at(const char* text, int count) noexcept nogil:
    # The number that digits make; -1 of something else.
    cdef int number = 0, i
    for i in range(count):
        if not c"0" <= text[i] <= c"9":
            return -1
        number = number * 10 + (text[i] - c"0")
    return number


cdef inline bint day_at(const char* text, long long* days) noexcept nogil:
    cdef int year, month, day
    if text[4] != c"-" or text[7] != c"-":
        return False
    year = digits_at(text, 4)
    month = digits_at(text + 5, 2)
    day = digits_at(text + 8, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > length_of(year, month):
        return False
    days[0] = from_civil(year, month, day)
    return True


def read_date(str text not None):
    """``YYYY-MM-DD``; None of any other text."""
    cdef Py_ssize_t size
    cdef const char* at
    cdef long long days
    if len(text) != 10:
        return None
    at = PyUnicode_AsUTF8AndSize(text, &size)
    if size != 10 or not day_at(at, &days):
        return None
    return days


def read_timestamp(str text not None):
    """``YYYY-MM-DD[ HH:MM:SS[.f…]]`` with at most six digits of a fraction; None of any other text."""
    cdef Py_ssize_t size, i
    cdef const char* at
    cdef long long days
    cdef int hour, minute, second, fraction = 0
    if not 10 <= len(text) <= 26:
        return None
    at = PyUnicode_AsUTF8AndSize(text, &size)
    if size != len(text) or not day_at(at, &days):
        return None
    if size == 10:
        return days * DAY
    if size < 19 or at[10] != c" " or at[13] != c":" or at[16] != c":":
        return None
    hour = digits_at(at + 11, 2)
    minute = digits_at(at + 14, 2)
    second = digits_at(at + 17, 2)
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return None
    if size > 19:
        if at[19] != c"." or size < 21:
            return None
        fraction = digits_at(at + 20, <int>(size - 20))
        if fraction < 0:
            return None
        for i in range(size, 26):
            fraction *= 10
    return days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + fraction


# Programs.

cdef enum:
    C_LITERAL = 0
    C_YEAR = 1
    C_MONTH = 2
    C_DAY = 3
    C_HOUR = 4
    C_MINUTE = 5
    C_SECOND = 6
    C_MILLISECOND = 7
    C_MICROSECOND = 8
    C_HOUR12 = 9
    C_YEAR_3 = 10
    C_YEAR_2 = 11
    C_YEAR_1 = 12
    C_YEAR_DAY = 13
    C_WEEKDAY = 14
    C_ISO_WEEKDAY = 15
    C_QUARTER = 16
    C_NOON_UPPER = 17
    C_NOON_LOWER = 18
    C_NOON_UPPER_DOTS = 19
    C_NOON_LOWER_DOTS = 20
    C_MONTH_NAME = 32
    C_MONTH_SHORT = 34
    C_ZONE_UPPER = 40
    C_ZONE_LOWER = 41
    OUT_ROOM = 480
    PIECE_MAX = 64


cdef char* put_text(char* out, bytes text, Py_ssize_t size, int to) noexcept:
    # ``to``: 1 upper, 2 lower case, of ASCII.
    cdef const char* at = PyBytes_AS_STRING(text)
    cdef Py_ssize_t i
    cdef char c
    for i in range(size):
        c = at[i]
        if to == 1 and c"a" <= c <= c"z":
            c -= 32
        elif to == 2 and c"A" <= c <= c"Z":
            c += 32
        out[i] = c
    return out + size


cdef char* put_name(char* out, int code, int month, int weekday) noexcept:
    cdef int kind = code & 0x2F
    cdef int to = 1 if code & 0x40 else 2 if code & 0x80 else 0
    cdef bytes name
    cdef Py_ssize_t size
    if kind == C_MONTH_NAME or kind == C_MONTH_SHORT:
        name = <bytes>MONTHS[month - 1]
    else:
        name = <bytes>DAYS[weekday]
    size = PyBytes_GET_SIZE(name)
    if kind >= C_MONTH_SHORT:
        return put_text(out, name, 3, to)
    out = put_text(out, name, size, to)
    if not code & 0x10:
        while size < 9:
            out[0] = c" "
            out += 1
            size += 1
    return out


cdef inline char* put_number(char* out, long long number, int width, int code) noexcept nogil:
    return padded(out, number, 1 if code & 0x40 else width)


def written(long long us, bytes program not None, str zone not None=""):
    """A local timestamp of the years 1 to 9999 by a program: codes of what is written. None outside these years.

    A name may have ``NAME_UPPER`` or ``NAME_LOWER`` added, and a whole one ``BARE_NAME``; a number ``BARE``.
    """
    cdef char[OUT_ROOM + PIECE_MAX] room
    cdef char* out = room
    cdef char* end = room + OUT_ROOM
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(program)
    cdef const unsigned char* stop = p + PyBytes_GET_SIZE(program)
    cdef long long days, of_day
    cdef int code, hour, n
    cdef Civil at
    cdef bytes zone_text
    cdef list done = None
    if not FIRST_YEAR <= us < YEAR_10000:
        return None
    days = floored(us, DAY)
    of_day = us - days * DAY
    at = civil(days)
    hour = <int>(of_day // HOUR)
    while p < stop:
        if out > end:
            if done is None:
                done = []
            done.append(PyUnicode_DecodeUTF8(room, out - room, NULL))
            out = room
        code = p[0]
        p += 1
        if code == C_LITERAL:
            # Whole characters, which may be longer than what is left.
            n = p[0]
            if out + n > end + PIECE_MAX:
                if done is None:
                    done = []
                done.append(PyUnicode_DecodeUTF8(room, out - room, NULL))
                out = room
            memcpy(out, p + 1, n)
            out += n
            p += n + 1
            continue
        n = code & 0x3F
        if n == C_YEAR:
            out = put_number(out, at.year, 4, code)
        elif n == C_MONTH:
            out = put_number(out, at.month, 2, code)
        elif n == C_DAY:
            out = put_number(out, at.day, 2, code)
        elif n == C_HOUR:
            out = put_number(out, hour, 2, code)
        elif n == C_MINUTE:
            out = put_number(out, of_day // MINUTE % 60, 2, code)
        elif n == C_SECOND:
            out = put_number(out, of_day // SECOND % 60, 2, code)
        elif n == C_MILLISECOND:
            out = put_number(out, of_day % SECOND // 1000, 3, code)
        elif n == C_MICROSECOND:
            out = put_number(out, of_day % SECOND, 6, code)
        elif n == C_HOUR12:
            out = put_number(out, hour % 12 if hour % 12 else 12, 2, code)
        elif n == C_YEAR_3:
            out = put_number(out, at.year % 1000, 3, code)
        elif n == C_YEAR_2:
            out = put_number(out, at.year % 100, 2, code)
        elif n == C_YEAR_1:
            out = put_number(out, at.year % 10, 1, code)
        elif n == C_YEAR_DAY:
            out = put_number(out, days - from_civil(at.year, 1, 1) + 1, 3, code)
        elif n == C_WEEKDAY:
            out = put_number(out, modulo(days + 6, 7) + 1, 1, code)
        elif n == C_ISO_WEEKDAY:
            out = put_number(out, modulo(days + 5, 7) + 1, 1, code)
        elif n == C_QUARTER:
            out = put_number(out, (at.month - 1) // 3 + 1, 1, code)
        elif n == C_NOON_UPPER:
            memcpy(out, "PM" if hour >= 12 else "AM", 2)
            out += 2
        elif n == C_NOON_LOWER:
            memcpy(out, "pm" if hour >= 12 else "am", 2)
            out += 2
        elif n == C_NOON_UPPER_DOTS:
            memcpy(out, "P.M." if hour >= 12 else "A.M.", 4)
            out += 4
        elif n == C_NOON_LOWER_DOTS:
            memcpy(out, "p.m." if hour >= 12 else "a.m.", 4)
            out += 4
        elif code == C_ZONE_UPPER or code == C_ZONE_LOWER:
            if done is None:
                done = []
            done.append(PyUnicode_DecodeUTF8(room, out - room, NULL))
            done.append(zone if code == C_ZONE_UPPER else zone.lower())
            out = room
        else:
            out = put_name(out, code, at.month, <int>modulo(days + 6, 7))
    if done is None:
        return PyUnicode_DecodeUTF8(room, out - room, NULL)
    done.append(PyUnicode_DecodeUTF8(room, out - room, NULL))
    return "".join(done)


def read_by(str text not None, bytes program not None):
    """The timestamp that a program of plain numbers and literal text would have written as this very text; None of any
    other text or program."""
    cdef const unsigned char* p = <const unsigned char*>PyBytes_AS_STRING(program)
    cdef const unsigned char* stop = p + PyBytes_GET_SIZE(program)
    cdef Py_ssize_t size, place = 0, n
    cdef const char* at
    cdef int[7] numbers
    cdef int code, width, number
    try:
        at = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        return None
    numbers[:] = [0, 0, 1, 1, 0, 0, 0]
    while p < stop:
        code = p[0]
        p += 1
        if code == C_LITERAL:
            n = p[0]
            if place + n > size or memcmp(at + place, p + 1, n):
                return None
            place += n
            p += 1 + n
            continue
        if not C_YEAR <= code <= C_SECOND:
            return None
        width = 4 if code == C_YEAR else 2
        if place + width > size:
            return None
        number = digits_at(at + place, width)
        if number < 0:
            return None
        numbers[code] = number
        place += width
    if place != size or numbers[C_HOUR] >= 24 or numbers[C_MINUTE] >= 60 or numbers[C_SECOND] >= 60:
        return None
    if not 1 <= numbers[C_YEAR] or not 1 <= numbers[C_MONTH] <= 12 or numbers[C_DAY] < 1:
        return None
    if numbers[C_DAY] > length_of(numbers[C_YEAR], numbers[C_MONTH]):
        return None
    return (
        from_civil(numbers[C_YEAR], numbers[C_MONTH], numbers[C_DAY]) * DAY
        + numbers[C_HOUR] * HOUR + numbers[C_MINUTE] * MINUTE + numbers[C_SECOND] * SECOND
    )


# Zones.

cdef struct Place:
    long long start
    long long end
    long offset


cdef class Offsets:
    """The offsets of one zone, as far as they were asked for; ``find`` gives the span around an instant."""

    cdef object _find
    cdef Place* places
    cdef list names
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Py_ssize_t last

    def __init__(self, find):
        self._find = find
        self.names = []

    def __dealloc__(self):
        free(self.places)

    cdef Py_ssize_t behind(self, long long us) noexcept:
        # How many spans begin at or before it.
        cdef Py_ssize_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) >> 1
            if self.places[middle].start <= us:
                low = middle + 1
            else:
                high = middle
        return low

    cdef Py_ssize_t at(self, long long us) except -1:
        cdef Py_ssize_t place = self.last
        if place < self.count and self.places[place].start <= us <= self.places[place].end:
            return place
        place = self.behind(us) - 1
        if place < 0 or us > self.places[place].end:
            place = self.learn(us)
        self.last = place
        return place

    cdef Py_ssize_t learn(self, long long us) except -1:
        cdef long long start, end
        cdef long offset
        cdef Py_ssize_t place
        cdef Place* grown
        first, last, seconds, name = self._find(us)
        start = first
        end = last
        offset = seconds
        if self.count >= SPANS_MAX:
            self.count = 0
            self.names = []
        place = self.behind(start)
        if place < self.count and self.places[place].start == end + 1 and self.same(place, offset, name):
            end = self.places[place].end
            self.drop(place)
        if place and self.places[place - 1].end + 1 == start and self.same(place - 1, offset, name):
            place -= 1
            start = self.places[place].start
            self.drop(place)
        if self.count == self.room:
            grown = <Place*>realloc(self.places, (2 * self.room + 16) * sizeof(Place))
            if grown == NULL:
                raise MemoryError()
            self.places = grown
            self.room = 2 * self.room + 16
        memmove(self.places + place + 1, self.places + place, (self.count - place) * sizeof(Place))
        self.places[place].start = start
        self.places[place].end = end
        self.places[place].offset = offset
        self.names.insert(place, name)
        self.count += 1
        return place

    cdef bint same(self, Py_ssize_t place, long offset, object name) except -1:
        return self.places[place].offset == offset and <str>self.names[place] == name

    cdef int drop(self, Py_ssize_t place) except -1:
        del self.names[place]
        self.count -= 1
        memmove(self.places + place, self.places + place + 1, (self.count - place) * sizeof(Place))
        return 0

    def seconds(self, long long us):
        """The offset east of UTC at an instant."""
        return self.places[self.at(us)].offset

    def name(self, long long us):
        """What the zone is called at an instant."""
        return self.names[self.at(us)]

    def to_local(self, long long us):
        """Instant → local time."""
        return us + self.places[self.at(us)].offset * SECOND

    cdef bint utc_of(self, long long us, long long* out) except -1:
        # Whether no change of the offset is near a local time.
        cdef Py_ssize_t place = self.at(us)
        cdef long long found = us - self.places[place].offset * SECOND
        out[0] = found
        return self.places[place].start + MARGIN <= found <= self.places[place].end - MARGIN

    def later(self, long long us, object span):
        """timestamptz + interval, months and days in local time; None where there is more to look at."""
        cdef long long months, days, out = us
        if is_endless(us):
            return us
        if not isinstance(span, tuple):
            raise TypeError("no interval")
        months = <object>PyTuple_GET_ITEM(span, 0)
        days = <object>PyTuple_GET_ITEM(span, 1)
        if months or days:
            us += self.places[self.at(us)].offset * SECOND
            if not added(us, months, days, 0, &out):
                return None
            if not self.utc_of(out, &us):
                return None
        if not added(us, 0, 0, <object>PyTuple_GET_ITEM(span, 2), &out):
            return None
        return out

    def truncated(self, str field not None, long long us):
        """As ``truncated``, in local time; None where there is more to look at."""
        cdef int unit
        cdef long long out = us, offset
        if is_endless(us):
            return us
        unit = UNITS.get(field, U_OTHER)
        offset = self.places[self.at(us)].offset * SECOND
        if not cut_to(unit, us + offset, &out):
            return None
        if unit < U_DAY:
            return out - offset
        if not self.utc_of(out, &out) or out < STAMP_MIN:
            return None
        return out

    def to_utc(self, long long us):
        """Local time → instant, where no change of the offset is near; else None."""
        cdef long long found = us
        return found if self.utc_of(us, &found) else None
