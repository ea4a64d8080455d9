"""The what-if of training memory: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.training import memory_expressions, model_values, recipe_values
from napkinmath.errors import InputError
from workbook.lab import svg


@pytest.mark.parametrize("checkpoint", ["none", "full"])
@pytest.mark.parametrize(("model", "recipe"), [("llama-3-8b", "mixed_bf16"), ("bert-large", "fp32")])
def test_expressions_are_the_memory_table(model: str, recipe: str, checkpoint: str) -> None:
    rows = nm.memory(model, batch=2, seq=512, recipe=recipe, checkpoint=checkpoint).rows
    names = (
        {"tokens": 1024.0, "sharded": 1.0, "full": float(checkpoint == "full"), "memory": 200e9}
        | model_values(model)
        | recipe_values(recipe)
    )
    value = {part: eval(text.replace("datum.", ""), {"__builtins__": {}}, names) for part, text in memory_expressions().items()}
    assert value["layers"] + value["logits"] == pytest.approx(rows["activations"])
    assert value["states"] == pytest.approx(sum(size for part, size in rows.items() if part != "activations"))
    assert value["states"] + value["fits"] / 1024 * rows["activations"] == pytest.approx(200e9)


def test_the_table_at_one_long_sequence() -> None:
    (row,) = charts.spec(charts.training_memory_what_if(["llama-3-8b"], ["mixed_bf16"], sharded=4))["usermeta"]["table"]
    assert row["states over 4, GB"] == round(16 * 8_030_261_248 / 4e9, 1)
    assert row["activations, GB"] == round(nm.memory("llama-3-8b", 1, 8192).rows["activations"] / 1e9, 1)
    assert row["checkpointed, GB"] == round(nm.memory("llama-3-8b", 1, 8192, checkpoint="full").rows["activations"] / 1e9, 1)


def test_vega_draws_it_at_full_width_with_the_numbers_of_python() -> None:
    picture = svg(charts.spec(charts.training_memory_what_if()) | {"description": "what fills memory in training"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    room = (80e9 - 2 * 8_030_261_248) * 8192 / nm.memory("llama-3-8b", 1, 8192).rows["activations"]
    assert f"Room for {room:,.0f} tokens" in picture


@pytest.mark.parametrize(
    ("models", "recipes"), [([], ["fp32"]), (["gpt2"], []), (["resnet-50"], ["fp32"]), (["gpt2"], ["fp4"]), (["gpt-9"], ["fp32"])]
)
def test_bad_choices_are_named(models: list[str], recipes: list[str]) -> None:
    with pytest.raises(InputError):
        charts.training_memory_what_if(models, recipes)
