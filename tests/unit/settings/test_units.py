"""Quantities and time spans mean what Kubernetes and Go take them for, and nothing doubtful gets through."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from executor.settings.units import Bytes, Cpu, Duration, Pattern

BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


@pytest.mark.parametrize(("suffix", "factor"), [*BINARY.items(), *DECIMAL.items()])
def test_bytes_are_counted_as_kubernetes_counts_them(suffix: str, factor: int) -> None:
    some = random.Random(suffix)
    for number in (1, 7, 1024, *(some.randrange(1, 10**6) for _ in range(50))):
        parsed = Bytes.parse(f"{number}{suffix}")
        assert (parsed.count, parsed.text) == (number * factor, f"{number}{suffix}")


def test_a_fraction_of_bytes_is_exact_where_floats_are_not() -> None:
    assert Bytes.parse("0.1Pi").count == int(Fraction(1, 10) * 2**50)
    assert Bytes.parse("1.5Gi").count == 3 * 2**29


@pytest.mark.parametrize(
    ("text", "cores"),
    [("500m", Fraction(1, 2)), ("2", Fraction(2)), ("1.5", Fraction(3, 2)), ("1m", Fraction(1, 1000))],
)
def test_cpu_is_counted_in_cores(text: str, cores: Fraction) -> None:
    parsed = Cpu.parse(text)
    assert (Fraction(parsed.cores), parsed.text) == (cores, text)


def test_any_time_span_that_go_prints_is_read() -> None:
    some = random.Random(7)
    for _ in range(200):
        hours, minutes, seconds = some.randrange(400), some.randrange(60), some.randrange(60)
        if total := hours * 3600 + minutes * 60 + seconds:
            text = f"{hours}h{minutes}m{seconds}s"
            assert Duration.parse(text).seconds == total
            short = "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n)
            assert Duration.parse(short).seconds == total


NO_BYTES = [
    "",
    "0",
    "0Gi",
    "-1Gi",
    "400m",
    "1gi",
    "1 Gi",
    " 1Gi",
    "1Gi\n",
    "1GiB",
    "1e3",
    "1,5Gi",
    "Gi",
    "٣Gi",
    "½Gi",
    "1.Gi",
]
NO_CPU = ["", "0", "0m", "-1", "1Gi", "1k", "2 cores", "1 ", "٣", "m"]
NO_DURATION = ["", "0", "0s", "0h0m0s", "90", "1.5h", "5 m", "5M", "-5m", "5m1h", "1d", "٣m", "5m\n", "5ms"]


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        *((Bytes, text) for text in NO_BYTES),
        *((Cpu, text) for text in NO_CPU),
        *((Duration, text) for text in NO_DURATION),
    ],
)
def test_what_is_doubtful_is_refused_and_quoted(unit: type[Bytes | Cpu | Duration], text: str) -> None:
    with pytest.raises(ValueError, match="such as") as refused:
        unit.parse(text)
    assert repr(text) in str(refused.value)


ALIKE = ["team=(?:a|b)", r"a\.b", "[*+]+", r"x\\1", "(?i)x", "(?P<name>x)", "a+?", r"[\]?+]", r"\(?=", "[]*+]", r"\++"]
PYTHON_ONLY = [
    *("(?=a)a", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P<x>a)(?P=x)", "(a)?(?(1)b|c)", "(?>a)", "(?#a)b"),
    *("a*+", "a++", "a?+", "a{2}+", r"a\Z", "(?a)x", "(?x)a b"),
]


@pytest.mark.parametrize("text", ALIKE)
def test_patterns_that_python_and_the_cluster_read_alike_are_taken(text: str) -> None:
    assert Pattern.parse(text).text == text


@pytest.mark.parametrize("text", PYTHON_ONLY)
def test_patterns_that_only_python_knows_are_refused_before_the_cluster_refuses_them(text: str) -> None:
    with pytest.raises(ValueError, match="RE2"):
        Pattern.parse(text)


@pytest.mark.parametrize("text", ["", "(", "*"])
def test_what_is_no_pattern_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|leave it out"):
        Pattern.parse(text)
