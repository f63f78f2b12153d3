"""Blocks compute the same in training and in use."""

from __future__ import annotations

import copy

import torch

from edgeunet.models.blocks import LayerNorm2d


def test_layer_norm_is_the_same_in_training_and_in_use() -> None:
    torch.manual_seed(0)
    norm = LayerNorm2d(12)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    image = (10 * torch.randn(2, 12, 9, 7) + 3).requires_grad_()
    answers = [module(image) for module in (norm.train(), copy.deepcopy(norm).eval())]
    torch.testing.assert_close(answers[0], answers[1], atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(answer.square().sum(), image)[0] for answer in answers]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-4)
    assert answers[0].std() > 0.1
