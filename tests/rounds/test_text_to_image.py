"""Text to image: editors who ask until they keep, in a queue of GPUs or slots; steps added up; the choice by trying everything."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Iterator

import numpy as np
import pytest

import napkinmath as nm
from workbook.rounds.estimates import questions
from workbook.rounds.scenario import Draw, Offer, Scenario

MEAN, SLOTS = 0.4, 16
SHARES = {
    "gan": "gan_kept",
    "few": "few_kept",
    "guided": "guided_kept",
    "large-few": "large_kept",
    "large-guided": "large_kept",
    "written": "token_kept",
}


def share(draw: Draw, candidate: str) -> float:
    return draw.given[SHARES[candidate]] - (0.06 if candidate == "large-few" else 0)


# A picture's time ---------------------------------------------------------------------------------------------------------


@functools.cache
def slow_s(kind: str, batch: int, device: str, position: int = 0) -> float:
    """Seconds of one pass at the slow end."""
    ledger = {
        "sd": lambda: nm.preset("sd-1.5").ledger(batch=batch, dtype="fp16"),
        "sdxl": lambda: nm.preset("sdxl").ledger(batch=batch, dtype="fp16"),
        "sd-decoder": lambda: nm.preset("sd-vae-decoder").ledger(batch=batch, dtype="fp16"),
        "sdxl-decoder": lambda: nm.preset("sdxl-vae-decoder").ledger(batch=batch, dtype="fp16"),
        "filter": lambda: nm.preset("clip-vit-l-14").encoder_ledger("vision", batch=batch, dtype="fp16"),
        "token": lambda: nm.preset("gpt2-large").ledger(batch=batch, seq=1, context=position, dtype="fp16"),
    }[kind]()
    return float(nm.predict(ledger, nm.device(device)).high_s)


def passes(candidate: str, device: str) -> Iterator[float]:
    """The seconds of each thing that a picture needs, in order."""
    large = candidate.startswith("large")
    model = "sdxl" if large else "sd"
    guided = candidate.endswith("guided")
    if candidate == "written":
        # Two sequences for each of the pictures side by side; each token sees all before it, so a few places stand for all of them.
        places = np.arange(77 + 32, 77 + 1024, 64)
        yield from (64 * slow_s("token", 2 * SLOTS, device, min(int(place), 1024)) for place in places)
    else:
        for _ in range({"gan": 1, "few": 4, "large-few": 8}.get(candidate, 25)):
            yield slow_s(model, 2 if guided else 1, device)
    yield slow_s(f"{model}-decoder", 1, device)
    yield slow_s("filter", 1, device)


def test_a_picture_takes_what_its_passes_take(scenario: Scenario) -> None:
    for offer in scenario.draws[0].offers:
        assert offer.figures["picture_s"] == pytest.approx(sum(passes(offer.candidate, offer.device)), rel=0.02)


def test_pictures_side_by_side_fit_in_memory() -> None:
    """Keys and values of both sequences of each, beside the weights."""
    model = nm.preset("gpt2-large")
    a_token = sum(np.empty((2, model.d_model), np.float16).nbytes for _ in range(model.n_layers))
    held = 2 * SLOTS * (77 + 1024) * a_token + 2 * model.params()
    assert held < 0.8 * nm.device("l4").memory_bytes


# Editors ------------------------------------------------------------------------------------------------------------------


@functools.cache
def drawn(unsafe: float) -> tuple[np.ndarray, np.ndarray]:
    """Of many pictures, which must not be shown, and which the filter stops: one harmless one in fifty, and 95 of 100 of the others."""
    rng = np.random.default_rng(2)
    bad = rng.random(4_000_000) < unsafe
    return bad, np.where(bad, rng.random(bad.size) < 0.95, rng.integers(50, size=bad.size) == 0)


@functools.cache
def looked_and_drawn(kept_share: float, unsafe: float) -> tuple[float, float]:
    """Looks and drawings for a picture that is kept, counted over many that are drawn."""
    shown = ~drawn(unsafe)[1]
    kept = shown & (np.random.default_rng(8).random(shown.size) < kept_share)
    return shown.sum() / kept.sum(), shown.size / kept.sum()


def took_s(wanted_per_s: float, kept: float, picture_s: float, servers: int, sentences: int = 5000) -> np.ndarray:
    """Seconds of each picture with its wait, when that share of all drawn is kept.

    Editors come at random, and ask again some seconds after each that they cannot keep.
    """
    rng = np.random.default_rng(8)
    waiting = np.cumsum(rng.exponential(1 / wanted_per_s, sentences)).tolist()  # in order, so a heap
    last = waiting[-1]
    free = [0.0] * servers
    again = (rng.random(9 * sentences) >= kept).tolist()
    thinks = rng.exponential(20, 9 * sentences).tolist()
    took = []
    for asks, thinking in zip(again, thinks, strict=True):
        now = heapq.heappop(waiting)
        done = max(now, free[0]) + picture_s
        heapq.heapreplace(free, done)
        if now > last / 10:  # not while it fills
            took.append(done - now)
        if asks:
            heapq.heappush(waiting, done + thinking)
        if not waiting or waiting[0] > last:  # nor while it empties
            break
    return np.array(took)


def gpus(draw: Draw, offer: Offer) -> int:
    """The fewest GPUs that keep the limit at p99, by trying them, without a spare."""
    slots = SLOTS if offer.candidate == "written" else 1
    work = offer.figures["picture_s"]
    kept = 1 / looked_and_drawn(share(draw, offer.candidate), draw.given["unsafe"])[1]
    least = draw.given["wanted"] / kept * work / slots
    for count in itertools.count(max(1, int(least))):
        if count * slots > least * slots:
            took = took_s(draw.given["wanted"], kept, work, count * slots)
            if np.quantile(took, 0.99) <= draw.given["limit"]:
                return count
    raise AssertionError("more GPUs always wait less")


def test_fleets_are_what_editors_need(scenario: Scenario) -> None:
    for draw in scenario.draws[::3]:
        wanted = gpus(draw, draw.best)
        assert 0 <= draw.best.figures["gpus"] - 1 - wanted <= max(1, round(0.07 * wanted))  # never too few, and a spare


def test_kept_and_looked_at_are_counted(scenario: Scenario) -> None:
    for draw in scenario.draws[::4]:
        for candidate in SHARES:
            figures = next(offer for offer in draw.offers if offer.candidate == candidate).figures
            looks, drawings = looked_and_drawn(share(draw, candidate), draw.given["unsafe"])
            assert figures["kept"] == pytest.approx(1 / drawings, rel=0.003)
            assert figures["look_usd"] == pytest.approx(1000 * draw.given["look"] * looks, rel=0.003)


def answers(scenario: Scenario, id: str) -> list[float]:
    """An estimate's answer in each draw."""
    return next([one.answer for one in found] for question, found in questions(scenario) if question.id == f"text-to-image-{id}")


