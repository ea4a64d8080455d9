"""Video understanding: networks counted, clips judged one by one, queues simulated, the archive hour by hour, the choice by trying."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import napkinmath
from workbook.rounds.estimates import questions
from workbook.rounds.scenario import Draw, Offer, Scenario

FRAMES = {"ears": 0, "student": 4, "gate": 8, "gate-16": 16, "divided": 16}


# Work: networks that are run on tensors without data ------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(-1, (-1, 64)).transpose(-2, -3) for part in (self.q, self.k, self.v))
        return self.out(((q @ k.mT).softmax(-1) @ v).transpose(-2, -3).flatten(-2))


class Layer(nn.Module):
    """A layer of a transformer; ``frames`` makes it attend along time first, and pass that through one map more."""

    def __init__(self, width: int, frames: int = 0) -> None:
        super().__init__()
        self.frames = frames
        self.space, self.ffn = Attention(width), nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        if frames:
            self.time, self.after = Attention(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        if self.frames:  # [frames, 1 + places, width], the class token with every frame
            along = self.after(self.time(x[:, 1:].transpose(0, 1))).transpose(0, 1)
            x = torch.cat([x[:, :1], x[:, 1:] + along], 1)
        x = x + self.space(x)
        return x + self.ffn(x)


def layers(count: int, width: int, frames: int = 0) -> list[nn.Module]:
    return [Layer(width, frames) for _ in range(count)]


@functools.cache
def counted(network: str, frames: int = 1) -> int:
    """FLOPs of a network by what torch multiplies."""
    with torch.device("meta"):
        if network == "sound" or network == "small-sound":
            width, depth = (512, 6) if network == "sound" else (384, 4)
            heard = torch.empty(1, 80, 1000)
            parts = [nn.Conv1d(80, width, 3, padding=1), nn.Conv1d(width, width, 3, stride=2, padding=1)]
            rest = layers(depth, width)
        elif network == "words":
            heard, parts, rest = torch.empty(1, 384, 64), [], layers(6, 384)
        else:
            width = 384 if network == "small" else 768
            heard = torch.empty(frames, 3, 224, 224)
            parts = [nn.Conv2d(3, width, 16, 16), nn.Flatten(2), nn.ConstantPad1d((1, 0), 0.0)]
            rest = layers(12, width, frames if network == "divided" else 0)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            tokens = nn.Sequential(*parts)(heard).transpose(1, 2)
            nn.Sequential(*rest)(tokens)
    return int(counter.get_total_flops())


def test_work_is_what_torch_multiplies(scenario: Scenario) -> None:
    wide = {"gate": counted("vit", 8), "gate-16": counted("vit", 16), "divided": counted("divided", 16), "student": 0, "ears": 0}
    beside = counted("sound") + counted("words")
    narrow = {"student": counted("small", 4) + counted("small-sound") + counted("words")}
    for offer in scenario.draws[0].offers:
        device = napkinmath.device(offer.device)
        wide_s = napkinmath.predict(napkinmath.vit_b_16.ledger(batch=8, dtype="fp16"), device).high_s / counted("vit", 8)
        narrow_s = napkinmath.predict(napkinmath.deit_s.ledger(batch=4, dtype="fp16"), device).high_s / counted("small", 4)
        wanted = wide[offer.candidate] * wide_s + narrow.get(offer.candidate, beside) * narrow_s
        assert offer.figures["work_s"] == pytest.approx(wanted, rel=0.02)


# Clips that are right -------------------------------------------------------------------------------------------------------


def judged(draw: Draw, candidate: str, rng: np.random.Generator) -> float:
    """The share of right ones among many clips, each with its own luck."""
    given, luck = draw.given, rng.random(1_000_000)
    sounds = rng.random(luck.size) >= given["muted"]
    if candidate == "ears":
        return float((luck < np.where(sounds, 0.7, 0.1)).mean())
    seen = {"student": 0.74, "gate": 0.74, "gate-16": given["more"], "divided": given["more"] + 0.02}[candidate]
    right = luck < seen + given["gain"] * sounds
    kept = rng.random(luck.size) < given["student"] if candidate == "student" else True
    return float((right & kept).mean())


def test_clips_right_are_those_that_are_counted(scenario: Scenario) -> None:
    rng = np.random.default_rng(3)
    for draw in scenario.draws[:6]:
        for candidate in FRAMES:
            figures = next(offer for offer in draw.offers if offer.candidate == candidate).figures
            assert figures["right"] == pytest.approx(judged(draw, candidate, rng), abs=0.002)


# Machines -------------------------------------------------------------------------------------------------------------------


def through(ready: np.ndarray, work_s: float, servers: int) -> np.ndarray:
    """When each is done. Services are equal, so servers take turns, and a server's n-th clip waits for its one before."""
    turns = -(-ready.size // servers)
    begun = np.pad(ready, (0, turns * servers - ready.size), constant_values=ready[-1]).reshape(turns, servers)
    before = np.arange(turns)[:, None] * work_s
    return (np.maximum.accumulate(begun - before) + before + work_s).ravel()[: ready.size]


@functools.cache
def arrivals(rate: float) -> np.ndarray:
    return np.cumsum(np.random.default_rng(5).exponential(1 / rate, 60_000))


def in_time(draw: Draw, candidate: str, work_s: float, cores: int, gpus: int) -> bool:
    """Whether 99 of 100 clips have their category within the limit, both queues included."""
    came = arrivals(draw.given["uploads"])
    hands = 0.03 + FRAMES[candidate] * draw.given["decode"]
    done = through(through(came, hands, cores), work_s, gpus)
    return bool(np.quantile((done - came)[6000:], 0.99) <= draw.given["limit"])


def fewest(draw: Draw, offer: Offer) -> int | None:
    """GPUs that are needed with the planned cores, without a spare, by trying; None where any number is late."""
    work_s, cores = offer.figures["work_s"], int(offer.figures["cores"])
    if not in_time(draw, offer.candidate, work_s, cores, 4000):
        return None
    least = int(draw.given["uploads"] * work_s) + 1
    return next(gpus for gpus in itertools.count(least) if in_time(draw, offer.candidate, work_s, cores, gpus))


def archive_usd(draw: Draw, offer: Offer, gpus: int) -> float:
    """A month hour by hour, traffic a wave whose mean is 40% of its peak: half of what is idle works on the archive."""
    wave = 0.04 + 0.96 * ((1 + np.sin(np.arange(730) / 730 * 30 * 2 * np.pi)) / 2) ** 2  # thirty whole days
    bill = 0.0
    cores, hands = int(offer.figures["cores"]), 0.03 + FRAMES[offer.candidate] * draw.given["decode"]
    price = napkinmath.device(offer.device).price_usd_per_hour
    for count, work_s, usd in ((gpus, offer.figures["work_s"], price), (cores, hands, 30 / 730)):
        idle = (count - draw.given["uploads"] * work_s * wave) * 3600 / 2
        bill += max(0.0, draw.given["archive"] * work_s - idle.sum()) / 3600 * usd
    return bill


def total(draw: Draw, offer: Offer, gpus: int, right: float) -> float:
    machines = gpus * 730 * napkinmath.device(offer.device).price_usd_per_hour + 30 * offer.figures["cores"]
    wrong = (1 - right) * draw.given["uploads"] * 0.4 * 730 * 3600 * draw.given["wrong"] / 1000
    return machines + archive_usd(draw, offer, gpus) / 12 + wrong


def test_turns_are_a_queue(queue: type) -> None:
    """Equal services in turns are one queue before several servers, event by event."""
    slow = queue(200, lambda rng, count: np.full(count, 0.024), 4000)
    came = np.cumsum(np.random.default_rng(0).exponential(1 / 200, 4000))
    assert (through(came, 0.024, 6) - came)[400:] == pytest.approx(slow.response_s(6))


@pytest.mark.parametrize("number", [0, 2, 3, 4, 9, 15, 19])
def test_nothing_cheaper_holds_in_simulation(scenario: Scenario, number: int) -> None:
    """Every candidate on every device, its queues simulated: with spare, archive and errors it costs as much as the choice, or more."""
    draw, rng = scenario.draws[number], np.random.default_rng(8)
    shares = {candidate: judged(draw, candidate, rng) for candidate in FRAMES}
    wanted = fewest(draw, draw.best)
    assert wanted is not None
    # Never too few. The plan adds the p99 of two queues, which is more than the p99 of their sum, and rounds up.
    assert 0 <= draw.best.figures["fleet"] - 1 - wanted <= max(1, 0.2 * wanted)
    chosen = total(draw, draw.best, wanted + 1, shares[draw.best.candidate])
    assert draw.best.figures["total"] == pytest.approx(chosen, rel=0.1)
    for offer in draw.offers:
        least = 1 + int(draw.given["uploads"] * offer.figures["work_s"])
        if total(draw, offer, least, shares[offer.candidate]) > chosen:
            continue  # not even a full fleet is cheaper
        gpus = fewest(draw, offer)
        if offer.breaks:  # late, or so near that the plan's allowance for a core's queue decides
            assert gpus is None or offer.figures["path_s"] < 1.04 * draw.given["limit"]
        else:
            assert gpus is not None
            assert total(draw, offer, gpus + 1, shares[offer.candidate]) >= 0.98 * chosen


def test_the_archive_is_what_a_month_of_hours_leaves(scenario: Scenario) -> None:
    for draw in scenario.draws:
        for offer in draw.offers[::3]:
            wanted = archive_usd(draw, offer, int(offer.figures["fleet"]))
            assert offer.figures["archive_usd"] == pytest.approx(wanted, rel=0.001, abs=1)
            hired = offer.figures["fleet"] * 730 * napkinmath.device(offer.device).price_usd_per_hour + offer.figures["cores"] * 30
            assert offer.figures["machines_usd"] == pytest.approx(hired + wanted / 12, rel=0.001)


def test_cores_are_the_fewest_whose_wait_is_short(scenario: Scenario) -> None:
    """A core for each clip, by trying them: 99 of 100 clips wait for 5 ms at most."""
    for draw in scenario.draws[:6]:
        came, hands = arrivals(draw.given["uploads"]), 0.03 + FRAMES[draw.best.candidate] * draw.given["decode"]

        def waits(cores: int, came: np.ndarray = came, hands: float = hands) -> float:
            return float(np.quantile((through(came, hands, cores) - came)[6000:], 0.99)) - hands

        fewest_cores = next(cores for cores in itertools.count(int(draw.given["uploads"] * hands) + 1) if waits(cores) <= 0.005)
        assert abs(draw.best.figures["cores"] - fewest_cores) <= max(1, 0.04 * fewest_cores)


def test_a_little_beside_the_turn_another_is_cheapest(scenario: Scenario) -> None:
    for draw in scenario.draws:
        chosen = []
        for factor in (0.97, 1.03):
            thousands = draw.given["uploads"] * 0.4 * 730 * 3600 / 1000
            bills = [
                (one.figures["machines_usd"] + (1 - one.figures["right"]) * thousands * draw.flip.value * factor, one.candidate)
                for one in draw.offers
                if not one.breaks
            ]
            chosen.append(min(bills)[1])
        assert set(chosen) == {draw.best.candidate, draw.flip.to}


# Estimates ------------------------------------------------------------------------------------------------------------------


def frames_in_time(limit: float, decode: float) -> int:
    """Frames that a core decodes one after the other while 75 of the limit's milliseconds are left, in whole microseconds."""
    left, frames = round((limit - 0.03 - 0.005 - 0.04) * 1e6), 0
    while left >= round(decode * 1e6):
        left, frames = left - round(decode * 1e6), frames + 1
    return frames


def test_estimates_are_what_a_count_finds(scenario: Scenario) -> None:
    asked = {question.id.removeprefix("video-understanding-"): found for question, found in questions(scenario)}
    vectors_bytes = sum(np.empty(768, np.float16).nbytes for _ in range(8 + 1 + 1))
    rng = np.random.default_rng(4)
    for number, draw in enumerate(scenario.draws):
        given = draw.given
        gate = next(one for one in draw.offers if (one.candidate, one.device) == ("gate", "l4")).figures
        wanted = {
            "frames-that-fit": frames_in_time(given["limit"], given["decode"]),
            "busy": given["uploads"] * counted("vit", 8) / (0.16 * 121e12),
            "archive": given["archive"] * gate["work_s"],
            "features": given["archive"] * vectors_bytes,
        }
        for id, value in wanted.items():
            assert asked[id][number].answer == pytest.approx(value, rel=0.005), id
        if number < 6:
            assert asked["gated"][number].answer == pytest.approx(judged(draw, "gate", rng), abs=0.002)
