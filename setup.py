"""The build of the C part: the library as an archive, the extension module that contains it, and what embedders need.

Everything else about the project stands in pyproject.toml.
"""
import os
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# The limited API makes one wheel serve every Python from 3.11 on; free-threaded builds do not have it.
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
limited = [] if free_threaded else [("Py_LIMITED_API", "0x030B0000")]

# Two builds of the same sources make the same wheel: no times, no debugging information with paths.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")  # the first day that a zip file knows
os.environ.setdefault("ZERO_AR_DATE", "1")

SOURCES = sorted(glob("csrc/**/*.c", recursive=True))
HEADERS = sorted(glob("csrc/**/*.h", recursive=True)) + ["packaging/chanconv_python.h"]
# -O2 where Python would ask for -O3: that makes a sixth more of the library, which is no faster. Nothing unwinds through it.
FLAGS = ["-O2", "-g0", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables"]


class BuildWithLibrary(build_ext):
    """Builds libchanconv.a, then the extension from it, then puts include/, lib/ and share/ into the package."""

    def build_extension(self, ext):
        archive = self.build_archive()
        ext.extra_objects, ext.depends = [archive], [archive, *HEADERS]
        super().build_extension(ext)
        self.embedding(Path(self.build_lib, "chanconv"), archive)

    def copy_extensions_to_source(self):
        super().copy_extensions_to_source()
        self.embedding(Path("chanconv"), Path(self.build_temp, "libchanconv.a"))

    def build_archive(self):
        newest = max(map(os.path.getmtime, HEADERS))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda source: self.compiled(source, newest), SOURCES))
        if sys.platform.startswith("linux"):
            objects = self.joined(objects)
            self.compiler.set_executables(archiver=[sysconfig.get_config_var("AR") or "ar", "rcsD"])
        archive = Path(self.build_temp, "libchanconv.a")
        archive.unlink(missing_ok=True)
        self.compiler.create_static_lib(objects, "chanconv", self.build_temp)
        if sys.platform.startswith("linux") and shutil.which("strip"):  # names of static functions, which no linker asks for
            self.spawn(["strip", "--strip-unneeded", "--enable-deterministic-archives", str(archive)])
        return str(archive)

    def joined(self, objects):
        """All objects but the kernels as one: of the names and headers that they repeat, a sixtieth of the archive."""
        whole = str(Path(self.build_temp, "chanconv.o"))
        kernels = [path for path in objects if Path(path).parent.name == "kernels"]
        self.spawn([*self.compiler.compiler_so, "-r", "-nostdlib", "-o", whole, *(o for o in objects if o not in kernels)])
        return [whole, *kernels]

    def compiled(self, source, newest):
        target = Path(self.build_temp, source).with_suffix(".o")
        if self.force or not target.exists() or target.stat().st_mtime < max(newest, os.path.getmtime(source)):
            self.compiler.compile([source], self.build_temp, include_dirs=["csrc"], extra_postargs=FLAGS)
        return str(target)

    def embedding(self, package, archive):
        version = self.distribution.get_version()
        for folder in ("include", "lib", "share/pkgconfig", "share/cmake/chanconv"):
            (package / folder).mkdir(parents=True, exist_ok=True)
        for header in ("csrc/chanconv.h", "packaging/chanconv_python.h"):
            shutil.copy(header, package / "include")
        shutil.copy(archive, package / "lib")
        for template in Path("packaging").glob("*.in"):
            folder = "share/pkgconfig" if template.stem.endswith(".pc") else "share/cmake/chanconv"
            (package / folder / template.stem).write_text(template.read_text().replace("@VERSION@", version))


setup(
    cmdclass={"build_ext": BuildWithLibrary},
    ext_modules=[
        Extension(
            "chanconv._chanconv",
            ["chanconv/_chanconv.pyx"],
            include_dirs=["csrc", "packaging"],
            define_macros=[*limited, ("CHANCONV_LINKED", None)],
            py_limited_api=not free_threaded,
            extra_compile_args=[*FLAGS, "-Os"],
            extra_link_args=["-Wl,-s"] if sys.platform.startswith("linux") else [],
            libraries=["m", "pthread"],
        )
    ],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
