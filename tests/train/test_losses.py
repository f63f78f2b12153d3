"""Losses against figures made by hand."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch

from edgeunet.train.crops import VOID
from edgeunet.train.losses import (
    JointLoss,
    class_weights,
    flicker_loss,
    fused_loss,
    image_loss,
    label_loss,
    noisy_target_loss,
)
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


def best_answer(kind: str, targets: torch.Tensor, *, noisy: bool) -> float:
    """Return the grey that makes the mean loss to all targets smallest, by search."""
    loss = noisy_target_loss if noisy else image_loss
    greys = torch.linspace(0, 1, 201)
    found = [
        torch.stack([loss(torch.full_like(t, float(g)), t, kind) for t in targets]).mean()
        for g in greys
    ]
    return float(greys[int(torch.stack(found).argmin())])


@pytest.mark.parametrize("kind", ["l1", "charbonnier", "psnr"])
def test_noisy_targets_are_answered_by_their_mean(kind: str) -> None:
    # Skewed, as noise in the dark: its median is 0.07, its mean 0.1.
    generator = torch.Generator().manual_seed(0)
    targets = torch.empty(8, 1, 3, 64, 64).exponential_(10, generator=generator).clamp(0, 1)
    assert best_answer(kind, targets, noisy=True) == pytest.approx(0.1, abs=0.006)
    if kind != "psnr":
        assert best_answer(kind, targets, noisy=False) == pytest.approx(0.07, abs=0.006)


def test_only_crops_with_noisy_targets_get_their_loss() -> None:
    recipe = toy_recipe()
    assert recipe.train is not None
    loss_of = JointLoss(recipe, recipe.train, [], torch.device("cpu"))
    image, clean = torch.rand(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    void = torch.full((4,), VOID)

    def loss(*noisy: bool) -> float:
        flags = torch.tensor(noisy)
        return float(loss_of({"denoised": image}, clean, void, void, flags)[0])

    plain = image_loss(image[:1], clean[:1], "l1")
    assert loss(False, False, False, False) == pytest.approx(
        float(loss_of({"denoised": image}, clean, void, void)[0])
    )
    squares = noisy_target_loss(image[1:], clean[1:], "l1")
    assert loss(False, True, True, True) == pytest.approx(float(plain + 3 * squares) / 4)
    assert loss(True, True, True, True) == pytest.approx(
        float(noisy_target_loss(image, clean, "l1"))
    )


def test_both_kinds_of_crops_have_gradients_of_one_size() -> None:
    generator = torch.Generator().manual_seed(2)
    clean = torch.rand(1, 3, 32, 32, generator=generator)
    norms = []
    for loss in (image_loss, noisy_target_loss):
        image = (clean + 0.05 * torch.randn(clean.shape, generator=generator)).requires_grad_()
        torch.autograd.backward(loss(image, clean, "l1"))
        assert image.grad is not None
        norms.append(float(image.grad.norm()))
    assert norms[0] == pytest.approx(norms[1], rel=0.01)


def test_a_trail_of_a_fused_frame_counts_more_than_noise_of_its_size() -> None:
    clean = torch.zeros(2, 3, 16, 16)
    trail = torch.full_like(clean, 0.1)
    checks = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    noise = 0.1 * (2.0 * checks - 1).expand_as(clean)
    assert float(fused_loss(clean, clean)) < 2e-3
    assert float(fused_loss(noise, clean)) == pytest.approx(0.1, rel=1e-3)
    assert float(fused_loss(trail, clean)) == pytest.approx(0.1 * 5**0.5, rel=1e-3)


def test_flicker_is_what_changes_beyond_the_scene() -> None:
    clean = torch.rand(6, 3, 4, 4)
    steady = clean + torch.tensor([0.3, 0.3, 0.3, -0.1, -0.1, -0.1])[:, None, None, None]
    assert float(flicker_loss(steady, clean, 3)) == pytest.approx(0.0, abs=1e-6)
    changing = clean + torch.tensor([0.1, 0.3, 0.3, 0.0, 0.0, 0.2])[:, None, None, None]
    assert float(flicker_loss(changing, clean, 3)) == pytest.approx(0.1)
