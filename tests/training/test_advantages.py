"""Advantages in verl's queue are read once, changed in order, and put back with the lengths of their responses."""

from types import SimpleNamespace

import torch
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from verl_medu1.training import advantages
from verl_medu1.training.advantages import change_advantages


def nested(rows):
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def test_several_changes_read_and_write_once(monkeypatch):
    held = {"response_mask": nested([[1, 0, 1], [1]]), "advantages": nested([[1.0, 1.0, 1.0], [2.0]])}
    calls = []

    def get(select_fields, **_):
        calls.append("get")
        return TensorDict({name: held[name] for name in select_fields}, batch_size=2)

    def put(fields, **_):
        calls.append("put")
        held.update(fields.items())

    monkeypatch.setattr(advantages, "tq", SimpleNamespace(kv_batch_get=get, kv_batch_put=put))
    batch = KVBatchMeta(keys=["a_0_0", "b_0_0"], tags=[{}, {}], partition_id="train")
    change_advantages(batch, [lambda base, mask: base + mask, lambda base, _: base * 10])
    assert calls == ["get", "put"]
    assert [row.tolist() for row in held["advantages"].unbind()] == [[20.0, 10.0, 20.0], [30.0]]
