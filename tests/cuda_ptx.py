"""Compile every kernel that a step launches to PTX, with the types it is launched with; no GPU is needed.

    python tests/cuda_ptx.py [PTXAS]

prints one line of JSON for each kernel, tile and compute capability: name, registers and spilled bytes (where ptxas is
given), multiply-adds, and whether sums of a tile fell out of the registers. Exits with 77 where there is no compiler
(NVVM, of numba-cuda[cu12]). Run as a program: the stand-ins below replace the arrays of the whole process.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import netsim.cuda.jit as jit

CAPABILITIES = ((7, 5), (9, 0))
launched = {}


def record(kernel, grid, threads, *arguments):
    from numba.cuda import types
    from numba.cuda.np.numpy_support import from_dtype

    kinds = tuple(
        types.Array(from_dtype(a.dtype), 1, "C") if isinstance(a, np.ndarray) else from_dtype(np.dtype(type(a)))
        for a in map(jit._given, arguments)
    )
    launched.setdefault((id(kernel), kinds), (kernel, kinds, threads))


def upload(values, target=None):
    return np.ascontiguousarray(values).reshape(-1).copy()


jit.Kernel.launch = record
jit.upload, jit.fetch = upload, lambda array, number=None: array[:number].copy()
jit.empty = jit.zeros = lambda number, dtype=np.float32: np.zeros(number, dtype)

OPTIONS = (
    {},
    {"loss": "softmax"},
    {"tiled": False},
    {"protocol": "sign-symmetry"},
    {"protocol": "dfa"},
    {"feedback_input": "positive", "feedback_clip": 2.0},
    {"circuits": {"gate_leak": 0.5}},
)

#: Of layers that every tile is the best for, among them.
SCHEDULED = "conv 3 2x2; conv 3 2x2; sum; drop .4; maxpool 3; untied 5 2x2; full 9; drop .3; output"

NETS = (
    "conv 8 5x5; maxpool 3; drop .5; conv 40 3x3; conv 40 3x3; sum; untied 5 3x3; full 9; output",
    "conv 200 1x1; conv 70 3x3; maxpool 3, stride 6; full 300; output",
    "conv 32 5x5; conv 32 3x3; output",
)


def launch_all() -> None:
    import netsim
    from netsim.cuda.batched import CudaBatchedTrainer
    from netsim.cuda.learner import CudaLearner
    from netsim.cuda.trainer import CudaTrainer
    from netsim.data.dataset import Split
    from netsim.events import Distribution, Schedule

    for net in NETS:
        for options in OPTIONS:
            for connectivity in (1.0, 0.5):
                network = netsim.Network(net, (12, 12, 3), 10, connectivity=connectivity)
                trainer = CudaTrainer(network, **options)
                images = np.zeros((200, 12, 12, 3), np.float32)
                trainer.step(images, np.zeros(200, int))
    for schedule in (Schedule().changed(jitter=Distribution("normal", 0.6)), Schedule(replacement=0.6, sign="minus")):
        late = CudaBatchedTrainer(netsim.Network(SCHEDULED, (12, 12, 3), 10), schedule, streams=80)
        late.step(images, np.zeros(200, int))
    for dtype in (np.uint8, np.float32):
        learner = CudaLearner(trainer, Split(images[:4].astype(dtype), np.zeros(4, int)), 2)
        learner.begin_epoch(np.arange(4))
        learner.learn(0, 2)


def compiled(ptxas: str | None):
    from numba import cuda

    for kernel, kinds, threads in launched.values():
        for capability in CAPABILITIES:
            ptx, _ = cuda.compile_ptx(kernel.function, kinds, cc=capability)
            found = {
                "kernel": kernel.name,
                "file": kernel.function.__module__,
                "threads": threads,
                "capability": capability,
                "types": str(kinds),
            }
            found |= {"multiply_adds": ptx.count("fma.rn.f32"), "local": "__local_depot" in ptx}
            found |= {"shared_at_once": ptx.count("ld.shared.v4"), "shared_singly": ptx.count("ld.shared.f32")}
            found["atomics"] = len(re.findall(r"\b(?:atom|red)\.", ptx))
            if ptxas:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder, "kernel.ptx")
                    path.write_text(ptx)
                    arch = f"-arch=sm_{capability[0]}{capability[1]}"
                    command = [ptxas, arch, "-v", str(path), "-o", str(path.with_suffix(".cubin"))]
                    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
                found["registers"] = int(re.search(r"Used (\d+) registers", said)[1])
                found["spilled"] = int(re.search(r"(\d+) bytes spill stores", said)[1])
            yield found


def declared() -> set[tuple[str, str]]:
    """(module, name) of every kernel of the package, but for the tiles, which are made as they are needed."""
    from netsim.cuda import components, mixing, pools, products, units

    modules = (components, mixing, pools, products, units)
    return {(m.__name__, name) for m in modules for name, k in vars(m).items() if isinstance(k, jit.Kernel)}


if __name__ == "__main__":
    try:
        from numba import cuda

        cuda.compile_ptx(lambda: None, (), cc=CAPABILITIES[0])
    except Exception as error:
        print(f"no compiler: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(77)
    launch_all()
    missing = declared() - {(k.function.__module__, k.name) for k, _, _ in launched.values()}
    assert not missing, f"never launched: {missing}"
    for one in compiled(*sys.argv[1:] or [None]):
        print(json.dumps(one), flush=True)
