"""Chat assistant: parameters counted on modules, replicas simulated pass by pass, the choice by trying all that costs less."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

import napkinmath
from workbook.rounds.scenario import Draw, Offer, Scenario

from .conftest import Decoder, Replica

REPLY, LOAD, WIDTHS = 400, 0.7, (1, 2, 4, 8)
MODEL = {"eight": "8b", "eight-adapters": "8b", "mixtral": "moe", "seventy-wide": "70b", "seventy": "70b", "seventy-draft": "70b"}


SIZES = {
    "8b": {"vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32},
    "70b": {"vocab_size": 128_256, "hidden_size": 8192, "intermediate_size": 28_672, "num_attention_heads": 64},
    "moe": {"vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32},
}


@cache
def counted(name: str) -> Decoder:
    return Decoder.of(MixtralConfig if name == "moe" else LlamaConfig, 80 if name == "70b" else 32, num_key_value_heads=8, **SIZES[name])


def replica(offer: Offer, draw: Draw, cards: int | None = None) -> Replica:
    """An offer's replica, of as many GPUs as it has or as are given."""
    device, model, draft = napkinmath.device(offer.device), counted(MODEL[offer.candidate]), counted("8b")
    prompt, context, cards = draw.given["prompt"], draw.given["prompt"] + REPLY, cards or int(offer.figures["cards"])
    width = 2 if offer.candidate == "seventy-wide" else 1
    ahead = 3 if offer.candidate == "seventy-draft" else 0
    adapters = 40 * 2 * 32 * sum(16 * (i + o) for i, o in 2 * [(4096, 4096)] + 2 * [(4096, 1024)] + 3 * [(4096, 14_336)])
    more = adapters if offer.candidate == "eight-adapters" else 0
    held = width * model.stored + more + (draft.stored if ahead else 0)
    bandwidth, arithmetic = 0.7 * cards * device.bandwidth_bytes_per_s, 0.6 * cards * device.peak_flops("bf16" if width == 2 else "int8")
    models = [(model, 1 + ahead, width * model.read + more), *([(draft, 1, draft.read)] * ahead)]
    parts = tuple(
        (weights / bandwidth, m.cache * context / bandwidth, new * m.token_flops(context) / arithmetic) for m, new, weights in models
    )
    still = 1e-5 * sum(2 * m.layers for m, _, _ in models) if cards > 1 else 0.0
    both = (model, draft) if ahead else (model,)
    prompt_s = sum(m.prompt_flops(prompt) / arithmetic + m.exchange_s(prompt, device, cards) for m in both)
    slots = int((cards * (device.memory_bytes - 4e9) - held) // (sum(m.cache for m in both) * context))
    return Replica(prompt_s, parts, still, slots, REPLY, ahead, draw.given["accepted"])


def test_the_choice_and_what_turns_it_change(scenario: Scenario) -> None:
    assert len({draw.best.candidate for draw in scenario.draws}) >= 4
    assert len({draw.flip.to for draw in scenario.draws} - {None}) >= 4
    assert sum(draw.flip.to is None for draw in scenario.draws) <= len(scenario.draws) // 4


def test_a_faster_pace_turns_the_width_and_not_the_model(scenario: Scenario) -> None:
    """As the page says of its own draw."""
    given = scenario.draws[0].given
    chosen = [scenario.choice({**given, "pace": given["pace"] / faster}) for faster in (1, 2, 4)]
    assert {offer.candidate for offer in chosen if offer} == {"mixtral"}
    assert [offer.figures["cards"] for offer in chosen if offer] == sorted({offer.figures["cards"] for offer in chosen if offer})


def test_bytes_and_seconds_are_those_of_the_modules(scenario: Scenario) -> None:
    for draw in scenario.draws[:6]:
        for offer in draw.offers:
            own = replica(offer, draw)
            kept = 1 + sum(own.accepted**n for n in range(1, own.ahead + 1))
            assert offer.figures["prefill_s"] == pytest.approx(own.before_s, rel=0.02)
            assert offer.figures["fixed_s"] == pytest.approx(sum(part[0] for part in own.parts) / kept, rel=0.01)
            assert offer.figures["slots"] == pytest.approx(own.slots, abs=1)


def test_keys_and_values_are_those_of_a_cache() -> None:
    """A small model of the 70B's heads is run, and the bytes of its cache are counted."""
    config = LlamaConfig(
        hidden_size=64, intermediate_size=64, num_attention_heads=64, num_key_value_heads=8, head_dim=128, num_hidden_layers=1, vocab_size=8
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        layer = model(torch.zeros(1, 5, dtype=torch.long)).past_key_values.layers[0]
    assert 80 * 2 * (layer.keys.numel() + layer.values.numel()) / 5 == counted("70b").cache


def test_tokens_of_a_pass_are_those_that_are_drawn(scenario: Scenario) -> None:
    rng = np.random.default_rng(3)
    for draw in scenario.draws[:4]:
        accepted = rng.random((200_000, 3)) < draw.given["accepted"]
        offer = next(offer for offer in draw.offers if offer.candidate == "seventy-draft")
        assert offer.figures["tokens"] == pytest.approx(1 + accepted.cumprod(axis=1).sum(axis=1).mean(), rel=0.01)


def requests(offer: Offer) -> int:
    """Enough for several fillings of the batch."""
    return int(min(8000, max(2500, 12 * offer.figures["batch"])))


@pytest.mark.parametrize("number", [0, 1, 7, 10, 13])
def test_the_choice_holds_and_is_about_full(scenario: Scenario, number: int) -> None:
    """With the spare out both limits hold; on a replica that gets all that it can do, a token takes about as long as is allowed."""
    draw = scenario.draws[number]
    best, limits = draw.best, draw.given
    own, each = replica(best, draw), limits["chats"] / (best.figures["replicas"] - 1)
    first, gap = own.simulate(each, requests(best))
    assert first + 0.02 <= limits["ttft"]
    assert gap <= limits["pace"]
    _, gap = own.simulate(each / LOAD, 2 * requests(best))
    assert gap <= 1.12 * limits["pace"]  # the headroom is there
    _, gap = own.simulate(best.figures["rate"], 2 * requests(best))
    assert gap == pytest.approx(best.figures["gap_s"], rel=0.12)


@pytest.mark.parametrize("number", [0, 1, 6, 10, 22])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, number: int) -> None:
    """Every offer that is good enough, with replicas of any width, and as many as cost less than the choice: one out, it breaks a limit."""
    draw = scenario.draws[number]
    limits, chosen = draw.given, draw.best.figures["usd_per_month"]
    for offer in draw.offers:
        device = napkinmath.device(offer.device)
        for cards in WIDTHS if offer.device != "l4" else (1,):
            affordable = int(np.ceil(chosen / (730 * cards * device.price_usd_per_hour) - 1e-9)) - 1
            own = replica(offer, draw, cards)
            if offer.figures["good"] < limits["quality"] or affordable < 2 or own.slots < 1:
                continue
            each = limits["chats"] / (affordable - 1)
            if each / LOAD * (own.before_s + REPLY * own.parts[0][1] / (1 + own.ahead)) > 1.3:
                continue  # more work a second than there are seconds
            _, gap = own.simulate(each / LOAD, 2500)
            first, _ = own.simulate(each, 2500)
            assert gap > 0.97 * limits["pace"] or first + 0.1 > limits["ttft"], (offer.candidate, offer.device, cards, gap, first)
