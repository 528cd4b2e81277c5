"""How a batch is cut for threads and caches: every thread gets as much, in a net of any size."""

import itertools

import pytest

import netsim
from netsim import workspace


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("number", [1, 2, 16, 17, 46, 62, 500])
def test_threads_get_as_many_blocks_of_nearly_one_size(number, threads):
    blocks = workspace._blocks(number, threads)
    assert blocks[0][0] == 0 and blocks[-1][1] == number
    assert all(before[1] == after[0] for before, after in itertools.pairwise(blocks))
    sizes = [last - first for first, last in blocks]
    assert min(sizes) >= 1 and max(sizes) <= min(min(sizes) + 1, 16)
    assert len(blocks) % threads == 0 or len(blocks) == number


def test_a_chunk_of_a_large_net_holds_a_block_for_every_thread():
    net = netsim.Network("deepernet", input_shape=(32, 32, 3), classes=10, seed=0)
    for threads in (1, 2, 8):
        assert workspace.chunk_size(net.layers, net.input_shape, 4096, threads) >= 16 * threads
    assert workspace.chunk_size(net.layers, net.input_shape, 5, 8) == 5
