"""RAG assistant: an index is weighed, answers are counted, replicas simulated step by step, and everything cheaper is tried."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cache

import faiss
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig, BertModel, LlamaConfig

import napkinmath
from workbook.rounds.scenario import Draw, Offer, Scenario

REPLY, LOAD, PACE, PASSAGES_OF_A_DOCUMENT = 250, 0.7, 0.05, 3
CONFIGS = {
    "8b": ({"hidden_size": 4096, "intermediate_size": 14_336, "num_attention_heads": 32}, 32),
    "70b": ({"hidden_size": 8192, "intermediate_size": 28_672, "num_attention_heads": 64}, 80),
}
#: Passages in the prompt, pairs that are re-ranked, what finds, and what share is read right.
BUILT = {
    "tuned": (0, 0, "tuned", 1.0),
    "keywords": (20, 0, 0.70, 0.84),
    "vectors-only": (8, 0, 0.78, 0.90),
    "keywords-ranked": (4, 100, "sifted", 0.90),
    "vectors-ranked": (4, 50, "ranked", 0.90),
    "large": (4, 50, "ranked", 0.95),
}


@dataclass(frozen=True)
class Counted:
    stored: float
    multiplied: float
    table: float
    cache: float
    score: float
    layers: int
    width: int


@cache
def counted(name: str) -> Counted:
    """Modules of one and of two layers are built, without memory, and the rest is as many times their difference."""
    sizes, layers = CONFIGS[name]
    shared = {"vocab_size": 128_256, "num_key_value_heads": 8, "tie_word_embeddings": False}
    with torch.device("meta"):
        one, two = (AutoModelForCausalLM.from_config(LlamaConfig(**sizes, **shared, num_hidden_layers=n)) for n in (1, 2))
    count = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
    stored = count[0] + (layers - 1) * (count[1] - count[0])
    table = one.get_input_embeddings().weight.numel()
    attention = one.model.layers[0].self_attn
    keys = attention.k_proj.weight.shape[0] + attention.v_proj.weight.shape[0]
    score = 2 * 2 * attention.q_proj.weight.shape[0] * layers
    return Counted(stored, stored - table, table, 2.0 * keys * layers, score, layers, sizes["hidden_size"])


@cache
def pair_flops() -> float:
    """BERT-base on 250 tokens: two for each weight of a layer's matrices and token, and the scores."""
    with torch.device("meta"):
        layers = BertModel(BertConfig()).encoder
    matrices = sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    return 250 * (2 * matrices + 12 * 2 * 2 * 768 * 250)


@dataclass(frozen=True)
class Replica:
    """What one replica takes: before the first token, for reading weights, and for each sequence to be read and to be computed."""

    before_s: float
    fixed_s: float
    read_s: float
    compute_s: float
    still_s: float
    slots: int

    def simulate(self, per_s: float, requests: int) -> tuple[float, float]:
        """p99 of re-ranking and prompt with their wait, and the mean time of a token; prompts go first, between steps over all answers."""
        rng = np.random.default_rng(0)
        arrives = np.cumsum(rng.exponential(1 / per_s, requests)).tolist()
        lengths = np.maximum(1, np.round(rng.exponential(REPLY, requests))).astype(int).tolist()
        now, done, come, last = 0.0, 0, 0, requests // 5
        running: list[tuple[int, int]] = []  # the step after which an answer ends
        first, waits, stay, tokens = [0.0] * requests, [], 0.0, 0
        while come < requests:
            if arrives[come] <= now and len(running) < self.slots:
                now += self.before_s
                first[come] = now
                waits.append(now - arrives[come])
                heapq.heappush(running, (done + lengths[come], come))
                come += 1
            elif running:
                now += self.still_s + max(self.fixed_s + len(running) * self.read_s, len(running) * self.compute_s)
                done += 1
                while running and running[0][0] <= done:
                    _, n = heapq.heappop(running)
                    if n > last:
                        stay, tokens = stay + now - first[n], tokens + lengths[n]
            else:
                now = arrives[come]
        return float(np.quantile(waits[last:], 0.99)), stay / max(tokens, 1)


