"""What workers fetch of a batch while they are asked, and what the driver has of it afterwards."""

import pytest
from transfer_queue import KVBatchMeta

from verl_medu1.training.worker_fields import OF_THE_DRIVER, tensors_alone

TENSORS = ["input_ids", "position_ids", "response_mask", "advantages", "old_log_probs", "rollout_is_weights"]


def test_workers_fetch_every_tensor_and_no_text() -> None:
    fields = [*TENSORS, *OF_THE_DRIVER]
    batch = KVBatchMeta(keys=["a_0_0"], tags=[{}], fields=list(fields))
    with tensors_alone(batch):
        assert batch.fields == TENSORS
    assert batch.fields == fields


def test_the_driver_has_all_of_it_again_if_they_fail() -> None:
    batch = KVBatchMeta(keys=["a_0_0"], tags=[{}], fields=["uid", "input_ids"])
    with pytest.raises(OSError), tensors_alone(batch):
        raise OSError
    assert batch.fields == ["uid", "input_ids"]


def test_a_batch_that_names_no_fields_stays_as_it_is() -> None:
    batch = KVBatchMeta(keys=["a_0_0"], tags=[{}])
    with tensors_alone(batch):
        assert batch.fields is None
