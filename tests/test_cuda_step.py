"""The CUDA kernels against the float64 twin: every kind of layer, protocol, loss and option, plain and in tiles.

Without a GPU they run in the CUDA simulator (`conftest.py` turns it on), where blocks are tiny, so that ragged last
blocks occur; with one, the same tests run on it.
"""

import numpy as np
import pytest
from agreement import Case, check_forward, check_step, draw
from cuda_setting import needs_cuda
from test_step_against_naive import ARCHITECTURES, OPTIONS

pytestmark = needs_cuda

SHAPE = (5, 5, 1)
SHAPES = {"sixteen and more": (2, 2, 1), "untied above conv": (4, 3, 1)}  # of nets with many products
PROTOCOLS = ("urfb", "bp", "frfb", "urfb", "sign-symmetry", "dfa")


#: Every kind of layer, with few products.
WITH_ALL = "conv 3 2x2; conv 3 2x2; sum; maxpool 3; drop .5; untied 2 2x2; full 5; drop .25; output"


class CudaCase(Case):
    """A comparison with the engine on the device."""

    @property
    def engine(self):
        from netsim.cuda.trainer import CudaTrainer

        return CudaTrainer


class OnDevice:
    """A drawn case whose net answers on the device."""

    def __init__(self, drawn, tiled):
        from netsim.cuda.network import DeviceNet

        device = DeviceNet(drawn.net, tiled)
        self.case, self.images = drawn.case, drawn.images
        self.net = device


def check(case, tiled):
    drawn = draw(case)
    check_forward(OnDevice(drawn, tiled))
    check_step(drawn, tiled=tiled)
    return drawn


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_plainly(name):
    number = list(ARCHITECTURES).index(name)
    loss = ("hinge", "softmax")[number // len(PROTOCOLS) % 2]
    case = CudaCase(
        ARCHITECTURES[name], SHAPES.get(name, SHAPE), batch=2, protocol=PROTOCOLS[number % len(PROTOCOLS)], loss=loss
    )
    drawn = check(case, False)
    assert any(np.any(drawn.run.W[layer] != drawn.W[layer]) for layer in drawn.W)


@pytest.mark.parametrize("name", [name for name, options in OPTIONS.items() if "trainer" not in options])
def test_every_option_plainly(name):
    options = {**OPTIONS[name], "input_shape": (3, 3, 2), "batch": 2}
    check(CudaCase(WITH_ALL, **options), False)


TILED = {
    "conv": ("conv 5 3x3; conv 3 2x4; output", {}),
    "conv, few": ("conv 2 3x1; conv 1 1x1; output", {}),
    "untied": ("untied 3 3x2; untied 2 2x2; full 5; output", {}),
    "full": ("full 9; full 6; output", dict(protocol="bp", loss="softmax")),
    "sum and pool": ("conv 4 3x3; conv 4 1x1; sum; maxpool 3; conv 3 2x2; output", {}),
    "dfa": ("conv 3 3x3; full 5; output", dict(protocol="dfa")),
}


@pytest.mark.parametrize("architecture, options", TILED.values(), ids=TILED)
def test_tiles(architecture, options, monkeypatch):
    from netsim.cuda import tiles

    launched = watch(monkeypatch, tiles)
    check(CudaCase(architecture, (3, 4, 2), batch=3, **options), True)
    assert {"feedforward", "feedback", "hebbian"} <= {name for name, _ in launched}
    assert any(np.prod(grid) > 1 for _, grid in launched), "one block did it all"


def watch(monkeypatch, tiles):
    """Names and grids of the tiled products launched from now on."""
    from netsim.cuda.jit import Kernel

    launched, launch = [], Kernel.launch

    def note(kernel, grid, threads, *arguments):
        if kernel.function.__module__ == tiles.__name__:
            launched.append((kernel.name, grid))
        launch(kernel, grid, threads, *arguments)

    monkeypatch.setattr(Kernel, "launch", note)
    return launched


@pytest.mark.parametrize("architecture", ["conv 5 3x3; conv 2 2x2; output", "untied 2 2x3; full 6; output"])
def test_tiles_give_the_bits_of_the_plain_products(architecture):
    """Sums over entries that are not cut into parts run in one order, whatever the tile."""
    drawn = draw(CudaCase(architecture, (3, 3, 2), batch=3))
    found = [drawn.case.train(drawn.net, tiled=tiled) for tiled in (False, True)]
    scores = [OnDevice(drawn, tiled).net.scores(drawn.images) for tiled in (False, True)]
    signals = [trainer.signals(drawn.images, drawn.labels) for trainer in found]
    np.testing.assert_array_equal(*scores)
    for name in signals[0]:
        np.testing.assert_array_equal(signals[0][name], signals[1][name], err_msg=name)


def test_sums_over_a_batch_are_cut_by_the_batch_alone():
    """Several parts, of which the last is shorter, in an order that depends on nothing but the layer and the batch."""
    from netsim.cuda import connections
    from netsim.cuda.trainer import CudaTrainer

    case = CudaCase("conv 2 2x2; output", (3, 3, 1), batch=5)
    drawn = draw(case)
    trainer = CudaTrainer(drawn.net, seed=case.seed + 1)
    increments = [trainer.increments(drawn.images, drawn.labels)[0] for _ in range(2)]
    conv = trainer.device_net.at["conv1"].connections
    blocks = int(np.prod(conv._grid(conv.entries_in, conv.c_out)[1]))
    share, number = conv._parts_of(45, connections.LIMITS.locations, conv.weights, blocks)
    assert number > 1 or connections.LIMITS.blocks > 100
    assert share * (number - 1) < 45 <= share * number
    for name, increment in increments[0].items():
        np.testing.assert_array_equal(increment, increments[1][name])


def test_the_same_bits_run_after_run():
    from netsim.cuda.trainer import CudaTrainer

    states = []
    for _ in range(2):
        case = CudaCase("conv 3 3x3; maxpool 2; drop .5; full 5; output", (4, 4, 2), batch=4)
        net, rng = case.network(), np.random.default_rng(0)
        trainer = CudaTrainer(net)
        for _ in range(2):
            trainer.step(rng.random((4, 4, 4, 2), dtype=np.float32), rng.integers(0, 3, 4))
        states.append(net.state())
    before = case.network().state()
    assert any(np.any(before[name] != array) for name, array in states[0].items())
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name], err_msg=name)