def test_what_the_filter_stops_is_counted(scenario: Scenario) -> None:
    """The round's own filter, in every draw, and what its texts say of it."""
    for draw, answer in zip(scenario.draws, answers(scenario, "flagged"), strict=True):
        bad, stopped = drawn(draw.given["unsafe"])
        assert answer == pytest.approx(bad[stopped].mean(), rel=0.02)
    assert "a filter stops 95% of these, and one harmless picture in fifty" in " ".join(scenario.round.prompt.split())
    flagged = next(found for question, found in questions(scenario) if question.id == "text-to-image-flagged")
    assert all("stops 95% of these, and 2% of what is harmless" in one.prompt for one in flagged)


def test_estimates_are_what_a_count_finds(scenario: Scenario) -> None:
    wanted = {id: answers(scenario, id) for id in ("work", "steps-that-fit", "looks", "fleet")}
    guided_pass, decoder = nm.preset("sdxl").flops(), nm.preset("sdxl-vae-decoder").flops()
    for number, draw in enumerate(scenario.draws):
        given = draw.given
        drawings = looked_and_drawn(given["large_kept"], given["unsafe"])[1]
        assert wanted["work"][number] == pytest.approx(sum([decoder, *[guided_pass] * 50]) * drawings, rel=0.003)
        left = given["limit"] - slow_s("sdxl-decoder", 1, "l4") - slow_s("filter", 1, "l4")
        assert wanted["steps-that-fit"][number] == pytest.approx(left / slow_s("sdxl", 2, "l4"), rel=1e-6)
        looks = looked_and_drawn(given["gan_kept"], given["unsafe"])[0]
        assert wanted["looks"][number] == pytest.approx(1000 * looks * given["look"], rel=0.005)
        if number < 6:
            few = next(one for one in draw.offers if (one.candidate, one.device) == ("few", "l4"))
            assert wanted["fleet"][number] == pytest.approx(gpus(draw, few), abs=1)


@pytest.mark.parametrize("number", [0, 2, 4, 12])
def test_nothing_cheaper_holds(scenario: Scenario, number: int) -> None:
    """Every candidate on every GPU: its simulated fleet and its counted looks."""
    draw = scenario.draws[number]

    def usd(offer: Offer, hired: float) -> float:
        gpu_usd = hired * nm.device(offer.device).price_usd_per_hour / 3600 / (MEAN * draw.given["wanted"])
        return 1000 * (gpu_usd + draw.given["look"] * looked_and_drawn(share(draw, offer.candidate), draw.given["unsafe"])[0])

    chosen = usd(draw.best, gpus(draw, draw.best) + 1)
    one = usd(draw.best, 1) - usd(draw.best, 0)
    assert abs(draw.best.figures["usd"] - chosen) <= 1.1 * one
    for offer in draw.offers:
        if offer.figures["picture_s"] >= draw.given["limit"] or offer == draw.best:
            continue
        work = offer.figures["picture_s"] / (SLOTS if offer.candidate == "written" else 1)
        drawings = draw.given["wanted"] * looked_and_drawn(share(draw, offer.candidate), draw.given["unsafe"])[1]
        if usd(offer, 1 + drawings * work) < chosen:  # else not even a full fleet is cheaper
            assert usd(offer, gpus(draw, offer) + 1) >= chosen - one
