# Numerics from their parts, for the other kernels.

cdef enum:
    SCALE_OF_NARROW_MAX = 40

cdef object made_narrow(unsigned long long value, int scale, bint negative)
