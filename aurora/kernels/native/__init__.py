"""The kernels compiled by Cython; see ``aurora.kernels``."""
