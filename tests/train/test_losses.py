"""Losses against figures made by hand."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch

from edgeunet.train.crops import VOID
from edgeunet.train.losses import JointLoss, class_weights, image_loss, label_loss
from edgeunet.train.samples import Sample
from tests.train.toys import TABLE, labelled_samples, toy_recipe


def test_absolute_difference_and_its_smooth_form() -> None:
    clean = torch.zeros(1, 3, 2, 2)
    image = torch.full_like(clean, 0.5)
    image[0, 0] = -0.1
    assert float(image_loss(image, clean, "l1")) == pytest.approx((0.5 * 2 + 0.1) / 3)
    smooth = (2 * math.sqrt(0.25 + 1e-6) + math.sqrt(0.01 + 1e-6)) / 3
    assert float(image_loss(image, clean, "charbonnier")) == pytest.approx(smooth)
    assert float(image_loss(clean, clean, "charbonnier")) == pytest.approx(1e-3)


def test_cross_entropy_is_a_weighted_mean_over_what_has_a_class() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, -5.0], [9.0, 9.0]])
    truth = torch.tensor([0, 0, VOID, 2])  # 2 is no class: void as well
    weights = torch.tensor([3.0, 1.0])
    first, second = math.log(1 + math.exp(-2)), math.log(1 + math.exp(1))
    assert float(label_loss(logits, truth, weights)) == pytest.approx((first + second) / 2)
    truth = torch.tensor([0, 1, VOID, VOID])
    second = math.log(1 + math.exp(-1))
    expected = (3 * first + second) / 4
    assert float(label_loss(logits, truth, weights)) == pytest.approx(expected)


def test_nothing_but_void_is_no_loss_and_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = label_loss(logits, torch.full((2, 4, 4), 255), torch.ones(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_rare_classes_weigh_more() -> None:
    frequencies = np.array([0.4, 0.1, 0.0, 0.2])
    assert class_weights(frequencies, "median").tolist() == pytest.approx([0.5, 2, 1, 1])
    assert class_weights(frequencies, "sqrt-median").tolist() == pytest.approx(
        [math.sqrt(0.5), math.sqrt(2), 1, 1]
    )
    assert class_weights(frequencies, "none").tolist() == [1, 1, 1, 1]
    assert class_weights(np.zeros(2), "median").tolist() == [1, 1]


def test_the_joint_loss_is_the_weighted_sum() -> None:
    table = msgspec.structs.replace(TABLE, weights={"labels": 0.25})
    joint = JointLoss(toy_recipe("joint"), table, labelled_samples(), torch.device("cpu"))
    outputs = {"denoised": torch.rand(1, 3, 4, 4), "labels": torch.randn(1, 11, 4, 4)}
    clean, labels = torch.rand(1, 3, 4, 4), torch.randint(0, 11, (1, 4, 4))
    loss, losses = joint(outputs, clean, labels, torch.tensor([VOID]))
    assert list(losses) == ["denoised", "labels"]
    assert float(losses["denoised"]) == pytest.approx(
        float((outputs["denoised"] - clean).abs().mean())
    )
    assert float(loss) == pytest.approx(float(losses["denoised"]) + 0.25 * float(losses["labels"]))


def test_class_weights_come_from_the_samples() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    labels = np.array([[0, 0, 0, 0]] * 3 + [[1, 1, 1, 1]], np.uint8)
    # Shares 3/4 and 1/4, their median 1/2.
    table = msgspec.structs.replace(TABLE, class_weights="median")
    joint = JointLoss(toy_recipe("joint"), table, [Sample(image, labels)], torch.device("cpu"))
    logits = torch.randn(1, 11, 4, 4)
    truth = torch.from_numpy(labels.astype(np.int64))[None]
    outputs = {"denoised": torch.zeros(1, 3, 4, 4), "labels": logits}
    _, losses = joint(outputs, torch.zeros(1, 3, 4, 4), truth, torch.tensor([VOID]))
    weights = torch.tensor([2 / 3, 2.0, *[1.0] * 9])
    assert float(losses["labels"]) == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, truth, weight=weights))
    )
