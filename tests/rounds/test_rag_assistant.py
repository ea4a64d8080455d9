"""RAG assistant: an index is weighed, answers are counted, replicas simulated step by step, and everything cheaper is tried."""

from __future__ import annotations

from functools import cache

import faiss
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig

import napkinmath
from workbook.rounds.scenario import Draw, Offer, Scenario

from .conftest import Decoder, Replica

REPLY, LOAD, PACE, PASSAGES_OF_A_DOCUMENT, WIDTHS = 250, 0.7, 0.05, 3, (1, 2, 4)
SIZES = {
    "8b": {"hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32},
    "70b": {"hidden_size": 8192, "intermediate_size": 28_672, "num_attention_heads": 64},
}
#: Passages in the prompt, pairs that are re-ranked, what finds, and what share is read right.
BUILT = {
    "tuned": (0, 0, "tuned", 1.0),
    "keywords": (20, 0, 0.70, 0.84),
    "vectors-only": (8, 0, 0.78, 0.90),
    "keywords-ranked": (4, 100, "sifted", 0.90),
    "vectors-ranked": (4, 50, "ranked", 0.90),
    "both-ranked": (4, 50, "fused", 0.90),
    "large": (4, 50, "fused", 0.95),
}


@cache
def counted(name: str) -> Decoder:
    return Decoder.of(LlamaConfig, 80 if name == "70b" else 32, vocab_size=128_256, num_key_value_heads=8, **SIZES[name])


@cache
def pair_flops() -> float:
    """BERT-base on 250 tokens: two for each weight of a layer's matrices and token, and the scores."""
    with torch.device("meta"):
        layers = BertModel(BertConfig()).encoder
    matrices = sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    return 250 * (2 * matrices + 12 * 2 * 2 * 768 * 250)


def replica(offer: Offer, cards: int | None = None) -> Replica:
    """An offer's replica, of as many GPUs as it has or as are given."""
    device, model = napkinmath.device(offer.device), counted("70b" if offer.candidate == "large" else "8b")
    shown, pairs, *_ = BUILT[offer.candidate]
    prompt, cards = 300 + 200 * shown, cards or int(offer.figures["cards"])
    bandwidth = 0.7 * cards * device.bandwidth_bytes_per_s
    narrow, wide = (0.6 * cards * device.peak_flops(dtype) for dtype in ("int8", "bf16"))
    before = model.prompt_flops(prompt) / narrow + pairs * pair_flops() / wide + model.exchange_s(prompt, device, cards)
    kept = model.cache * (prompt + REPLY)
    step = (model.read / bandwidth, kept / bandwidth, model.token_flops(prompt + REPLY) / narrow)
    slots = int((cards * (device.memory_bytes - 4e9) - model.stored) // kept)
    return Replica(before, (step,), 2e-5 * model.layers * (cards > 1), slots, REPLY)


def test_the_choice_and_what_turns_it_change(scenario: Scenario) -> None:
    assert len({draw.best.candidate for draw in scenario.draws}) >= 4
    assert len({draw.flip.to for draw in scenario.draws} - {None}) >= 3


def test_right_answers_are_those_that_are_counted(scenario: Scenario) -> None:
    """Questions whose passage is found or not, and a model that reads it right or not."""
    rng = np.random.default_rng(5)
    for draw in scenario.draws[:8]:
        for offer in draw.offers:
            *_, finds, reads = BUILT[offer.candidate]
            found = rng.random(200_000) < (draw.given[finds] if isinstance(finds, str) else finds)
            assert offer.figures["good"] == pytest.approx((found & (rng.random(found.size) < reads)).mean(), abs=0.005)


def test_the_index_weighs_what_faiss_writes(scenario: Scenario) -> None:
    vectors = np.random.default_rng(0).standard_normal((3000, 768)).astype("float32")
    sizes = []
    for count in (1500, 3000):
        index = faiss.IndexHNSWSQ(768, faiss.ScalarQuantizer.QT_fp16, 32)
        index.hnsw.efConstruction = 8
        index.train(vectors)
        index.add(vectors[:count])
        sizes.append(faiss.serialize_index(index).nbytes)
    each = (sizes[1] - sizes[0]) / 1500
    for draw in scenario.draws[:8]:
        offer = next(offer for offer in draw.offers if offer.candidate == "vectors-ranked")
        gigabytes = each * PASSAGES_OF_A_DOCUMENT * draw.given["documents"] / 1e9
        assert offer.figures["beside_usd"] == pytest.approx(2 * 5 * gigabytes, rel=0.04)  # upper layers are left out


def test_training_costs_what_its_passes_cost(scenario: Scenario) -> None:
    """Forward, gradients of inputs and gradients of weights are a product each; passes are counted over a month of hours."""
    h100 = napkinmath.device("h100_sxm")
    for draw in scenario.draws[:8]:
        seconds = 3 * 2 * counted("8b").read * 600 * draw.given["documents"] / (0.35 * h100.peak_flops("bf16"))
        passes = 730 / (draw.given["fresh"] / 3600)
        offer = next(offer for offer in draw.offers if offer.candidate == "tuned")
        assert offer.figures["beside_usd"] == pytest.approx(passes * seconds / 3600 * h100.price_usd_per_hour, rel=0.01)


def test_seconds_are_those_of_the_modules(scenario: Scenario) -> None:
    for offer in scenario.draws[0].offers:
        own = replica(offer)
        assert offer.figures["before_s"] == pytest.approx(own.before_s, rel=0.03)
        assert offer.figures["fixed_s"] == pytest.approx(own.parts[0][0], rel=0.01)
        assert offer.figures["slots"] == pytest.approx(own.slots, abs=1)


def usd_per_1k(offer: Offer, draw: Draw, gpus: float) -> float:
    """The month's bill over the month's answers, the mean being a quarter of the peak."""
    bill = 730 * gpus * napkinmath.device(offer.device).price_usd_per_hour + offer.figures["beside_usd"]
    return bill / (draw.given["questions"] / 4 * 730 * 3600 / 1000)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 14, 16])
