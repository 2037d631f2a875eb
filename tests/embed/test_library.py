# SPDX-License-Identifier: BSD-3-Clause
"""The header and the archive of the wheel: names, what they need, what they do not do."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from downstream import EXAMPLES, ROOT, run

HERE = Path(__file__).parent

# What the archive may take from the C library: no way to end the process or to print.
ALLOWED = set((HERE / "undefined.txt").read_text().split())
FORBIDDEN = {"abort", "exit", "_exit", "quick_exit", "printf", "fprintf", "puts", "putchar", "fputs", "fwrite", "perror"}
FORBIDDEN |= {"__assert_fail", "__printf_chk", "__fprintf_chk", "raise", "signal", "setenv", "dlopen", "system"}

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("cc", "nm", "ar"))), reason="there is no C compiler")


@pytest.fixture(scope="module")
def package(wheel, tmp_path_factory):
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder / "chanconv"


@pytest.fixture(scope="module")
def archive(package):
    return package / "lib" / "libchanconv.a"


def symbols(*arguments):
    """{(type, name)} of nm's output."""
    lines = [line for line in run("nm", *arguments).splitlines() if "no symbols" not in line]  # of another architecture
    return {tuple(line.split()[-2:]) for line in lines if len(line.split()) >= 2}


def test_names_of_the_archive(archive):
    """[17] Whatever is global begins with chanconv_; csrc/names.h lacks nothing."""
    names = {name for _, name in symbols("-g", "--defined-only", archive)}
    assert "chanconv_conv_forward" in names
    assert not {name for name in names if not name.startswith("chanconv_")}


def test_names_of_the_archive_are_hidden(archive, tmp_path):
    """[17] A shared library that links the archive exports none of it."""
    (tmp_path / "user.c").write_text('#include "chanconv.h"\nint user(void) { return chanconv_get_api() == 0; }\n')
    include = archive.parents[1] / "include"
    run("cc", "-shared", "-fPIC", f"-I{include}", "user.c", archive, "-lm", "-pthread", "-o", "user.so", cwd=tmp_path)
    exported = {name for _, name in symbols("-D", "--defined-only", tmp_path / "user.so")}
    assert "user" in exported and not {name for name in exported if "chanconv" in name}


def test_extension_exports_its_init_function_alone(package):
    """[17]"""
    (extension,) = package.glob("_chanconv.*.so")
    assert {name for _, name in symbols("-D", "--defined-only", extension)} == {"PyInit__chanconv"}


def test_what_the_archive_calls(archive):
    """[16] It takes from outside what stands in undefined.txt, and cannot print, abort or exit."""
    own = {name for _, name in symbols("-g", "--defined-only", archive)}
    undefined = {name for kind, name in symbols("-u", archive) if kind == "U"} - own
    assert not undefined & FORBIDDEN
    assert undefined <= ALLOWED, "new symbols from outside"


@pytest.mark.skipif(not shutil.which("readelf"), reason="there is no readelf")
def test_what_the_extension_needs(package):
    """[19] The C library, and nothing beside."""
    (extension,) = package.glob("_chanconv.*.so")
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", extension))
    assert all(re.match(r"(libc|libm|libpthread|ld-linux-x86-64|ld-linux-aarch64)[.]so|libc[.]musl", n) for n in needed)


@pytest.mark.skipif(not shutil.which("objdump"), reason="there is no objdump")
def test_vector_instructions_stay_behind_the_dispatch(archive, tmp_path):
    """[21] Objects other than those of kernels/avx*.c run on any x86-64."""
    if "x86-64" not in run("objdump", "-f", archive):
        pytest.skip("not x86-64")
    run("ar", "x", archive, cwd=tmp_path)
    for member in tmp_path.glob("*.o"):
        code = run("objdump", "-d", "--no-show-raw-insn", member)
        wide = set(re.findall(r"^\s+[0-9a-f]+:\s+(v\w+)", code, re.MULTILINE))
        assert bool(wide) == member.stem.startswith("avx"), f"{member.name}: {sorted(wide)[:5]}"


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="there is no qemu-x86_64")
def test_on_a_processor_without_avx(package, tmp_path):
    """[21]"""
    source, include = EXAMPLES / "pkgconfig" / "life.c", package / "include"
    library = package / "lib" / "libchanconv.a"
    run("cc", f"-I{include}", source, library, "-lm", "-pthread", "-static", "-o", "life", cwd=tmp_path)
    assert "home" in run("qemu-x86_64", "-cpu", "qemu64", "./life", cwd=tmp_path)


