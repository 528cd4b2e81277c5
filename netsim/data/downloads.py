"""Downloads of the official files, with their published checksums."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netsim.data.refusal import finding, printable
from netsim.errors import DataError

_TIMEOUT = 30
"""Seconds without an answer after which a download is given up."""
Advance = Callable[[str, int, int], None]
"""Told the file's name, the bytes so far and the bytes in all (0: unknown)."""


@dataclass(frozen=True, slots=True)
class Download:
    """One official file: its address, published MD5 checksum, and path below the data folder."""

    url: str
    md5: str
    path: str

    def advice(self, folder: Path) -> str:
        """Address, checksum and the place in a data folder, as an error message tells them."""
        return f"{self.url} (md5 {self.md5}) at {printable(folder / self.path)}"


_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


def _from_toronto(name: str, md5: str) -> Download:
    return Download(f"{_TORONTO}{name}", md5, name)


def _idx(address: str, folder: str, *md5: str) -> tuple[Download, ...]:
    from netsim.data.idx import FILES

    return tuple(
        Download(f"{address}{name}.gz", sum_, f"{folder}/{name}.gz") for name, sum_ in zip(FILES, md5, strict=True)
    )


# The checksums that the authors publish: CIFAR on its page, Fashion-MNIST in its README; for MNIST those of
# torchvision, whose mirror has LeCun's files.
DOWNLOADS: dict[str, dict[str, tuple[Download, ...]]] = {
    "cifar10": {
        "binary": (_from_toronto("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
        "python": (_from_toronto("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
    },
    "cifar100": {
        "binary": (_from_toronto("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
        "python": (_from_toronto("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),),
    },
    "mnist": {
        "idx": _idx(
            _MNIST, "mnist",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    },
    "fashion-mnist": {
        "idx": _idx(
            _FASHION, "fashion-mnist",
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    },
}  # fmt: skip
"""By data set and layout; the first layout is fetched when none is named."""


def fetch_file(download: Download, folder: Path, advance: Advance = lambda name, done, total: None) -> Path:
    """Download one file into ``folder`` unless it stands there with the right checksum; its path.

    The file is written aside and renamed when its checksum is right, so a broken download leaves nothing
    behind, nor a folder that was made for it. Raises `DataError` with the address, the checksum and where to put the
    file by hand.
    """
    target = folder / download.path
    made = [place for place in target.parents if not os.path.lexists(place)]
    try:
        _retrieve(download, folder, advance)
    except BaseException:
        for place in made:
            with contextlib.suppress(OSError):  # not made after all, or no longer empty
                place.rmdir()
        raise
    return target


def _retrieve(download: Download, folder: Path, advance: Advance) -> None:
    import pooch
    import requests

    target = folder / download.path
    meter = _Meter(target.name, advance)
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                download.url, f"md5:{download.md5}", fname=target.name, path=target.parent,
                downloader=pooch.HTTPDownloader(progressbar=meter, chunk_size=1 << 17, timeout=_TIMEOUT),
            )  # fmt: skip
    except requests.HTTPError as error:
        answer = error.response
        raise _failed(download, folder, f"the server answers {answer.status_code} {answer.reason}") from None
    except requests.Timeout:
        raise _failed(download, folder, f"no answer in {_TIMEOUT} s") from None
    except requests.RequestException as error:
        raise _failed(download, folder, f"no connection ({type(error).__name__})") from None
    except ValueError:
        raise _failed(download, folder, "what came has another checksum") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{target}: {finding(reason)}; expected a folder that can be written") from None


def _failed(download: Download, folder: Path, why: str) -> DataError:
    return DataError(f"{finding(why)}; to do it by hand, put {download.advice(folder)}")


class _Meter:
    """What pooch calls as a progress bar."""

    def __init__(self, name: str, advance: Advance) -> None:
        self.name, self.advance, self.total, self.done = name, advance, 0, 0

    def update(self, count: int) -> None:
        self.done = min(self.done + count, self.total) if self.total else self.done + count
        self.advance(self.name, self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing to close: whoever shows the progress owns its display."""


@contextlib.contextmanager
def _quiet(logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
