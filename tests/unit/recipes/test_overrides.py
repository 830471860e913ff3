from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import ConfigError
from lineament.recipes.overrides import override


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    lr: float = 0.1
    steps: int = 10
    nesterov: bool = False
    kind: Literal["sgd", "adamw"] = "sgd"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be 1 or more, got {self.steps}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    pack: Path | None = None
    drops: tuple[int, ...] = (3,)
    settings: Mapping[str, float | str] = field(default_factory=dict)


def test_fields_take_the_type_of_their_annotation() -> None:
    made = override(
        Outer(),
        [
            "inner.lr=0.5",
            "inner.nesterov=yes",
            "inner.kind=adamw",
            "pack=a/b",
            "drops=1, 2",
            "settings.m=0.3",
        ],
    )
    assert made.inner == Inner(lr=0.5, nesterov=True, kind="adamw")
    assert (made.pack, made.drops, made.settings) == (Path("a/b"), (1, 2), {"m": 0.3})
    assert override(made, ["pack=none"]).pack is None


def test_the_original_stays() -> None:
    config = Outer()
    override(config, ["settings.a=1", "inner.steps=2"])
    assert config == Outer()


def test_all_mistakes_come_at_once_and_name_the_nearest_field() -> None:
    wrong = [
        "inner.lrr=1",
        "inner.steps=x",
        "inner",
        "inner.lr.x=1",
        "inner.kind=adam",
        "settings=1",
        "inner=1",
    ]
    with pytest.raises(ConfigError) as caught:
        override(Outer(), wrong)
    message = str(caught.value)
    for part in (
        "nearest is lr",
        "expected a number (int), got 'x'",
        "inner: expected FIELD=VALUE",
        "lr has no fields of its own",
        "expected one of sgd, adamw",
        "one by one (settings.FIELD=VALUE)",
        "inner: is set as a whole and field by field",
    ):
        assert part in message


def test_values_that_only_go_together_come_in_any_order() -> None:
    @dataclass(frozen=True)
    class Span:
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low >= self.high:
                raise ValueError(f"low must be below high, got {self.low} and {self.high}")

    assert override(Span(), ["low=5", "high=9"]) == override(Span(), ["high=9", "low=5"]) == Span(5, 9)
    with pytest.raises(ConfigError, match="configuration: low must be below high, got 5 and 1"):
        override(Span(), ["low=5"])


@given(st.floats(allow_nan=False), st.integers(1, 10**9))
def test_numbers_come_back_exactly(lr: float, steps: int) -> None:
    made = override(Outer(), [f"inner.lr={lr!r}", f"inner.steps={steps}"])
    assert (made.inner.lr, made.inner.steps) == (lr, steps)
