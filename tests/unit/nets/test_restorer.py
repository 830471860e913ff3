"""Restorers: shapes, what they start as, sizes, and that clean pixels stay when there is no ink."""

import pytest
import torch
from torch import nn

from lineament.nets import RESTORERS


@pytest.mark.parametrize("name", sorted(RESTORERS))
@pytest.mark.parametrize("with_mask", [False, True])
def test_a_fresh_restorer_gives_the_picture_back(name: str, with_mask: bool) -> None:
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 48, 80)
    restored, logit, mesh = RESTORERS[name](8, with_mask, False).eval()(pictures)
    assert mesh is None
    assert restored.shape == pictures.shape
    assert logit.shape == (2, 1, 48, 80)
    # Its last layer begins at zero, but for a bias below 1 / sqrt(9 * 8).
    assert (restored - pictures).abs().max() < 0.12


def test_where_no_ink_is_thought_to_be_pixels_stay() -> None:
    restorer = RESTORERS["unet"](8, True, False).eval()
    nn.init.normal_(restorer.residual.weight)
    nn.init.zeros_(restorer.mask.weight)
    nn.init.constant_(restorer.mask.bias, -30.0)
    pictures = torch.rand(1, 3, 32, 32)
    restored, logit, _ = restorer(pictures)
    assert (logit < -29).all()
    assert torch.allclose(restored, pictures, atol=1e-6)


def test_the_size_of_the_picture_does_not_matter_to_plain_blocks_far_from_its_border() -> None:
    torch.manual_seed(1)
    restorer = RESTORERS["unet"](8, True, False).double().eval()
    nn.init.normal_(restorer.residual.weight, std=0.1)
    wide = torch.rand(1, 3, 256, 256, dtype=torch.float64)
    inside, *_ = restorer(wide[..., 64:192, 64:192])
    whole, *_ = restorer(wide)
    assert torch.allclose(inside[..., 60:68, 60:68], whole[..., 124:132, 124:132], atol=1e-9)


@pytest.mark.parametrize("name", sorted(RESTORERS))
def test_restorers_are_small(name: str) -> None:
    parameters = sum(p.numel() for p in RESTORERS[name](24, True, True).parameters())
    assert 4 * parameters <= 6e6  # bytes in f32, the bound for a file
