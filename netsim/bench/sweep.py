"""Images/s over batch sizes and numbers of filters: is the cost linear, or are there cliffs?"""

from __future__ import annotations

from typing import Any

from netsim.bench import processes
from netsim.bench.comparison import Show
from netsim.bench.job import Job

#: Seconds spent on each cell, for training and again for inference.
SECONDS = 0.5


def measure(job: Job, batches: list[int], filters: list[int], show: Show) -> dict[str, Any]:
    """Training and inference images/s for every batch size and, where given, number of filters of all convolutions."""
    rows = []
    for number in filters or [None]:
        varied = job if number is None else job.with_filters(number)
        show(f"{job.name}" + (f", {number} filters" if number else ""))
        answer = processes.run("batches", job=varied.to_json(), batches=batches)
        rows.append({"filters": number, "architecture": varied.architecture, **answer})
    return {"job": job.to_json(), "rows": rows}
