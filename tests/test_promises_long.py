"""Long runs: memory stays flat, and an epoch takes what the first ones took.

The suite runs a small net; the long one is

    python tests/test_promises_long.py 500      # epochs of simpnet on digits
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytest
import small_runs

from netsim import configuration, preparation, runs, training
from netsim.training_events import EpochDone

STATUS = Path("/proc/self/statm")
#: Growth of resident memory that counts as flat, after the first epochs.
FLAT = 0.02
FIRST = 20


def resident_pages() -> int:
    return int(STATUS.read_text().split()[1])


def watch(prepared: preparation.Prepared, folder: Path) -> tuple[list[int], list[float]]:
    """Train; return the resident memory (pages) after each epoch, and the seconds of CPU that each epoch took.

    Seconds of all threads, evaluation, saving and drawing included: a busy machine does not change them much.
    """
    pages, seconds = [], []
    began = time.process_time()

    def on_event(event):
        if isinstance(event, EpochDone):
            nonlocal began
            pages.append(resident_pages())
            seconds.append(time.process_time() - began)
            began += seconds[-1]

    with runs.create(folder, prepared.configuration.to_toml()) as run:
        training.train(prepared, run, on_event)
    return pages, seconds


def growth(pages: list[int]) -> float:
    """Largest memory after the first epochs over the largest in them, less 1."""
    return max(pages[FIRST:]) / max(pages[:FIRST]) - 1


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell the memory of a process in /proc")
def test_memory_is_flat_and_no_epoch_takes_longer(tmp_path, monkeypatch):
    # The curves are drawn every few epochs, as in a long run, so that drawing counts, too.
    monkeypatch.setattr(training, "CURVES_SECONDS", 0.5)
    data = small_runs.write_data(tmp_path / "small.npz")
    pages, seconds = watch(preparation.prepare(small_runs.settings(data, epochs=150)), tmp_path / "run")
    assert len(pages) == 150
    assert growth(pages) < FLAT
    # Wide, because other processes share the caches; work that grew with the epochs would triple.
    assert statistics.median(seconds[-50:]) < 1.5 * statistics.median(seconds[FIRST : FIRST + 50])


def test_growth_would_be_seen():
    assert growth([1000] * FIRST + [1000, 1021, 1000]) > FLAT


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        wanted = configuration.build({"epochs": int([*sys.argv[1:], "500"][0]), "seed": 1})
        memory, times = watch(preparation.prepare(wanted), Path(temporary) / "run")
    first, later = (max(part) * 4096 / 2**20 for part in (memory[:FIRST], memory[FIRST:]))
    print(f"{len(memory)} epochs; largest memory in the first {FIRST}: {first:.1f} MiB, later: {later:.1f} MiB")
    print(f"growth after the first {FIRST} epochs: {100 * growth(memory):+.2f} %")
    for start in range(0, len(times), 50):
        part = times[start : start + 50]
        print(f"epochs {start + 1} to {start + len(part)}: {statistics.median(part):.3f} s of CPU an epoch (median)")
