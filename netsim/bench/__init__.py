"""Benchmarks: how fast and how lean the engine is on this machine, by itself and beside a peer.

Every figure comes from a fresh process (`netsim.bench.processes`), so that thread pools, caches of memory and the
peak of the resident memory belong to one measurement alone.
"""

from __future__ import annotations
