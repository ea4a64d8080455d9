"""Product matching: offers matched one by one, indexes built small, re-ranking counted by torch, fleets simulated, all choices tried."""

from __future__ import annotations

import itertools
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import ViltConfig, ViltModel

import napkinmath
from workbook.rounds.estimates import questions
from workbook.rounds.scenario import Draw, Offer, Scenario

#: The width of each candidate's index; of two, texts' and photos'.
WIDTHS = {"text-only": (384,), "image-only": (512,), "dual-b": (512,), "dual-b-rerank": (512,), "dual-l": (768,), "by-side": (384, 512)}
CORES, ROOM, SERVER_USD, NETWORK_S = 8, 0.8 * 64e9, 320, 0.010


# What is right --------------------------------------------------------------------------------------------------------


def counted(draw: Draw, candidate: str) -> float:
    """Offers drawn one by one: what they bring, whether the first answer is right, mended, or among ten and picked."""
    rng, given = np.random.default_rng(3), draw.given
    brings, luck, again = rng.random((3, 400_000))
    no_text, no_photo = brings < given["photo_only"], brings > 0.9
    both = ~no_text & ~no_photo
    fused = luck < np.where(both, given["by_both"], 0.68)
    right = {
        "text-only": ~no_text & (luck < given["by_text"]),
        "image-only": ~no_photo & (luck < 0.7),
        "by-side": luck < np.where(no_text, 0.7, given["by_text"]),
        "dual-b": fused,
        "dual-l": fused | (again < given["mended"]),
        "dual-b-rerank": (luck < np.where(both, 0.97, 0.90)) & (again < given["picks"]),
    }
    return float(right[candidate].mean())


def test_right_answers_are_those_that_are_counted(scenario: Scenario) -> None:
    for draw in scenario.draws[:8]:
        for one in draw.offers:
            if one.device == "t4":
                assert one.figures["right"] == pytest.approx(counted(draw, one.candidate), abs=0.003)


# Bytes and FLOPs ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bytes_a_product() -> dict[int, float]:
    """By width, what one vector more adds to faiss's HNSW over halves of floats, written out."""
    found = {}
    fp16: Any = faiss.ScalarQuantizer.QT_fp16
    for width in sorted({width for widths in WIDTHS.values() for width in widths}):
        sizes = []
        for count in (600, 1200):
            vectors = np.random.default_rng(0).standard_normal((count, width), dtype=np.float32)
            index = faiss.IndexHNSWSQ(width, fp16, 32)
            index.hnsw.efConstruction = 4  # how well it is linked does not matter, only how much room links have
            index.train(vectors)
            index.add(vectors)
            sizes.append(len(faiss.serialize_index(index)))
        found[width] = (sizes[1] - sizes[0]) / 600
    return found


def test_indexes_have_the_bytes_of_real_ones(scenario: Scenario, bytes_a_product: dict[int, float]) -> None:
    for one in (one for draw in scenario.draws for one in draw.offers):
        products = next(draw for draw in scenario.draws if one in draw.offers).given["products"]
        wanted = products * sum(bytes_a_product[width] for width in WIDTHS[one.candidate])
        assert one.figures["memory"] == pytest.approx(wanted, rel=0.03)


def test_ten_pairs_are_what_torch_counts(scenario: Scenario) -> None:
    """ViLT with its real layers on the meta device: ten photos, each with forty words."""
    with torch.device("meta"):
        model = ViltModel(ViltConfig(num_hidden_layers=1), add_pooling_layer=False)
        layer = model.encoder.layer[0].eval()
        with FlopCounterMode(display=False) as counter:
            layer(torch.empty(10, 145 + 40, 768))
    patches = 10 * 144 * 2 * 768 * 3 * 32 * 32
    asked = next(found for question, found in questions(scenario) if question.id == "product-matching-ten-pairs")
    scores = 0 if counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm) else 10 * 4 * 185 * 185 * 768
    for draw, variant in zip(scenario.draws, asked, strict=True):
        wanted = draw.given["arrivals"] * (12 * (counter.get_total_flops() + scores) + patches)
        assert variant.answer == pytest.approx(wanted, rel=0.02)


# Machines and the choice ----------------------------------------------------------------------------------------------


def walk_s(width: int) -> float:
    """A walk on one core that reads 5,000 vectors, one after the other."""
    return sum(100e-9 + 2 * width / (307.2e9 / 2 / 56) for _ in range(5000))


def index_servers(draw: Draw, candidate: str, size: dict[int, float]) -> int:
    """The fewest that hold all parts and walk each for every offer that asks it at 60% load, by trying; and a spare."""
    servers, lacks_text = 1, draw.given["photo_only"]
    for width, share in zip(WIDTHS[candidate], (1 - lacks_text, lacks_text) if candidate == "by-side" else (1,), strict=True):
        rate = share * draw.given["arrivals"]
        parts = next(count for count in itertools.count(1) if count * ROOM >= draw.given["products"] * size[width])
        copies = next(count for count in itertools.count(1) if rate / count * walk_s(width) <= 0.6 * CORES)
        servers += parts * copies
    return servers


def gpus(draw: Draw, one: Offer, queue: type) -> int:
    """The fewest that answer in what search and network leave, by simulation; and a spare."""
    work = one.figures["work_s"]
    arrivals = queue(draw.given["arrivals"], lambda rng, count: np.full(count, work), 15_000)
    return int(arrivals.servers(draw.given["limit"] - 2 * walk_s(max(WIDTHS[one.candidate])) - NETWORK_S)) + 1


def test_fleets_are_what_simulations_need(scenario: Scenario, queue: type) -> None:
    for draw in scenario.draws[::3]:
        wanted = gpus(draw, draw.best, queue)
        assert abs(draw.best.figures["fleet"] - wanted) <= 1
        if wanted <= 3:
            assert draw.best.figures["fleet"] == wanted


def test_searches_keep_two_walks(scenario: Scenario, queue: type) -> None:
    """All parts see the same offers, so one part's queue is all parts' queue."""
    for draw in scenario.draws[::4]:
        walk = walk_s(max(WIDTHS[draw.best.candidate]))
        copies = next(count for count in itertools.count(1) if draw.given["arrivals"] / count * walk <= 0.6 * CORES)
        cores = queue(draw.given["arrivals"] / copies, lambda rng, count, walk=walk: np.full(count, walk), 15_000)
        assert np.quantile(cores.response_s(CORES), 0.99) <= 2 * walk


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 9])
def test_nothing_cheaper_holds(scenario: Scenario, queue: type, bytes_a_product: dict[int, float], number: int) -> None:
    """Every candidate on every device, with offers counted, machines tried out and fleets simulated."""
    draw = scenario.draws[number]
    cost = {}
    for one in draw.offers:
        left = draw.given["limit"] - 2 * walk_s(max(WIDTHS[one.candidate])) - NETWORK_S
        if counted(draw, one.candidate) < draw.given["floor"] or one.figures["work_s"] >= left:
            continue
        servers = index_servers(draw, one.candidate, bytes_a_product)
        usd = napkinmath.device(one.device).price_usd_per_hour * 730
        cost[one.candidate, one.device] = gpus(draw, one, queue) * usd + servers * SERVER_USD
    chosen = cost[draw.best.candidate, draw.best.device]
    gpu = napkinmath.device(draw.best.device).price_usd_per_hour * 730
    assert chosen == pytest.approx(draw.best.figures["usd_per_month"], abs=1.01 * gpu)  # one GPU more or less
    assert chosen <= min(cost.values()) + (1.01 * gpu if draw.best.figures["fleet"] > 9 else 0.01)
