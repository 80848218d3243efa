"""`file.process` touches no file out of its folder, and leaves whole files alone."""

import gzip
import hashlib
from pathlib import Path

import fsspec
import pytest
from sdk.contexts import make_context

from millstream import Context, Dead, Discard
from millstream.handlers import FileTask, ReportSettings, Shared, SmtpSettings, process_file
from millstream.handlers.files.file_places import FilePlace, FilePlaces
from millstream.handlers.mailer import Mailer

CONTENT = b"line\n" * 300_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of files, with one in it, beside one that no job may touch."""
    root = tmp_path / "files"
    root.mkdir()
    (root / "a.txt").write_bytes(CONTENT)
    (tmp_path / "secret").write_text("secret")
    return root


@pytest.fixture
def ctx(root: Path) -> Context:
    """Return the context of a worker that may use this folder, and the memory of fsspec."""
    state = Shared(Mailer(SmtpSettings()), ReportSettings(), files=FilePlaces(str(root), ("memory",)))
    return make_context("file.process", state)


def names(folder: Path) -> list[str]:
    """Return all files of a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_copy_is_whole_and_described(root: Path, ctx: Context) -> None:
    """A copy makes the folders that it needs, and the result tells what was read and written."""
    done = process_file(FileTask(action="copy", source="a.txt", target="b/c.txt"), ctx)
    assert (root / "b" / "c.txt").read_bytes() == CONTENT
    assert done.source_sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (done.source_bytes, done.target_bytes, done.target) == (len(CONTENT), len(CONTENT), "b/c.txt")
    assert names(root) == ["a.txt", "b/c.txt"]


def test_gzip_and_gunzip_give_the_file_back(root: Path, ctx: Context) -> None:
    """What was compressed is decompressed to the same bytes, and the same source gives the same archive."""
    for name in ("a.gz", "again.gz"):
        process_file(FileTask(action="gzip", source="a.txt", target=name), ctx)
    assert (root / "a.gz").read_bytes() == (root / "again.gz").read_bytes()
    assert gzip.decompress((root / "a.gz").read_bytes()) == CONTENT
    done = process_file(FileTask(action="gunzip", source="a.gz", target="back.txt"), ctx)
    assert (root / "back.txt").read_bytes() == CONTENT
    assert done.target_bytes == len(CONTENT)


def test_checksum_reads_and_writes_nothing(root: Path, ctx: Context) -> None:
    """A checksum is what the source has, and no file is written."""
    done = process_file(FileTask(action="checksum", source="file://a.txt"), ctx)
    assert (done.source_sha256, done.target) == (hashlib.sha256(CONTENT).hexdigest(), None)
    assert names(root) == ["a.txt"]


@pytest.mark.parametrize("path", ["../secret", "b/../../secret", "file://../secret", "link", "", ".", "/", "a\0b"])
def test_path_that_leads_out_of_the_folder_is_refused(root: Path, ctx: Context, path: str) -> None:
    """No path leads out of the folder, by dots, by a link or as a URL, neither to read nor to write."""
    (root / "link").symlink_to(root.parent / "secret")
    for task in (
        FileTask(action="checksum", source=path),
        FileTask(action="copy", source="a.txt", target=path),
    ):
        with pytest.raises(Dead):
            process_file(task, ctx)
    assert (root.parent / "secret").read_text() == "secret"
    assert names(root.parent) == ["files/a.txt", "files/link", "secret"]


def test_absolute_path_begins_at_the_folder(ctx: Context) -> None:
    """A path that begins with a slash is one below the folder."""
    assert process_file(FileTask(action="checksum", source="/a.txt"), ctx).source_bytes == len(CONTENT)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "s3://bucket/key", "zip::memory://a", "memory::file://x", "sftp://h/x"]
)
def test_protocol_that_is_not_allowed_is_refused(ctx: Context, url: str) -> None:
    """Only the protocols of the settings are used, also not behind one another."""
    with pytest.raises(Dead, match="not allowed here"):
        process_file(FileTask(action="checksum", source=url), ctx)


def test_object_store_gets_the_file_when_it_is_whole(ctx: Context) -> None:
    """A file goes to an object store and comes back."""
    process_file(FileTask(action="gzip", source="a.txt", target="memory://bucket/a.gz"), ctx)
    assert gzip.decompress(fsspec.filesystem("memory").cat("/bucket/a.gz")) == CONTENT
    done = process_file(FileTask(action="gunzip", source="memory://bucket/a.gz", target="c.txt"), ctx)
    assert done.target_bytes == len(CONTENT)


class Stores(FilePlaces):
    """Files of which the store keeps what is committed: those of a folder, as a store of objects has them."""

    def find(self, url: str) -> FilePlace:
        """Return the place of a URL."""
        place = super().find(url.removeprefix("store://"))
        return FilePlace(place.filesystem, place.path, is_local=not url.startswith("store://"))


def test_object_store_gets_nothing_when_the_source_is_wrong(root: Path) -> None:
    """What fails on the way leaves no object behind, and what does not is there."""
    ctx = make_context("file.process", Shared(Mailer(SmtpSettings()), ReportSettings(), files=Stores(str(root))))
    with pytest.raises(Dead, match="SHA-256"):
        process_file(FileTask(action="copy", source="a.txt", target="store://wrong", sha256="0" * 64), ctx)
    process_file(FileTask(action="copy", source="a.txt", target="store://right"), ctx)
    assert names(root) == ["a.txt", "right"]


def test_wrong_source_leaves_the_target_as_it_was(root: Path, ctx: Context) -> None:
    """A source that is not what was asked for, is no archive or is missing changes no file."""
    (root / "target").write_text("before")
    for task in (
        FileTask(action="copy", source="a.txt", target="target", sha256="0" * 64),
        FileTask(action="gunzip", source="a.txt", target="target"),
        FileTask(action="copy", source="missing", target="target"),
        FileTask(action="copy", source="a.txt"),
        FileTask(action="checksum", source="a.txt", target="target"),
    ):
        with pytest.raises(Dead):
            process_file(task, ctx)
    assert (root / "target").read_text() == "before"
    assert names(root) == ["a.txt", "target"]


def test_cancelled_job_leaves_no_file(root: Path, ctx: Context) -> None:
    """A job that is cancelled in the middle leaves nothing behind."""
    ctx.cancelled = True
    with pytest.raises(Discard):
        process_file(FileTask(action="copy", source="a.txt", target="b.txt"), ctx)
    assert names(root) == ["a.txt"]
