"""Reads `/metrics` of a process: samples by their name and the values of their labels, in order of the labels."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Counters = Mapping[tuple[str, ...], float]

OURS = "millstream_"


def read_counters(text: str) -> Counters:
    """Return the samples of Millstream's own metrics."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        if family.name.startswith(OURS)
        for sample in family.samples
    }


def samples_of(counters: Counters, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one metric by the values of their labels, without zeros."""
    return {tuple(labels): value for (sample, *labels), value in counters.items() if sample == name and value}