HEADER_USER = '#include <chanconv.h>\nint main(void) { return chanconv_version_number() != CHANCONV_VERSION_NUMBER; }\n'


@pytest.mark.parametrize(
    ("compiler", "suffix", "standard"),
    [("cc", "c", "c99"), ("cc", "c", "c17"), ("clang", "c", "c99"), ("c++", "cpp", "c++17"), ("clang++", "cpp", "c++17")],
)
def test_header(package, tmp_path, compiler, suffix, standard):
    """[10] The header alone, in strict C and C++."""
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    source = tmp_path / f"user.{suffix}"
    source.write_text(HEADER_USER)
    warnings = ("-Wall", "-Wextra", "-Wpedantic", "-pedantic-errors", "-Werror", "-Wundef", "-Wshadow")
    library = package / "lib" / "libchanconv.a"
    flags = (f"-std={standard}", *warnings, f"-I{package / 'include'}")
    run(compiler, *flags, source, library, "-lm", "-pthread", "-o", "user", cwd=tmp_path)
    run(tmp_path / "user")


def test_header_is_a_manual(package):
    """At least half of chanconv.h is prose."""
    text = (package / "include" / "chanconv.h").read_text()
    comments = re.findall(r"/\*.*?\*/", text, re.DOTALL)
    assert sum(map(len, comments)) >= 0.5 * len(text)


def test_header_covers_the_table(package):
    """Every public function is declared, stands in the table, in chanconv_python.h and in __init__.pxd."""
    read = lambda name: (package / name).read_text()  # noqa: E731
    header = re.sub(r"/\*.*?\*/", "", read("include/chanconv.h"), flags=re.DOTALL)
    declared = re.findall(r"^[\w ]+[ *]chanconv_(\w+)\(", header, re.MULTILINE)
    outside = {"abi_major", "abi_minor", "get_api"}  # these are found by the table
    table = re.findall(r"\(\*(\w+)\)\(", header.split("typedef struct chanconv_api {")[1].split("}")[0])
    assert sorted(table) == sorted(set(declared) - outside)
    macros = re.findall(r"#define chanconv_(\w+) \(CHANCONV_TABLE->(\w+)\)", read("include/chanconv_python.h"))
    assert [name for name, _ in macros] == [member for _, member in macros] == table
    cython = re.findall(r"^    [\w ]+[ *]chanconv_(\w+)\(", read("__init__.pxd"), re.MULTILINE)
    assert sorted(cython) == sorted(declared)


def test_versions_agree(package):
    """The header's, pyproject.toml's and what CMake and pkg-config say."""
    header = (package / "include" / "chanconv.h").read_text()
    version = re.search(r'CHANCONV_VERSION "(.*)"', header)[1]
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert f"Version: {version}\n" in (package / "share/pkgconfig/chanconv.pc").read_text()
    assert f'"{version}"' in (package / "share/cmake/chanconv/chanconvConfigVersion.cmake").read_text()


TWO_COPIES = """
#include "chanconv.h"
#include <stdio.h>
#include <string.h>

const chanconv_api *other_get_api(void);

int main(void)
{
    const chanconv_api *copies[2] = {chanconv_get_api(), other_get_api()};
    float x[64], kernel[9], y[2][64];
    for (int i = 0; i < 64; i++) x[i] = (float)(i * 7 % 11);
    for (int i = 0; i < 9; i++) kernel[i] = (float)(i % 4);
    for (int i = 0; i < 2; i++) {
        copies[i]->set_num_threads(3 + i);
        if (copies[i]->plane_conv(NULL, CHANCONV_F32, 8, 8, x, 3, 3, kernel, 1, 1, y[i], NULL) != CHANCONV_OK) return 1;
    }
    if (copies[0] == copies[1] || memcmp(y[0], y[1], sizeof y[0])) return 2;
    return copies[0]->get_num_threads() != 3 || copies[1]->get_num_threads() != 4;
}
"""


@pytest.mark.skipif(not shutil.which("objcopy"), reason="there is no objcopy")
def test_two_copies_in_one_program(package, archive, tmp_path):
    """[18] The library twice, the second under another name: each has a state of its own."""
    names = {name for _, name in symbols("-g", "--defined-only", archive)}
    renamed = "".join(f"{name} {name.replace('chanconv', 'other', 1)}\n" for name in sorted(names))
    (tmp_path / "names").write_text(renamed)
    (tmp_path / "two.c").write_text(TWO_COPIES)
    run("objcopy", "--redefine-syms=names", archive, "other.a", cwd=tmp_path)
    include = package / "include"
    run("cc", f"-I{include}", "two.c", archive, "other.a", "-lm", "-pthread", "-o", "two", cwd=tmp_path)
    run("./two", cwd=tmp_path)


