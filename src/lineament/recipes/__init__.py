"""Functions that return whole training configurations."""

from lineament.recipes.embedding import RECIPES, Recipe
from lineament.recipes.overrides import override
from lineament.recipes.restoration import RESTORATION_RECIPES, RestorationRecipe

__all__ = ["RECIPES", "RESTORATION_RECIPES", "Recipe", "RestorationRecipe", "override"]
