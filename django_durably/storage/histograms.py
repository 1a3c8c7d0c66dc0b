"""Histograms of durations: two buckets for each doubling from a millisecond on, and percentiles.

A percentile read from such a bucket is wrong by a fifth at most, from milliseconds to weeks.
"""

from collections.abc import Iterable, Mapping

Histogram = Mapping[str, int]
"""How many durations fell into each bucket; the keys are the numbers of buckets, as JSON has it."""

PER_DOUBLING = 2
LAST = 64
"""No duration is in a later bucket: it would be more than 50 days."""


def lower_edge(bucket: int) -> float:
    """The shortest duration of a bucket, in seconds."""
    return 0.0 if bucket == 0 else float(2 ** (bucket / PER_DOUBLING) / 1000)


def merge(histograms: Iterable[Histogram]) -> dict[str, int]:
    """The sum of these histograms."""
    total: dict[str, int] = {}
    for histogram in histograms:
        add(total, histogram)
    return total


def add(total: dict[str, int], histogram: Histogram) -> None:
    """Add a histogram to the first one."""
    for bucket, count in histogram.items():
        total[bucket] = total.get(bucket, 0) + count


def percentile(histogram: Histogram, share: float) -> float | None:
    """The duration in seconds that this share (0 to 1) of all do not exceed; None without any."""
    left = sum(histogram.values()) * share
    if not histogram or left <= 0:
        return None
    for bucket in sorted(map(int, histogram)):
        count = histogram[str(bucket)]
        if count >= left:
            low, high = lower_edge(bucket), lower_edge(bucket + 1)
            return low + (high - low) * left / count
        left -= count
    return lower_edge(max(map(int, histogram)) + 1)