def test_sources_compile_into_a_program(tmp_path):
    """[10] csrc/ as it is, beside functions that have the names of internal ones."""
    (tmp_path / "user.c").write_text(
        HEADER_USER + "void resolve(void);\nvoid resolve(void) {}\nint parallel = 1;\ndouble environment(double x);\n"
        "double environment(double x) { return x; }\n"
    )
    sources = [path for path in (ROOT / "csrc").rglob("*.c") if "avx" not in path.name]
    stand_in = tmp_path / "none.c"  # the other instruction sets take a while, and have no names that matter here
    stand_in.write_text(
        '#include "internal.h"\nconst struct kernels *const kernels_avx2[2], *const kernels_avx512[2];\n'
    )
    command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O0", f"-I{ROOT / 'csrc'}"]
    run(*command, *sources, stand_in, "user.c", "-lm", "-pthread", "-o", "user", cwd=tmp_path)
    subprocess.run([tmp_path / "user"], env={"CHANCONV_ISA": "generic"}, check=True)


SUMS = """
#include "chanconv.h"
#include <stdio.h>

enum { N = 2, SIDE = 20, TAPS = 3, MOST = N * SIDE * SIDE * 48 };

static float x[MOST], y[MOST], kernel[TAPS * TAPS * 48 * 48], grad_kernel[TAPS * TAPS * 48 * 48], grad_x[MOST];
static unsigned long long state = 1, sum = 1469598103934665603u;

static void fill(float *array, int count)
{
    for (int i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        array[i] = (float)(int)(state >> 40) / 8388608 - 1;
    }
}

static void add(const void *array, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ ((const unsigned char *)array)[i]) * 1099511628211u;
}

int main(void)
{
    static const int cases[][4] = {{48, 48, 1, 1}, {48, 48, 2, 1}, {3, 16, 2, 1}, {48, 48, 1, 48}, {48, 48, 1, 12}, {1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chanconv_conv conv;
        chanconv_sizes sizes = {.struct_size = sizeof sizes};
        chanconv_conv_init(&conv);
        conv.n = N;
        conv.h = conv.w = SIDE;
        conv.kh = conv.kw = TAPS;
        conv.c = cases[i][0];
        conv.k = cases[i][1];
        conv.stride[0] = conv.stride[1] = cases[i][2];
        conv.groups = cases[i][3];
        conv.padding_rule = CHANCONV_PAD_SAME;
        conv.activation.kind = CHANCONV_GELU;
        if (chanconv_conv_check(&conv, &sizes, NULL) != CHANCONV_OK) return 1;
        fill(x, (int)sizes.x_count);
        fill(kernel, (int)sizes.kernel_count);
        if (chanconv_conv_forward(NULL, &conv, x, kernel, NULL, y, NULL) != CHANCONV_OK) return 2;
        conv.activation.kind = CHANCONV_IDENTITY;
        if (chanconv_conv_grad_x(NULL, &conv, y, kernel, grad_x, NULL) != CHANCONV_OK) return 3;
        if (chanconv_conv_grad_kernel(NULL, &conv, y, x, grad_kernel, NULL) != CHANCONV_OK) return 4;
        add(y, sizes.y_count * sizeof *y);
        add(grad_x, sizes.x_count * sizeof *x);
        add(grad_kernel, sizes.kernel_count * sizeof *kernel);
    }
    printf("%llx\\n", sum);
    return 0;
}
"""


def test_one_file(package, archive, tmp_path):
    """[11] The library as a single file compiles without a warning, exports the same names and gives the same bits."""
    run(sys.executable, ROOT / "scripts" / "amalgamate.py", "chanconv.c", cwd=tmp_path)
    include = f"-I{package / 'include'}"
    run("cc", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", include, "-c", "chanconv.c", cwd=tmp_path)
    public = [
        {name for kind, name in symbols("-g", "--defined-only", library) if not name.endswith("_")}
        for library in (archive, tmp_path / "chanconv.o")
    ]
    assert public[0] == public[1]
    (tmp_path / "sums.c").write_text(SUMS)
    for library, program in ((archive, "many"), ("chanconv.o", "one")):
        run("cc", include, "sums.c", library, "-lm", "-pthread", "-o", program, cwd=tmp_path)
    assert run("./one", cwd=tmp_path) == run("./many", cwd=tmp_path)
