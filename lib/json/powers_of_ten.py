"""Write powers_of_ten.inc, the table of json_double.c.

    python3 lib/json/powers_of_ten.py > lib/json/powers_of_ten.inc

An entry of the table is g(k) = ceil(10^k * 2^(127 - floor(log2(10^k)))), 128 bits, the first of
which is set: 10^k as a binary fraction, rounded up. k goes from -MAX_EXPONENT to -MIN_EXPONENT of
the decimal exponents that a double may have.
"""

from fractions import Fraction

FIRST, LAST = -292, 324


def floor_log2(number: Fraction) -> int:
    guess = number.numerator.bit_length() - number.denominator.bit_length()
    return guess if Fraction(2) ** guess <= number else guess - 1


def g(k: int) -> int:
    power = Fraction(10) ** k
    scaled = power * Fraction(2) ** (127 - floor_log2(power))
    return -(-scaled.numerator // scaled.denominator)


def floor_log10(number: Fraction) -> int:
    guess = len(str(number.numerator)) - len(str(number.denominator))
    return guess if Fraction(10) ** guess <= number else guess - 1


def check_logarithms() -> None:
    """The multiplications of json_double.c stand for logarithms: exactly, where they are used."""
    for k in range(FIRST, LAST + 1):
        assert (k * 1741647) >> 19 == floor_log2(Fraction(10) ** k)
    for q in range(-1074, 972):
        power = Fraction(2) ** q
        assert (q * 1262611) >> 22 == floor_log10(power)
        assert (q * 1262611 - 524031) >> 22 == floor_log10(power * 3 / 4)


def main() -> None:
    check_logarithms()
    print("/* Made by powers_of_ten.py. */")
    for k in range(FIRST, LAST + 1):
        value = g(k)
        print(f"{{0x{value >> 64:016x}, 0x{value & (2**64 - 1):016x}}}, /* {k} */")


if __name__ == "__main__":
    main()
