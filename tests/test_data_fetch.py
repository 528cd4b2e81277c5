"""Downloads: checksum, progress, and one line when they fail. A web server on this machine stands for the network."""

from __future__ import annotations

import gc
import hashlib
import http.server
import threading

import pytest
from data_files import cifar_archive, cifar_content, small_layout, write_cifar, write_idx

from netsim import data
from netsim.data import downloads, places, registry
from netsim.data.downloads import DOWNLOADS, Download, fetch_file
from netsim.errors import DataError, OptionError, UnknownNameError

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch):
    """Address of a server that gives CONTENT for /file, cuts it off for /short, and answers 404 otherwise."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(http.server.BaseHTTPRequestHandler):
        requests = 0

        def do_GET(self):
            type(self).requests += 1
            if self.path not in ("/file", "/short"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/file" else CONTENT[:1000])

        def log_message(self, *_):
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        httpd.handler = Handler
        httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}"
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("NETSIM_DATA", str(tmp_path / "default"))
    monkeypatch.setattr(places, "_INSTALLED", tmp_path / "installed")


def download(server, path="/file", content=CONTENT):
    return Download(f"{server.url}{path}", hashlib.md5(content).hexdigest(), "sub/archive.bin")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once_with_progress(server, tmp_path):
    told = []
    path = fetch_file(download(server), tmp_path, lambda *state: told.append(state))
    assert path == tmp_path / "sub" / "archive.bin" and path.read_bytes() == CONTENT
    assert told[0][0] == "archive.bin" and told[-1][1:] == (len(CONTENT), len(CONTENT))
    assert 0 < told[0][1] < len(CONTENT) and len(told) > 2
    fetch_file(download(server), tmp_path)
    assert server.handler.requests == 1
    assert files(tmp_path) == ["sub/archive.bin"]


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    path = fetch_file(download(server), tmp_path)
    path.write_bytes(b"damaged")
    fetch_file(download(server), tmp_path)
    assert path.read_bytes() == CONTENT and server.handler.requests == 2


# pooch leaves the answer open when it is cut short; collected here, so that no later test is blamed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("path", "content", "mention"),
    [
        ("/file", b"other", "another checksum"),
        ("/none", CONTENT, "404 Not Found"),
        ("/short", CONTENT, "no connection"),
    ],
)
def test_a_failed_download_is_told_on_one_line_and_leaves_nothing(server, path, content, mention, tmp_path):
    item = download(server, path, content)
    with pytest.raises(DataError, match=mention) as caught:
        fetch_file(item, tmp_path)
    message = str(caught.value)
    assert message.isprintable()
    assert item.url in message and item.md5 in message and str(tmp_path / item.path) in message
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "sub").mkdir()
    with pytest.raises(DataError):
        fetch_file(item, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]  # a folder that stood there stays
    del caught
    gc.collect()


def test_no_server_and_no_answer(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT", 0.2)
    with pytest.raises(DataError, match="no connection"):
        fetch_file(Download("http://127.0.0.1:9/x", "0" * 32, "x"), tmp_path)
    monkeypatch.setattr(server.handler, "do_GET", lambda handler: threading.Event().wait(1))
    with pytest.raises(DataError, match=r"no answer in 0\.2 s"):
        fetch_file(download(server), tmp_path)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "sub").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="expected a folder that can be written") as caught:
        fetch_file(download(server), tmp_path)
    assert str(caught.value).isprintable()


def test_the_published_downloads():
    """CIFAR's page gives these checksums, Fashion-MNIST's README and torchvision those of the IDX files."""
    every = [item for layouts in DOWNLOADS.values() for items in layouts.values() for item in items]
    assert len(every) == 12 and len({item.md5 for item in every}) == 12
    assert all(len(item.md5) == 32 and set(item.md5) <= set("0123456789abcdef") for item in every)
    assert all(item.url.rsplit("/", 1)[1] == item.path.rsplit("/", 1)[-1] for item in every)
    assert set(DOWNLOADS) == set(data.known()) - {"digits"}
    for name in DOWNLOADS:
        layouts = data.describe(name).layouts
        archives = {layout.archive for layout in layouts if layout.archive}
        folders = {layout.folders[0] for layout in layouts if not layout.archive}
        for items in DOWNLOADS[name].values():
            assert all(item.path in archives or item.path.split("/")[0] in folders for item in items)


@pytest.fixture
def asked(monkeypatch):
    """The files that `data.fetch` would download, in place of downloading them."""
    wanted = []
    monkeypatch.setattr(registry, "fetch_file", lambda item, folder, advance: wanted.append(item) or folder / item.path)
    return wanted


def test_fetch_by_name(asked, tmp_path):
    assert data.fetch("cifar10") == tmp_path / "default" / "cifar-10-binary.tar.gz"
    assert data.fetch("cifar100", tmp_path, "python") == tmp_path / "cifar-100-python.tar.gz"
    assert data.fetch("mnist", tmp_path / "new") == tmp_path / "new" / "mnist"
    assert [item.md5[:4] for item in asked] == ["c32a", "eb90", "f68b", "d53e", "9fb6", "ec29"]


def test_what_stands_there_is_not_fetched(asked, tmp_path):
    write_cifar(tmp_path, small_layout(), cifar_content(small_layout()))
    assert data.fetch("cifar10", tmp_path) == tmp_path / "cifar-10-batches-bin"
    write_idx(tmp_path / "installed" / "fashion-mnist")
    assert data.fetch("fashion-mnist") == tmp_path / "installed" / "fashion-mnist"
    assert data.fetch("digits").name == "digits.csv.gz"
    assert asked == []


def test_what_stands_there_in_part_is_fetched(asked, tmp_path):
    folder = write_cifar(tmp_path, small_layout(), cifar_content(small_layout()))
    (folder / "data_batch_4.bin").unlink()
    assert data.fetch("cifar10", tmp_path) == tmp_path / "cifar-10-binary.tar.gz"
    write_idx(tmp_path / "MNIST" / "raw", packed=False)
    assert data.fetch("mnist", tmp_path) == tmp_path / "MNIST" / "raw"
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    assert data.fetch("mnist", tmp_path) == tmp_path / "mnist"
    assert len(asked) == 5


def test_what_was_fetched_is_compared_again(asked, tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(cifar_archive(small_layout(), cifar_content(small_layout())))
    data.fetch("cifar10", tmp_path)
    write_idx(tmp_path / "mnist")
    data.fetch("mnist", tmp_path)
    assert len(asked) == 5


def test_fetch_refuses_other_names_and_layouts(asked):
    with pytest.raises(UnknownNameError, match="did you mean 'cifar100'"):
        data.fetch("cifar-100")
    with pytest.raises(OptionError, match="did you mean 'binary'"):
        data.fetch("cifar10", layout="binari")
    with pytest.raises(OptionError, match="layout 'binary'"):
        data.fetch("digits", layout="binary")
    with pytest.raises(OptionError, match="cannot be fetched"):
        data.fetch("npz:x.npz")
    assert asked == []
