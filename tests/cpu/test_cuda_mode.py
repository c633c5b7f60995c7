"""What megatron-core writes as "cuda" lands on the CPU inside the mode, and nowhere else."""

import torch

from verl_medu1.cpu.megatron.cuda import cuda_is_cpu


def test_each_way_to_name_cuda() -> None:
    tensor = torch.arange(3.0)
    with cuda_is_cpu():
        moved = [
            tensor.cuda(),
            tensor.to("cuda"),
            tensor.to("cuda:0"),
            tensor.to(device="cuda"),
            tensor.to(torch.device("cuda"), torch.float64),
            torch.zeros(3, device="cuda"),
            torch.zeros(3, device=torch.device("cuda", 0)),
            torch.tensor([1.0], device="cuda"),
            torch.zeros(3, pin_memory=True),
        ]
        assert tensor.type() == "torch.cuda.FloatTensor"
        assert tensor.to(torch.float64).dtype == torch.float64
        assert tensor.type(torch.float64).dtype == torch.float64
    assert all(each.device.type == "cpu" for each in moved)
    assert moved[4].dtype == torch.float64
    assert tensor.type() == "torch.FloatTensor"


def test_nested_uses_leave_together() -> None:
    with cuda_is_cpu():
        with cuda_is_cpu():
            assert torch.zeros(1, device="cuda").device.type == "cpu"
        assert torch.zeros(1, device="cuda").device.type == "cpu"
    assert torch.zeros(1).type() == "torch.FloatTensor"
