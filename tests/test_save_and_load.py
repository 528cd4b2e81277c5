"""Networks on disk and as dicts of arrays: what comes back is what was there, to the bit."""

import json
import os
import threading

import numpy as np
import pytest
from test_network_interface import CLASSES, assert_same_state, batch, copies, network

import netsim
from netsim import errors


@pytest.mark.parametrize("options", [
    {}, dict(connectivity=0.5, slope=0.5), dict(connectivity=0.3, thin_output=True), dict(symmetric=True, seed=9),
], ids=str)  # fmt: skip
def test_save_and_load(tmp_path, options):
    net, (images, labels) = network(**options), batch()
    netsim.Trainer(net).step(images, labels)
    net.save(tmp_path / "net.safetensors")
    loaded = netsim.load(tmp_path / "net.safetensors")
    assert_same_state(net, loaded)
    for what in ("architecture", "specs", "input_shape", "classes", "seed", "options"):
        assert getattr(loaded, what) == getattr(net, what)
    np.testing.assert_array_equal(loaded.scores(images), net.scores(images))
    # and it learns on as the saved one does
    results = [netsim.Trainer(n).step(images, labels) for n in (net, loaded)]
    assert results[0] == results[1]
    assert_same_state(net, loaded)
    assert netsim.load(str(tmp_path / "net.safetensors")).classes == CLASSES


def test_the_file_is_plain_safetensors_with_a_description(tmp_path):
    from safetensors import safe_open

    net = network(connectivity=0.5)
    net.save(tmp_path / "net.safetensors")
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        text = json.dumps(file.metadata())
    assert stored.keys() == net.state().keys() and stored["conv1.W_mask"].dtype == np.uint8
    np.testing.assert_array_equal(stored["full1.R"], net["full1"].R)
    assert "untied 3 2x2" in text


def test_state_and_restore():
    net, other = network(connectivity=0.5), network(seed=4)
    state = net.state()
    kept = copies(state)
    netsim.Trainer(net).step(*batch())
    for name, array in state.items():
        np.testing.assert_array_equal(array, kept[name], err_msg="state() is a copy")
    other.restore(state)
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, kept[name])
    assert other["output"].W_mask is None and other["conv1"].W_mask.dtype == bool


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "no description", "other shape", "folder"])
def test_a_file_that_cannot_be_loaded(tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    path, net = tmp_path / "net.safetensors", network()
    net.save(path)
    whole = path.read_bytes()
    if damage == "missing":
        path = tmp_path / "nothing.safetensors"
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        path.write_text("conv 4 3x3")
    elif damage == "no description":
        save_file(load_file(path), path)
    elif damage == "other shape":
        path.write_bytes(whole.replace(b"conv 4 3x3", b"conv 8 3x3"))
        assert path.read_bytes() != whole
    elif damage == "folder":
        path = tmp_path
    with pytest.raises(errors.DataError) as caught:
        netsim.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).count(str(path)) == 1  # told once, by us


def test_every_flipped_byte_is_found(tmp_path):
    net = netsim.Network("full 2; output", (2, 2, 1), 2)
    net.save(tmp_path / "net.safetensors")
    whole = (tmp_path / "net.safetensors").read_bytes()
    unnoticed, refused = [], 0
    for at in range(len(whole)):
        for bit in (1, 0x20):
            (tmp_path / "net.safetensors").write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            try:
                found = netsim.load(tmp_path / "net.safetensors")
            except errors.DataError as error:
                assert "\n" not in str(error)
                refused += 1
            else:  # a blank of the header's padding: nothing that is read
                assert_same_state(net, found)
                assert found.description() == net.description()
                unnoticed.append(at)
    assert refused > 2 * len(whole) - 16 and len(unnoticed) < 16


def test_a_flipped_weight_of_a_checkpoint_is_found(tmp_path):
    from netsim.runs.checkpoints import Checkpoint

    net = network()
    content = Checkpoint(net.state(), {"epoch": 1}, "", net.description()).to_bytes()
    (tmp_path / "last.safetensors").write_bytes(content)
    assert_same_state(netsim.load(tmp_path / "last.safetensors"), net)
    (tmp_path / "last.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(errors.DataError, match="does not have the checksum written in it"):
        netsim.load(tmp_path / "last.safetensors")


def test_a_file_of_before_checksums_is_read(tmp_path):
    from safetensors.numpy import save_file

    net = network()
    save_file(net.state(), tmp_path / "old.safetensors", {"netsim": json.dumps(net.description())})
    assert_same_state(netsim.load(tmp_path / "old.safetensors"), net)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(errors.DataError, match="nowhere"):
        network().save(tmp_path / "nowhere" / "net.safetensors")


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize("permissions", [0o600, 0o664, 0o644, 0o444])
def test_permissions_are_kept(tmp_path, umask, permissions):
    net, path = netsim.Network("full 2; output", (2, 2, 1), 2), tmp_path / "net.safetensors"
    net.save(path)
    assert path.stat().st_mode & 0o777 == 0o640  # what the umask leaves
    path.chmod(permissions)
    net.save(path)
    assert path.stat().st_mode & 0o777 == permissions


def test_threads_that_save_to_one_path(tmp_path):
    """Each writes a whole file, and the last one counts."""
    path, failed, shared = tmp_path / "net.safetensors", [], threading.Barrier(4)
    nets = [netsim.Network("full 100; output", (8, 8, 1), 4, seed=seed) for seed in range(4)]

    def save(net):
        try:
            shared.wait(10)
            for _ in range(25):
                net.save(path)
                found = netsim.load(path)
                assert_same_state(nets[found.seed], found)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(net,)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert os.listdir(tmp_path) == ["net.safetensors"]
