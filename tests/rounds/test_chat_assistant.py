"""Chat assistant: parameters counted on modules, replicas simulated pass by pass, the choice by trying every offer that costs less."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

import napkinmath
from workbook.rounds.scenario import Draw, Offer, Scenario

REPLY, LOAD = 400, 0.7
LLAMA = {"vocab_size": 128_256, "num_key_value_heads": 8}
CONFIGS = {
    "8b": (LlamaConfig, {**LLAMA, "hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32}, 32),
    "70b": (LlamaConfig, {**LLAMA, "hidden_size": 8192, "intermediate_size": 28_672, "num_attention_heads": 64}, 80),
    "moe": (
        MixtralConfig,
        {"vocab_size": 32_000, "num_key_value_heads": 8, "hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32},
        32,
    ),
}
MODEL = {"eight": "8b", "eight-adapters": "8b", "mixtral": "moe", "seventy-wide": "70b", "seventy": "70b", "seventy-draft": "70b"}


@dataclass(frozen=True)
class Counted:
    """Parameters of a model, those that a token is multiplied with, bytes of a token's keys and values, FLOPs of a score."""

    stored: float
    read: float
    active: float
    cache: float
    score: float
    layers: int
    width: int


@cache
def counted(name: str) -> Counted:
    """Modules of one and of two layers are built, without memory, and the rest is as many times their difference."""
    kind, sizes, layers = CONFIGS[name]
    with torch.device("meta"):
        one, two = (AutoModelForCausalLM.from_config(kind(**sizes, num_hidden_layers=n, tie_word_embeddings=False)) for n in (1, 2))
    count = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
    stored = count[0] + (layers - 1) * (count[1] - count[0])
    table = one.get_input_embeddings().weight.numel()
    attention = one.model.layers[0].self_attn
    experts = sum(p.numel() for key, p in one.named_parameters() if "experts" in key)
    keys = attention.k_proj.weight.shape[0] + attention.v_proj.weight.shape[0]
    read = stored - table
    score = 2 * 2 * attention.q_proj.weight.shape[0] * layers
    return Counted(stored, read, read - layers * experts * 6 / 8, 2.0 * keys * layers, score, layers, sizes["hidden_size"])


@dataclass(frozen=True)
class Replica:
    """What one replica takes: for a prompt, for reading weights, and for each sequence of a pass to be read and to be computed."""

    prompt_s: float
    parts: tuple[tuple[float, float, float], ...]  # of each pass of a step: weights, a sequence's cache, a sequence's arithmetic
    still_s: float
    slots: int
    ahead: int
    accepted: float

    def simulate(self, per_s: float, requests: int, seed: int = 0) -> tuple[float, float]:
        """p99 of the first token and the mean time of a token, prompts first, one at a time, between passes over all running replies."""
        rng = np.random.default_rng(seed)
        arrives = np.cumsum(rng.exponential(1 / per_s, requests)).tolist()
        lengths = np.maximum(1, np.round(rng.exponential(REPLY, requests)))
        if self.ahead:  # passes that a reply takes: each gives one token, and as many more as are accepted in a row
            kept = 1 + np.minimum(rng.geometric(1 - self.accepted, 20_000) - 1, self.ahead)
            passes = np.maximum(1, np.round(lengths / kept.mean())).astype(int).tolist()
        else:
            passes = lengths.astype(int).tolist()
        now, done, come, last = 0.0, 0, 0, requests // 5
        running: list[tuple[int, int]] = []  # the pass after which a reply ends
        first, waits, stay, tokens = [0.0] * requests, [], 0.0, 0.0
        while come < requests:
            if arrives[come] <= now and len(running) < self.slots:
                now += self.prompt_s
                first[come] = now
                waits.append(now - arrives[come])
                heapq.heappush(running, (done + passes[come], come))
                come += 1
            elif running:
                batch = len(running)
                now += self.still_s + sum(max(fixed + batch * read, batch * compute) for fixed, read, compute in self.parts)
                done += 1
                while running and running[0][0] <= done:
                    _, n = heapq.heappop(running)
                    if n > last:
                        stay, tokens = stay + now - first[n], tokens + lengths[n]
            else:
                now = arrives[come]
        return float(np.quantile(waits[last:], 0.99)), stay / max(tokens, 1.0)