def test_the_choice_holds_and_is_about_full(scenario: Scenario, number: int) -> None:
    """With the spare out both limits hold; on a replica that gets all that it can do, a token takes about as long as is allowed."""
    draw = scenario.draws[number]
    best, own = draw.best, replica(draw.best)
    each = draw.given["questions"] / (best.figures["replicas"] - 1)
    first, gap = own.simulate(each, 3000)
    assert first + 0.1 <= draw.given["limit"]
    assert gap <= PACE
    _, gap = own.simulate(each / LOAD, int(max(3000, 15 * best.figures["batch"])))
    assert gap <= 1.12 * PACE  # the headroom is there
    _, gap = own.simulate(best.figures["rate"], int(max(3000, 15 * best.figures["batch"])))
    assert gap == pytest.approx(best.figures["gap_s"], rel=0.12)
    assert best.figures["usd_per_1k"] == pytest.approx(usd_per_1k(best, draw, best.figures["replicas"] * best.figures["cards"]), rel=1e-6)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 9, 14])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, number: int) -> None:
    """Every offer that is right often enough, with replicas of any width and as many as cost less: with one out, it breaks a limit."""
    draw = scenario.draws[number]
    chosen = draw.best.figures["usd_per_1k"]
    for offer in draw.offers:
        for cards in WIDTHS if offer.device != "l4" else (1,):
            affordable, own = 0, replica(offer, cards)
            while usd_per_1k(offer, draw, cards * (affordable + 1)) < chosen - 1e-9:
                affordable += 1
            if offer.figures["good"] < draw.given["floor"] or affordable < 2 or own.slots < 1:
                continue
            each = draw.given["questions"] / (affordable - 1)
            if each / LOAD * (own.before_s + REPLY * own.parts[0][1]) > 1.3:
                continue  # more work a second than there are seconds
            _, gap = own.simulate(each / LOAD, 2500)
            first, _ = own.simulate(each, 2500)
            assert gap > 0.97 * PACE or first + 0.15 > draw.given["limit"], (offer.candidate, offer.device, cards, gap, first)
