"""Log-probabilities in one call are those of verl's loop."""

import pytest
import torch

import verl_medu1.plugin  # noqa: F401  (replaces the loop)
from verl_medu1.verl_compat.log_probs import log_probs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (2, 3)])
def test_they_and_their_gradients_are_those_of_a_loop_over_tokens(dtype, shape):
    torch.manual_seed(0)
    labels = torch.randint(50, shape)
    one = (5 * torch.randn(*shape, 50)).to(dtype).requires_grad_()
    loop = one.detach().clone().requires_grad_()
    rows = zip(loop.reshape(-1, 50), labels.reshape(-1), strict=True)
    expected = torch.stack([torch.log_softmax(row, -1)[label] for row, label in rows]).view(shape)
    found = log_probs(one, labels)
    assert found.shape == labels.shape and found.dtype == dtype
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(one.grad, loop.grad)


def test_verl_takes_them():
    from verl.utils import torch_functional

    assert torch_functional.logprobs_from_logits_v2 is log_probs
