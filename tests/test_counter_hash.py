"""The counter hash of dropout: its definition, its known answers, and its use by the engine, unit by unit."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netsim
from netsim.kernels import chance

WORD = st.integers(0, 2**64 - 1)
COUNTER = st.integers(0, 2**40)


def test_mix_is_splitmix64():
    """First outputs of splitmix64 from state 0, as published with it (its state grows by a constant)."""
    state, outputs = 0, []
    for _ in range(3):
        outputs.append(naive.mix(state))
        state = (state + 0x9E3779B97F4A7C15) & naive.MASK64
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@settings(max_examples=200)
@given(WORD, COUNTER, COUNTER, st.integers(0, 1000), COUNTER)
def test_the_engine_s_bits_are_the_twin_s(seed, epoch, batch, layer, unit):
    bits = chance.bits(chance.key(seed, epoch, batch, layer), np.uint64(unit))
    assert int(bits) == naive.counter_hash(seed, epoch, batch, layer, unit)


@pytest.mark.parametrize("fraction", [0.0, 2.0**-33, 2.0**-32, 0.3, 0.5, 0.8, 1 - 2.0**-32])
def test_thresholds(fraction):
    assert int(chance.threshold(fraction)) == round(fraction * 2**32)


def test_a_unit_is_kept_iff_its_bits_reach_the_threshold():
    key, units = chance.key(1, 2, 3, 4), 500
    bits = np.array([naive.counter_hash(1, 2, 3, 4, u) for u in range(units)], np.uint64)
    for limit in (np.uint64(0), bits[7], bits[7] + np.uint64(1), np.uint64(2**32)):
        kept = np.full(units, 7, np.uint8)
        chance.kept_units(kept, key, limit, 0, 0, units)
        np.testing.assert_array_equal(kept, bits >= limit)
    part = np.full(units, 7, np.uint8)
    chance.kept_units(part, key, bits[7], 40, 100, 200)
    np.testing.assert_array_equal(part[100:200], bits[140:240] >= bits[7])
    assert (part[:100] == 7).all() and (part[200:] == 7).all()


def masks(drop, *, seed=5, epoch=0, batch=0, fraction=".5", before="", images=3, units=40):
    """What the engine keeps, read off what the units of a drop layer above an image of ones carry."""
    net = netsim.Network(f"{before}drop {fraction}; full 4; output", (1, units, 1), 3, seed=1)
    net["full1"].W = np.zeros((units, 4), np.float32)  # so that no unit of it is saturated
    trainer = netsim.Trainer(net, drop=drop, seed=seed)
    trainer.epoch, trainer.batch = epoch, batch
    kept = np.empty((images, units), bool)
    for b in range(images):  # one image of ones at a time: the rows of full1's increment are its kept units
        pixels, labels = np.zeros((images, 1, units, 1), np.float32), np.zeros(images, int)
        pixels[b] = 1.0
        increments, _ = trainer.increments(pixels, labels)
        kept[b] = np.any(increments["full1"] != 0, axis=1)
    return kept


@pytest.mark.parametrize("drop", ["sample", "batch"])
def test_every_unit_of_every_image_has_the_bit_that_the_definition_gives(drop):
    for options in (
        {},
        dict(seed=2**63 - 11),
        dict(epoch=3, batch=70_001),
        dict(fraction=".8"),
        dict(before="drop 0; "),
        dict(fraction="0"),
    ):
        position = 1 if "before" in options else 0
        threshold = round(float(options.get("fraction", ".5")) * 2**32)
        kept = masks(drop, **options)
        for b, u in np.ndindex(*kept.shape):
            counter = (b if drop == "sample" else 0) * kept.shape[1] + u
            words = options.get("seed", 5), options.get("epoch", 0), options.get("batch", 0), position
            assert kept[b, u] == (naive.counter_hash(*words, counter) >= threshold), (options, b, u)
        assert kept.all() if threshold == 0 else 0 < kept.mean() < 1


def test_each_counter_changes_the_mask():
    first = masks("sample")
    for other in (dict(seed=6), dict(epoch=1), dict(batch=1), dict(before="drop 0; ")):
        assert np.any(masks("sample", **other) != first), other
    assert np.any(first[0] != first[1])
    np.testing.assert_array_equal(masks("sample"), first)


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.8])
def test_shares_and_independence(fraction):
    """Shares within 5 standard deviations; neighbors, layers, batches, seeds uncorrelated within 5 more."""
    units = 200_000
    limit = chance.threshold(fraction)

    def kept(*words):
        result = np.empty(units, np.uint8)
        chance.kept_units(result, chance.key(*words), limit, 0, 0, units)
        return result.astype(float)

    first = kept(0, 0, 0, 0)
    spread = np.sqrt(fraction * (1 - fraction) / units)
    assert abs(first.mean() - (1 - fraction)) < 5 * spread
    others = [kept(1, 0, 0, 0), kept(0, 1, 0, 0), kept(0, 0, 1, 0), kept(0, 0, 0, 1)]
    others += [np.roll(first, shift) for shift in (1, 2, 7, 32, 500)]
    for other in others:
        assert abs(other.mean() - (1 - fraction)) < 5 * spread
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / np.sqrt(units)


def test_counters_in_another_order_make_other_keys():
    keys = {int(chance.key(*words)) for words in [(1, 2, 3, 4), (2, 1, 3, 4), (1, 3, 2, 4), (1, 2, 4, 3)]}
    assert len(keys) == 4
    assert int(chance.key(-1, 0, 0, 0)) == int(chance.key(2**64 - 1, 0, 0, 0))
