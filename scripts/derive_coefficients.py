# SPDX-License-Identifier: BSD-3-Clause
"""Derives csrc/kernels/coefficients.h: the constants and polynomials of csrc/kernels/math.h.

``python scripts/derive_coefficients.py`` writes the file; with ``--check`` it only says whether it is up to date (and
fails if not). Needs mpmath; takes about a minute.

Every polynomial P stands for a smooth function f on an interval, and is minimax: it makes the largest of
abs(weight * (P - f)) as small as its degree allows. `remez` finds it by exchange; then its coefficients are rounded to
the type. What the file states beside each polynomial is the error of the rounded one, maximised over the interval in 40
digits.
"""

import argparse
import functools
import pathlib
import sys
from typing import NamedTuple

from mpmath import mp, mpf

mp.dps = 40

TARGET = pathlib.Path(__file__).parents[1] / "csrc" / "kernels" / "coefficients.h"
PRECISION = {"f32": 24, "f64": 53}  # bits of a significand


# ---- Approximation ---------------------------------------------------------------------------------------------------


def evaluate(coefficients, x):
    """c[0] + c[1] x + c[2] x^2 + ..."""
    result = mpf(0)
    for c in reversed(coefficients):
        result = result * x + c
    return result


def chebyshev_points(low, high, count):
    """Points of the interval, denser towards its ends, both ends among them."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]


def extremum(error, a, b, c):
    """Where abs(error) is largest in a..c, by golden sections around b."""
    ratio = (mp.sqrt(5) - 1) / 2
    low, high = a, c
    for _ in range(12):
        p, q = high - ratio * (high - low), low + ratio * (high - low)
        if abs(error(p)) > abs(error(q)):
            high = q
        else:
            low = p
    return max((b, (low + high) / 2), key=lambda x: abs(error(x)))


def extrema(error, grid):
    """One place of the largest abs(error) in every run of one sign over the grid."""
    values = [error(x) for x in grid]
    runs, start = [], 0
    for i in range(1, len(grid) + 1):
        if i == len(grid) or (values[i] > 0) != (values[start] > 0):
            runs.append(max(range(start, i), key=lambda j: abs(values[j])))
            start = i
    last = len(grid) - 1
    return [extremum(error, grid[max(i - 1, 0)], grid[i], grid[min(i + 1, last)]) for i in runs]


def alternating(error, grid, count):
    """`count` extrema of alternating sign; where there are more, without the weaker of the ends."""
    places = extrema(error, grid)
    while len(places) > count:
        places = places[1:] if abs(error(places[0])) < abs(error(places[-1])) else places[:-1]
    return places


def remez(f, weight, low, high, count):
    """Coefficients of the minimax polynomial, `count` of them."""
    points = chebyshev_points(low, high, count + 1)
    grid = chebyshev_points(low, high, 24 * count + 1)
    while True:  # solve P(x) - f(x) = +-e / weight(x) in the coefficients and e, move to the extrema, until they stay
        system = mp.matrix(count + 1)
        for row, x in enumerate(points):
            system[row, :] = mp.matrix([[x**power for power in range(count)] + [(-1) ** row / weight(x)]])
        coefficients = list(mp.lu_solve(system, mp.matrix([f(x) for x in points])))[:count]
        places = alternating(lambda x: weight(x) * (evaluate(coefficients, x) - f(x)), grid, count + 1)
        moved = max(abs(a - b) for a, b in zip(points, places, strict=True))
        if moved < (high - low) / 1000:
            return coefficients
        points = places


def rounded(x, bits):
    """x to the nearest number of so many significant bits."""
    with mp.workprec(bits):
        return +mpf(x)


def largest_error(f, weight, low, high, coefficients):
    """Largest abs(weight * (P - f)) over the interval."""

    def error(x):
        return weight(x) * (evaluate(coefficients, x) - f(x))

    grid = chebyshev_points(low, high, 40 * len(coefficients) + 1)
    return max(abs(error(x)) for x in extrema(error, grid))


# ---- The functions ---------------------------------------------------------------------------------------------------


class Polynomial(NamedTuple):
    """A polynomial to derive: `counts` is the number of coefficients for f32 and f64."""

    name: str
    text: str  # what it stands for
    f: object
    weight: object
    low: object
    high: object
    counts: tuple


def near_zero(f, value):
    """f, but `value` at 0, where its formula is 0 / 0, and 60 more digits near there, where it cancels."""

    @functools.cache
    def safe(x):
        if x == 0:
            return mpf(value)
        with mp.extradps(60):
            return f(x)

    return safe


def mills(a):
    """(1 - Phi(a)) e^(a^2 / 2), Phi the normal distribution."""
    return mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2) / 2


NORMAL_CENTRE = {"f32": mpf("3.25"), "f64": mpf("3.5")}  # c: by trial, for small errors of the rounded polynomials
NORMAL_END = {"f32": mpf(15), "f64": mpf(40)}  # a e^(-a^2 / 2) is less than half the smallest float from here on


def bell_slope(a):
    """(1 - Phi(a) - a Phi'(a)) e^(a^2 / 2)."""
    return mills(a) - a / mp.sqrt(2 * mp.pi)


GELU_LOWEST = mp.findroot(bell_slope, mpf("0.75"))  # gelu(-a) is least here


FLOOR = mpf("0.001")  # keeps weights off zero


def polynomials():
    """Those of both types. A weight makes the error one relative to the function that the polynomial goes into."""
    half_ln2 = mp.ln2 / 2 * mpf("1.0001")
    atanh_end = (mpf(3) - 2 * mp.sqrt(2)) * mpf("1.001")  # s = f / (2 + f) at f = sqrt(2) - 1, negated at sqrt(1/2) - 1
    exp_tail = near_zero(lambda r: (mp.expm1(r) - r) / r**2, 0.5)
    log_tail = near_zero(lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, mpf(2) / 3)
    tanh_tail = near_zero(lambda z: (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, -mpf(1) / 3)
    return [
        Polynomial("EXP_TAIL", "(e^r - 1 - r) / r^2 in r, relative to (e^r - 1) / r",
                   exp_tail, lambda r: abs(r) + FLOOR, -half_ln2, half_ln2, (6, 11)),
        Polynomial("EXP_ROUGH", "the same, relative to e^r",
                   exp_tail, lambda r: r * r + FLOOR, -half_ln2, half_ln2, (4, 10)),
        Polynomial("LOG_TAIL", "(2 atanh(s) / s - 2) / s^2 in s^2, relative to the whole",
                   log_tail, lambda z: (z + FLOOR) / 2, mpf(0), atanh_end**2, (3, 7)),
        Polynomial("TANH_TAIL", "(tanh(x) / x - 1) / x^2 in x^2, relative to tanh(x) / x",
                   tanh_tail, lambda z: z + FLOOR, mpf(0), mpf("0.36"), (6, 12)),
        Polynomial("TANHSHRINK", "(x - tanh x) / x^3 in x^2, relative",
                   lambda z: -tanh_tail(z), lambda z: 3, mpf(0), mpf("1.5625"), (11, 21)),
    ]


def bell_ln2(suffix):
    """What the e^(-a^2 / 2) that they are multiplied by is computed with for ln 2: in float a float."""
    return rounded(mp.ln2, PRECISION[suffix]) if suffix == "f32" else mp.ln2


def normal_polynomials(suffix):
    """Those whose interval depends on the type, in s = (a - c) / (a + c)."""
    centre, end = NORMAL_CENTRE[suffix], NORMAL_END[suffix]
    lost = (bell_ln2(suffix) - mp.ln2) / mp.ln2 / 2

    def in_s(f):
        def of_s(s):
            a = centre * (1 + s) / (1 - s)
            return f(a) * mp.exp(-lost * a * a)

        return functools.cache(of_s)

    def relative(name, text, f, counts):
        return Polynomial(name, text, f, lambda s: 1 / f(s), mpf(-1), (end - centre) / (end + centre), counts)

    c = mp.nstr(centre, 3)
    tail_text = f"(a + {c}) (1 - Phi(a)) e^(a^2 / 2) in s = (a - {c}) / (a + {c}), relative"
    slope_text = "(1 - Phi(a) - a Phi'(a)) e^(a^2 / 2) / (GELU_LOWEST - a) in the same s, relative"
    return [
        relative("NORMAL_TAIL", tail_text, in_s(lambda a: (a + centre) * mills(a)), (11, 24)),
        relative("NORMAL_SLOPE", slope_text, in_s(lambda a: bell_slope(a) / (GELU_LOWEST - a)), (11, 24)),
    ]


# ---- Functions in pieces, for floats ---------------------------------------------------------------------------------

LANES = {"f32": 16, "f64": 8}  # numbers that a register holds
PIECES = LANES["f32"]


def piece(index):
    """Ends of the a whose a + 1 has `index` in the last two bits of its exponent and the first two of its fraction."""
    exponent, quarters = (index // 4 + 1) % 4, index % 4
    low = mpf(2) ** exponent * (1 + mpf(quarters) / 4) - 1
    return low, low + mpf(2) ** exponent / 4


def piece_polynomial(f, low, high, middle, count):
    """Rounded coefficients of f in the distance from `middle`, and their largest relative error."""
    shifted = functools.cache(lambda h: f(middle + h))
    arguments = shifted, lambda h: 1 / shifted(h), low - middle, high - middle
    coefficients = [rounded(c, PRECISION["f32"]) for c in remez(*arguments, count)]
    return coefficients, largest_error(*arguments, coefficients)


BELL_LN4 = rounded(2 * mp.ln2, 11)  # its product with n is exact; n BELL_LN4 stands for n ln 4 / (1 - BELL_LOST)
BELL_LOST = 1 - 2 * mp.ln2 / BELL_LN4


def bell_lines():
    """e^(-a^2 / 2) = 2^n e^(-q (1 - BELL_LOST) / 2) e^(-a^2 BELL_LOST / 2), q = a^2 + n BELL_LN4; the last goes to the pieces."""
    near = mp.ln2 / LANES["f32"] / 2 * mpf("1.001")
    half = (1 - BELL_LOST) / 2
    yield f"static const REAL NAME(BELL_LN4) = {c_number(BELL_LN4)}; /* nearly, so that n times it is exact */"
    yield from polynomial_lines(
        Polynomial("BELL_TAIL", "(e^(-m q) - 1) / q in q, 2 m = ln 4 / BELL_LN4, relative to e^(-m q)",
                   near_zero(lambda q: mp.expm1(-half * q) / q, -half), lambda q: abs(q) + FLOOR / 32, -near, near, (2, 0)),
        "f32")


def normal_piece(low, high):
    """The row of NORMAL_PIECES: the place that distances are from, and the polynomial."""

    def rest(a):
        return mills(a) * mp.exp(-a * a * BELL_LOST / 2)

    if low == 0:
        row, error = piece_polynomial(rest, low, high, mpf(0), 5)
        return [mpf(0), mpf(0), *row], error
    def lost(place):
        exact = place * rest(place)
        return abs(rounded(exact, PRECISION["f32"]) / exact - 1)

    middle, step = (low + high) / 2, (high - low) / 4096
    near = sorted((middle + step * i for i in range(-64, 65)), key=lost)[:12]  # there the value is almost a float
    rows = {place: piece_polynomial(lambda a: a * rest(a), low, high, place, 6) for place in (middle, *near)}
    place, (row, error) = min(rows.items(), key=lambda item: item[1][1])
    return [place, *row], error


def tanh_piece(low, high):
    """The row of TANH_PIECES: the place that distances are from, and the polynomial."""
    if low == 0:
        row, error = piece_polynomial(near_zero(lambda a: mp.tanh(a) / a, 1), low, high, mpf(0), 6)
        return [mpf(0), mpf(0), *row], error
    if low >= 9:
        return [low, mpf(1), *[mpf(0)] * 6], 1 - mp.tanh(low)
    row, error = piece_polynomial(mp.tanh, low, high, (low + high) / 2, 7)
    return [(low + high) / 2, *row], error


def table_lines(name, text, row_of):
    """The C array of a function in pieces, what the pieces have of the same kind side by side."""
    rows, errors = zip(*(row_of(*piece(index)) for index in range(PIECES)), strict=True)
    yield f"/* {text}, relative:"
    yield f" * error 2^{mp.nstr(mp.log(max(errors), 2), 4)}. */"
    yield f"static const REAL NAME({name})[{len(rows[0])}][{PIECES}] = {{"
    for column in zip(*rows, strict=True):
        yield "    {"
        yield from (f"        {c_number(c)}," for c in column)
        yield "    },"
    yield "};"


def array_lines(name, text, values):
    """The C array of some numbers."""
    yield f"/* {text} */"
    yield f"static const REAL NAME({name})[] = {{"
    yield from (f"    {c_number(value)}," for value in values)
    yield "};"


def power_lines(suffix):
    """Powers of 2 that a register holds, or two for a rough e^x, and what is between them."""
    bits, lanes = PRECISION[suffix], LANES[suffix]
    powers = [mpf(2) ** (mpf(i) / (2 * lanes)) for i in range(2 * lanes)]
    nearest = [rounded(p, bits) for p in powers]
    lack = [rounded((p - q) / q, bits) for p, q in zip(powers, nearest, strict=True)]
    yield from array_lines("POWERS", f"2^(i / {lanes})", nearest[::2])
    yield from array_lines("POWERS_LACK", "what they lack, relative", lack[::2])
    yield from array_lines("ROUGH_POWERS", f"2^(i / {2 * lanes})", nearest)
    near = mp.ln2 / 2 / lanes * mpf("1.0001")
    tail = Polynomial("POWER_TAIL", "(e^r - 1 - r) / r^2 in r, relative to e^r",
                      near_zero(lambda r: (mp.expm1(r) - r) / r**2, 0.5), lambda r: r * r + FLOOR / 1000,
                      -near, near, (2, 6))
    rough = Polynomial("ROUGH_POWER_TAIL", "(e^r - 1) / r in r, relative to e^r",
                       near_zero(lambda r: mp.expm1(r) / r, 1), lambda r: abs(r) + FLOOR / 32,
                       -near / 2, near / 2, (2, 6))
    yield from polynomial_lines(tail, suffix)
    yield from polynomial_lines(rough, suffix)


def piece_lines():
    """What there is for floats where a register holds a number for every piece."""
    yield from bell_lines()
    yield from table_lines("NORMAL_PIECES", "a (1 - Phi(a)) e^(a^2 m) in the distance from the first number", normal_piece)
    yield from table_lines("TANH_PIECES", "tanh in the distance from the first number", tanh_piece)


# ---- The file --------------------------------------------------------------------------------------------------------

HEADER = """\
/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Constants of math.h. Written by scripts/derive_coefficients.py, which see; not to be edited. "error" is the largest
 * difference between polynomial and function, in the sense said, over the interval.
 */
"""


def c_number(x):
    """x as a C literal, exact."""
    return float(x).hex() if x else "0"


def polynomial_lines(polynomial, suffix):
    """The C array of one polynomial."""
    count = polynomial.counts[suffix == "f64"]
    arguments = polynomial.f, polynomial.weight, polynomial.low, polynomial.high
    coefficients = [rounded(c, PRECISION[suffix]) for c in remez(*arguments, count)]
    error = largest_error(*arguments, coefficients)
    yield f"/* {polynomial.text}, from {mp.nstr(polynomial.low, 6)} to {mp.nstr(polynomial.high, 6)}:"
    yield f" * error 2^{mp.nstr(mp.log(error, 2), 4)}. */"
    yield f"static const REAL NAME({polynomial.name})[] = {{"
    yield from (f"    {c_number(c)}," for c in coefficients)
    yield "};"


def split(value, bits, high_bits):
    """value as a float of few bits, so that products with small integers are exact, and the rest."""
    high = rounded(value, high_bits)
    return high, rounded(value - high, bits)


def constant_lines(suffix):
    """Numbers that several functions share."""
    bits = PRECISION[suffix]
    ln2_high, ln2_low = split(mp.ln2, bits, bits - (9 if suffix == "f32" else 12))
    slope = 2 * mp.sqrt(2 / mp.pi)
    slope_high, slope_low = split(slope, bits, bits // 2)
    cubic = slope * mpf("0.044715")
    cubic_high, cubic_low = split(cubic, bits, bits // 2)
    lowest, lowest_low = split(GELU_LOWEST, bits, bits)
    selu_alpha, selu_scale = mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")
    constants = [
        ("NORMAL_CENTRE", "", NORMAL_CENTRE[suffix]),
        ("NORMAL_END", "gelu(-a) is 0 from here on; the last number of the last piece",
         rounded(NORMAL_END[suffix] * (1 - mpf(2) ** -bits), bits)),
        ("GELU_LOWEST", "-GELU_LOWEST - GELU_LOWEST_LOW is where gelu is least", lowest),
        ("GELU_LOWEST_LOW", "", lowest_low),
        ("LOG2_E", "1 / ln 2", rounded(1 / mp.ln2, bits)),
        ("LN2", "", rounded(mp.ln2, bits)),
        ("LN2_HIGH", "ln 2 = LN2_HIGH + LN2_LOW", ln2_high),
        ("LN2_LOW", "", ln2_low),
        ("BELL_LN2_LOW", "that of NORMAL_TAIL and NORMAL_SLOPE", rounded(bell_ln2(suffix) - ln2_high, bits)),
        ("SQRT_2_LESS_1", "", rounded(mp.sqrt(2) - 1, bits)),
        ("SQRT_HALF", "", rounded(mp.sqrt(0.5), bits)),
        ("INV_SQRT_2PI", "1 / sqrt(2 pi)", rounded(1 / mp.sqrt(2 * mp.pi), bits)),
        ("GELU_TANH_END", "gelu_tanh(-a) is 0 from here on", mpf(11 if suffix == "f32" else 22)),
        ("GELU_TANH_SLOPE", "2 sqrt(2 / pi)", slope_high),
        ("GELU_TANH_SLOPE_LOW", "", slope_low),
        ("GELU_TANH_CUBIC", "... times 0.044715", cubic_high),
        ("GELU_TANH_CUBIC_LOW", "", cubic_low),
        ("SELU_SCALE", "", rounded(selu_scale, bits)),
        ("SELU_SCALE_ALPHA", "SELU_SCALE * 1.67326...", rounded(selu_scale * selu_alpha, bits)),
    ]
    for name, text, value in constants:
        yield f"static const REAL NAME({name}) = {c_number(value)};" + (f" /* {text} */" if text else "")


def lines():
    """The whole file."""
    yield HEADER
    for suffix, condition in (("f32", "#if !IS_F64"), ("f64", "#else")):
        yield condition
        yield from constant_lines(suffix)
        for polynomial in [*polynomials(), *normal_polynomials(suffix)]:
            print(suffix, polynomial.name, file=sys.stderr)
            yield from polynomial_lines(polynomial, suffix)
        yield "#if defined(PERMUTE)"
        yield from power_lines(suffix)
        if suffix == "f32":
            yield from piece_lines()
        yield "#endif"
    yield "#endif"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is out of date")
    text = "\n".join(lines()) + "\n"
    if parser.parse_args().check:
        sys.exit(text != TARGET.read_text())
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