def replica(offer: Offer) -> Replica:
    device, model = napkinmath.device(offer.device), counted("70b" if offer.candidate == "large" else "8b")
    shown, pairs, *_ = BUILT[offer.candidate]
    prompt = 300 + 200 * shown
    cards = next(n for n in (1, 2, 4) if model.stored <= 0.7 * n * device.memory_bytes)
    bandwidth = 0.7 * cards * device.bandwidth_bytes_per_s
    narrow, wide = (0.6 * cards * device.peak_flops(dtype) for dtype in ("int8", "bf16"))
    before = (2 * (model.multiplied - model.table) * prompt + 2 * model.table + model.score * prompt * (prompt + 1) / 2) / narrow
    before += pairs * pair_flops() / wide
    if cards > 1:  # two all-reduces a layer of 16-bit values
        before += 2 * (cards - 1) / cards * 2 * model.layers * 2 * prompt * model.width / (device.interconnect_bytes_per_s / 2)
    kept = model.cache * (prompt + REPLY)
    compute = (2 * model.multiplied + model.score * (prompt + REPLY)) / narrow
    slots = int((cards * (device.memory_bytes - 4e9) - model.stored) // kept)
    return Replica(before, model.multiplied / bandwidth, kept / bandwidth, compute, 2e-5 * model.layers * (cards > 1), slots)


def test_the_choice_changes(scenario: Scenario) -> None:
    assert len({draw.best.candidate for draw in scenario.draws}) >= 4


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
        seconds = 3 * 2 * counted("8b").multiplied * 600 * draw.given["documents"] / (0.35 * h100.peak_flops("bf16"))
        passes = 730 / (draw.given["fresh"] / 3600)
        offer = next(offer for offer in draw.offers if offer.candidate == "tuned")
        assert offer.figures["beside_usd"] == pytest.approx(passes * seconds / 3600 * h100.price_usd_per_hour, rel=0.01)


def test_seconds_are_those_of_the_modules(scenario: Scenario) -> None:
    for offer in scenario.draws[0].offers:
        own = replica(offer)
        assert offer.figures["before_s"] == pytest.approx(own.before_s, rel=0.03)
        assert offer.figures["fixed_s"] == pytest.approx(own.fixed_s, rel=0.01)
        assert offer.figures["slots"] == pytest.approx(own.slots, abs=1)


def usd_per_1k(offer: Offer, draw: Draw, replicas: float) -> float:
    """The month's bill over the month's answers, the mean being a quarter of the peak."""
    gpus = replicas * offer.figures["gpus"] / offer.figures["replicas"]
    bill = 730 * gpus * napkinmath.device(offer.device).price_usd_per_hour + offer.figures["beside_usd"]
    return bill / (draw.given["questions"] / 4 * 730 * 3600 / 1000)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 9])
def test_the_choice_holds_and_is_about_full(scenario: Scenario, number: int) -> None:
    draw = scenario.draws[number]
    best, own = draw.best, replica(draw.best)
    first, gap = own.simulate(draw.given["questions"] / best.figures["replicas"], 3000)
    assert first + 0.1 <= draw.given["limit"]
    assert gap <= PACE
    _, gap = own.simulate(best.figures["rate"], int(max(3000, 15 * best.figures["batch"])))
    assert gap == pytest.approx(best.figures["gap_s"], rel=0.12)
    assert best.figures["usd_per_1k"] == pytest.approx(usd_per_1k(best, draw, best.figures["replicas"]), rel=1e-6)


@pytest.mark.parametrize("number", [0, 1, 3, 7, 9])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, number: int) -> None:
    """Every offer that is right often enough, with as many replicas as cost less than the choice: with the headroom it breaks a limit."""
    draw = scenario.draws[number]
    chosen = usd_per_1k(draw.best, draw, draw.best.figures["replicas"])
    for offer in draw.offers:
        affordable = int(offer.figures["replicas"])
        while affordable and usd_per_1k(offer, draw, affordable) >= chosen - 1e-9:
            affordable -= 1
        if offer.figures["good"] < draw.given["floor"] or not affordable:
            continue
        own, each = replica(offer), draw.given["questions"] / affordable
        if each / LOAD * (own.before_s + REPLY * own.read_s) > 1.3:
            continue  # more work a second than there are seconds
        _, gap = own.simulate(each / LOAD, 2500)
        first, _ = own.simulate(each, 2500)
        assert gap > 0.97 * PACE or first + 0.15 > draw.given["limit"], (offer.candidate, offer.device, gap, first)