def replica(offer: Offer, draw: Draw) -> Replica:
    device, model, draft = napkinmath.device(offer.device), counted(MODEL[offer.candidate]), counted("8b")
    prompt, context = draw.given["prompt"], draw.given["prompt"] + REPLY
    width = 2 if offer.candidate == "seventy-wide" else 1
    peak = device.peak_flops("bf16" if width == 2 else "int8")
    ahead = 3 if offer.candidate == "seventy-draft" else 0
    adapters = 40 * 2 * 32 * sum(16 * (i + o) for i, o in 2 * [(4096, 4096)] + 2 * [(4096, 1024)] + 3 * [(4096, 14_336)])
    more = adapters if offer.candidate == "eight-adapters" else 0
    held = width * model.stored + more + (draft.stored if ahead else 0)
    cards = next(n for n in (1, 2, 4, 8) if held <= 0.6 * n * device.memory_bytes)
    bandwidth, arithmetic = 0.7 * cards * device.bandwidth_bytes_per_s, 0.6 * cards * peak
    models = [(model, 1 + ahead, width * model.read + more), *([(draft, 1, draft.read)] * ahead)]
    parts = tuple(
        (weights / bandwidth, m.cache * context / bandwidth, new * (2 * m.active + m.score * context) / arithmetic)
        for m, new, weights in models
    )
    still = 1e-5 * sum(2 * m.layers for m, _, _ in models) if cards > 1 else 0.0
    prompt_s = 0.0
    for m in (model, draft) if ahead else (model,):
        table = 128_256 * m.width if m is not counted("moe") else 32_000 * m.width
        prompt_s += (2 * (m.active - table) * prompt + 2 * table + m.score * prompt * (prompt + 1) / 2) / arithmetic
        ring = 2 * (cards - 1) / cards * 2 * m.layers * 2 * prompt * m.width  # two all-reduces a layer of 16-bit values
        prompt_s += ring / (device.interconnect_bytes_per_s / 2) if cards > 1 else 0
    caches = model.cache + (draft.cache if ahead else 0)
    slots = int((cards * (device.memory_bytes - 4e9) - held) // (caches * context))
    return Replica(prompt_s, parts, still, slots, ahead, draw.given["accepted"])


def test_the_choice_changes(scenario: Scenario) -> None:
    assert len({draw.best.candidate for draw in scenario.draws}) >= 4


def test_bytes_and_seconds_are_those_of_the_modules(scenario: Scenario) -> None:
    for draw in scenario.draws[:6]:
        for offer in draw.offers:
            own = replica(offer, draw)
            kept = 1 + sum(own.accepted**n for n in range(1, own.ahead + 1))
            assert offer.figures["prefill_s"] == pytest.approx(own.prompt_s, rel=0.02)
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


@pytest.mark.parametrize("number", [0, 1, 7, 10])
def test_the_choice_holds_and_is_about_full(scenario: Scenario, number: int) -> None:
    """With the planned replicas both limits hold; on a replica that gets all that it can do, a token takes about as long as is allowed."""
    draw = scenario.draws[number]
    best, limits = draw.best, draw.given
    own, each = replica(best, draw), limits["chats"] / best.figures["replicas"]
    first, gap = own.simulate(each, requests(best))
    assert first + 0.02 <= limits["ttft"]
    assert gap <= limits["pace"]
    _, gap = own.simulate(best.figures["rate"], 2 * requests(best))
    assert gap == pytest.approx(best.figures["gap_s"], rel=0.12)


@pytest.mark.parametrize("number", [0, 1, 10, 22])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, number: int) -> None:
    """Every offer that is good enough, with as many replicas as cost less than the choice: with the headroom it breaks a limit."""
    draw = scenario.draws[number]
    limits, chosen = draw.given, draw.best.figures["usd_per_month"]
    for offer in draw.offers:
        figures = offer.figures
        affordable = int(np.ceil(chosen / (figures["usd_per_month"] / figures["replicas"]) - 1e-9)) - 1
        if figures["good"] < limits["quality"] or affordable < 1:
            continue
        own, each = replica(offer, draw), limits["chats"] / affordable
        if each / LOAD * (own.prompt_s + REPLY * own.parts[0][1] / (1 + own.ahead)) > 1.3:
            continue  # more work a second than there are seconds
        _, gap = own.simulate(each / LOAD, 2500)
        first, _ = own.simulate(each, 2500)
        assert gap > 0.97 * limits["pace"] or first + 0.1 > limits["ttft"], (offer.candidate, offer.device, gap, first)
