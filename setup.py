"""Builds the compiled kernels. Without a compiler the install goes on with the Python kernels, and says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent


class BuildKernels(build_ext):
    """``build_ext`` whose failure leaves a slower but working install."""

    explained = False

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # any compiler trouble has the same remedy: the Python kernels
            self.explain(error)

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            self.explain(error)

    @classmethod
    def explain(cls, error: Exception) -> None:
        """Say it once: what fails for one kernel fails for all."""
        if not cls.explained:
            cls.explained = True
            print(
                f"WARNING: the compiled kernels were not built ({error}).\n"
                "WARNING: everything works with the pure-Python kernels, several times slower.\n"
                "WARNING: with a C compiler and Python's headers in place: make clean install",
                file=sys.stderr,
            )


def kernels() -> list[Extension]:
    """One extension a ``.pyx`` under aurora/kernels/native; none when Cython is missing, or when the caller compiles
    them in a step of its own (``AURORA_BUILD_KERNELS=0``, as ``make install`` does to use all cores)."""
    if os.environ.get("AURORA_BUILD_KERNELS") == "0":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError as error:
        BuildKernels.explain(error)
        return []
    sources = sorted((HERE / "aurora/kernels/native").glob("*.pyx"))
    extensions = [
        Extension(
            f"aurora.kernels.native.{path.stem}",
            [path.relative_to(HERE).as_posix()],
            extra_compile_args=["-O2", "-fno-strict-aliasing", "-g0"],
        )
        for path in sources
    ]
    jobs = int(os.environ.get("AURORA_BUILD_JOBS") or os.cpu_count() or 1)
    return list(cythonize(extensions, language_level=3, nthreads=jobs if jobs > 1 else 0, quiet=True))


setup(ext_modules=kernels(), cmdclass={"build_ext": BuildKernels})