def test_nets_of_usual_size_get_large_tiles_and_enough_blocks():
    """What a GPU would launch; nothing runs here."""
    from netsim.cuda import connections, tiles

    large, narrow, small = hardware = (
        tiles.Tile(128, 64, 8, 8, 8), tiles.Tile(128, 32, 8, 4, 8), tiles.Tile(64, 32, 4, 4, 8),
    )  # fmt: skip
    limits = connections.Limits(256, 64, 512, 1 << 26)
    #: layer of the paper's nets, (rows, columns, terms) of a product at batch 500, parts: tile and parts
    for what, rows, columns, terms, least, tile, number in (
        ("simpnet conv1 feedforward", 512_000, 32, 75, limits.entries, narrow, 1),
        ("deepernet conv5 feedforward", 128_000, 64, 288, limits.entries, large, 1),
        ("simpnet full1 feedforward", 500, 500, 8192, limits.entries, large, 8),
        ("simpnet full1 feedback", 500, 8192, 500, limits.entries, large, 1),
        ("simpnet conv1 Hebbian", 75, 32, 512_000, limits.locations, narrow, 256),
        ("deepernet conv5 Hebbian", 576, 64, 128_000, limits.locations, large, 52),
        ("output feedforward", 500, 10, 500, limits.entries, small, 1),
    ):
        found, blocks = connections.tile_of(hardware, limits, rows, columns, 1, max(terms // least, 1))
        assert found == tile, what
        share, parts = connections.parts_of(limits, terms, least, rows * columns, blocks)
        assert parts == number and share * (parts - 1) < terms <= share * parts, what
