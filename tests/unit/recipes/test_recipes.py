"""Every recipe asks for a head that can be made, and gives each weight the decay that it says."""

from pathlib import Path

import pytest
from torch import nn

from lineament.embedding.training.heads import build_head
from lineament.engine.optim import parameter_groups
from lineament.nets import build_backbone
from lineament.recipes import RECIPES

MADE = {name: recipe(Path("train.rec"), Path("held.rec")) for name, recipe in RECIPES.items()}


@pytest.mark.parametrize("name", [name for name, config in MADE.items() if config.head.name])
def test_the_head_of_a_recipe_can_be_made(name: str) -> None:
    head = MADE[name].head
    assert build_head(head.name, 8, 16, **head.settings).classes == 16


@pytest.mark.parametrize("name", ["mobilefacenet_arcface_1gpu", "mobilefacenet512_arcface_1gpu"])
def test_the_published_decay_of_mobilefacenet_begins_after_the_global_operator(name: str) -> None:
    config = MADE[name]
    backbone = build_backbone("mobilefacenet", (112, 112), config.backbone.embedding)
    head = build_head(config.head.name, config.backbone.embedding, 16, **config.head.settings)
    modules = nn.ModuleDict({"backbone": backbone, "head": head})
    names = {parameter: key for key, parameter in modules.named_parameters()}
    decays = {
        names[parameter]: group["weight_decay"]
        for group in parameter_groups(modules, config.loop.optim)
        for parameter in group["params"]
    }
    assert {key for key, decay in decays.items() if decay == 4e-4} == {
        "backbone.output.2.weight",
        "head.weight",
    }
    assert decays["backbone.output.0.weight"] == 4e-5
    assert backbone.output[0].groups == 512
