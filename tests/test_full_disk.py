"""Which errors tell a full disk, one of them a real one."""

import errno
import os
from types import SimpleNamespace

import pytest

from verl_medu1.full_disk import full_disk


def test_a_device_that_takes_nothing_more_is_told_with_its_folder(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as raised, open("/dev/full", "w") as file:
        file.write("text")
    sentence = full_disk(raised.value, (tmp_path, tmp_path / "missing"))
    assert sentence.startswith(f"the disk of {tmp_path} is full (") and sentence.endswith(" MiB free)")


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
