"""Which errors tell a full disk, one of them a real one."""

import errno
import os
from types import SimpleNamespace

import pytest

from verl_medu1.run.full_disk import full_disk


def test_a_device_that_takes_nothing_more_is_told_with_its_folder(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as raised, open("/dev/full", "w") as file:
        file.write("text")
    # Which file it was the error does not say, and the folder's own disk has room.
    sentence = full_disk(raised.value, (tmp_path, tmp_path / "missing"))
    assert sentence.startswith(f"a disk is full, that of {tmp_path} or another one")


def test_the_disk_of_the_file_that_the_error_names(tmp_path, monkeypatch):
    free = {tmp_path: 2**30, tmp_path / "small": 2**20}
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[folder]))
    (tmp_path / "small").mkdir()
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "small" / "missing" / "file"))
    for one in (error, RuntimeError(f"ray::WorkerDict ...\n{error!r}\n{error}")):
        assert full_disk(one, (tmp_path,)) == f"the disk of {tmp_path}/small is full (1 MiB free)"


def test_a_quota_is_called_one(tmp_path):
    error = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(tmp_path / "file"))
    assert full_disk(error, (tmp_path,)) == f"your quota on the disk of {tmp_path} is used up"


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file"), True),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), True),
        (RuntimeError("ray::WorkerDict ...\nSafetensorError: I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("[enforce fail at inline_container.cc:859] . PytorchStreamWriter failed writing file x"), True),
        (RuntimeError("Worker failure: [enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), True),
        (RuntimeError("[enforce fail at inline_container.cc:176] . archive does not contain file x"), False),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), False),
        (ValueError("no space in the batch"), False),
    ],
)
def test_errors(tmp_path, error, full):
    assert (full_disk(error, (tmp_path,)) is not None) == full


@pytest.mark.parametrize(("saving", "free", "full"), [(True, 2**20, True), (True, 2**30, False), (False, 2**20, False)])
def test_a_save_that_failed_where_nothing_is_free(tmp_path, monkeypatch, saving, free, full):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    error = RuntimeError("CheckpointException ranks:dict_keys([])")
    assert (full_disk(error, (tmp_path,), saving) is not None) == full
