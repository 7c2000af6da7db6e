"""The cache prefix rotates at a time of its own for each tenant, and no tenant's prefix is part of another's."""

from __future__ import annotations

import itertools

import pytest

from executor.cache.generation import folder, generation

FORTNIGHT = 14 * 24 * 3600
NOW = 1_800_000_000.5


def begins(tenant: str, length: int = FORTNIGHT) -> int:
    """The second at which the generation after NOW's begins."""
    number = generation(tenant, NOW, length)
    low, high = int(NOW), int(NOW) + length
    while low < high:
        middle = (low + high) // 2
        if generation(tenant, middle, length) > number:
            high = middle
        else:
            low = middle + 1
    return low


def test_a_generation_lasts_exactly_its_length() -> None:
    start = begins("tenant-a")
    number = generation("tenant-a", start, FORTNIGHT)
    assert generation("tenant-a", start - 0.001, FORTNIGHT) == number - 1
    assert generation("tenant-a", start + FORTNIGHT - 0.001, FORTNIGHT) == number
    assert generation("tenant-a", start + FORTNIGHT, FORTNIGHT) == number + 1


def test_time_only_ever_raises_the_number() -> None:
    numbers = [generation("tenant-a", NOW + hour * 3600, 36 * 3600) for hour in range(1000)]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(numbers[0], numbers[-1] + 1))


def test_tenants_do_not_all_build_cold_on_the_same_day() -> None:
    days = {begins(f"tenant-{number}") // 86400 for number in range(100)}
    assert len(days) >= 12


def test_the_number_is_the_same_in_every_process() -> None:
    # A constant on purpose: another hash would make every tenant's next build cold.
    assert (
        generation("tenant-a", 1_800_000_000, FORTNIGHT) == generation("tenant-a", 1_800_000_000.9, FORTNIGHT) == 1489
    )


@pytest.mark.parametrize(
    ("base", "path"), [("layer-cache", "layer-cache/a"), ("/x/y/", "x/y/a"), ("", "a"), ("/", "a")]
)
def test_the_folder_has_no_slash_at_its_ends(base: str, path: str) -> None:
    assert folder(base, "a") == path


def test_no_tenants_folder_begins_another_ones() -> None:
    tenants = ["a", "ab", "a-b", "a1", "1", "11", "tenant", "tenant-a", "tenant-a-1", "protected"]
    paths = [folder("layer-cache", tenant) + "/" for tenant in tenants]
    assert not [pair for pair in itertools.permutations(paths, 2) if pair[1].startswith(pair[0])]
