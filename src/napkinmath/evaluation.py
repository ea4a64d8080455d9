"""Closed forms of evaluation: how many samples a decision needs, what a metric's error is, and what judges and samplers do to it.

Rates, shares and probabilities lie between 0 and 1. ``effect`` is an absolute difference: 0.01 for one point of a rate. Tests are two-sided
with two arms of equal size, by the normal approximation: below about ten events in an arm it is too optimistic. ``alpha`` is the chance of
an alarm without an effect, ``power`` the chance of one when the effect is as large as stated. Samples are independent unless a name says
otherwise.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

from .scalar import special, sqrt

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any

#: :func:`normal_quantile` in JavaScript, as an expression: Newton's method on the power series of the normal distribution (Abramowitz and
#: Stegun 26.2.11). From 0 it approaches the root from one side.
_NORMAL_QUANTILE_JS = (
    "((p)=>{{let z=0;for(let i=0;i<30;i++){{let t=z,s=z;for(let k=3;k<200;k+=2)s+=t*=z*z/k;"
    "let f=Math.exp(-z*z/2)/Math.sqrt(2*Math.PI);z-=(0.5+f*s-p)/f;}}return z;}})({0})"
)


def normal_quantile(quantile: Value) -> Value:
    """How many standard deviations above the mean a share ``quantile`` of a normal distribution ends; strictly between 0 and 1.

    >>> round(normal_quantile(0.975), 3), round(normal_quantile(0.8), 3)
    (1.96, 0.842)
    """
    return special(_normal_quantile, quantile, latex=r"z_{{{0}}}", javascript=_NORMAL_QUANTILE_JS)


# Samples --------------------------------------------------------------------------------------------------------------


def rate_variance(rate: Value) -> Value:
    """Variance of a sample that is 1 with probability ``rate``, else 0.

    >>> rate_variance(0.5)
    0.25
    """
    return rate * (1 - rate)


def standard_error(variance: Value, samples: Value) -> Value:
    """Standard deviation of the mean of ``samples``: ``sqrt(variance / samples)``. Twice it, either way, is the 95% interval.

    For a paired comparison ``variance`` is that of the differences.

    >>> standard_error(rate_variance(0.5), samples=400)
    0.025
    """
    return sqrt(variance / samples)


def mean_test_samples(variance: Value, effect: Value, alpha: Value = 0.05, power: Value = 0.8) -> Value:
    """Samples of each arm: ``2 (z_(1-alpha/2) + z_power)^2 variance / effect^2``. Half as much variance, half as many samples.

    >>> round(mean_test_samples(variance=1, effect=0.1))
    1570
    """
    return 2 * variance * ((normal_quantile(1 - alpha / 2) + normal_quantile(power)) / effect) ** 2


def rate_test_samples(rate: Value, effect: Value, alpha: Value = 0.05, power: Value = 0.8) -> Value:
    """Samples of each arm that tell ``rate`` from ``rate + effect``: pooled variance under no effect, each arm's own under the effect.

    The same as R's ``power.prop.test``: ``p1 = .50, p2 = .75, power = .90`` need 76.7.

    >>> round(rate_test_samples(rate=0.5, effect=0.25, power=0.9), 1)
    76.7
    """
    null = sqrt(2 * rate_variance(rate + effect / 2))
    real = sqrt(rate_variance(rate) + rate_variance(rate + effect))
    return ((normal_quantile(1 - alpha / 2) * null + normal_quantile(power) * real) / effect) ** 2


def detectable_effect(variance: Value, samples: Value, alpha: Value = 0.05, power: Value = 0.8) -> Value:
    """The effect that ``samples`` in each arm find with probability ``power``: :func:`mean_test_samples` solved for the effect.

    >>> round(detectable_effect(variance=1, samples=1570), 3)
    0.1
    """
    return (normal_quantile(1 - alpha / 2) + normal_quantile(power)) * sqrt(2 * variance / samples)


def clustered_variance(variance: Value, cluster_size: Value, correlation: Value) -> Value:
    """Variance to use where samples come in clusters (a user's sessions) of one size: times ``1 + (size - 1) correlation`` (Kish 1965).

    ``correlation`` is that of two samples of one cluster. At 1 the clusters are the samples.

    >>> clustered_variance(variance=0.25, cluster_size=5, correlation=0.5)
    0.75
    """
    return variance * (1 + (cluster_size - 1) * correlation)


def adjusted_variance(variance: Value, correlation: Value) -> Value:
    """Variance left after subtracting what a covariate from before the test predicts: CUPED.

    Deng et al. 2013, doi:10.1145/2433396.2433413. ``correlation`` is that of covariate and metric over users.

    >>> adjusted_variance(variance=1, correlation=0.5)
    0.75
    """
    return variance * (1 - correlation**2)


def false_alarm_share(tests: Value, alpha: Value = 0.05) -> Value:
    """Probability of at least one alarm among ``tests`` independent comparisons in none of which there is an effect.

    >>> round(false_alarm_share(tests=20), 2)
    0.64
    """
    return 1 - (1 - alpha) ** tests


# Classifiers ----------------------------------------------------------------------------------------------------------


def precision_share(recall: Value, false_positive_rate: Value, prevalence: Value) -> Value:
    """Share of alarms that are right, by Bayes' rule: it falls with the share ``prevalence`` of positives, though the model is the same.

    >>> round(precision_share(recall=0.8, false_positive_rate=0.01, prevalence=0.01), 3)
    0.447
    """
    hits = recall * prevalence
    return hits / (hits + false_positive_rate * (1 - prevalence))


def allowed_false_positive_share(precision: Value, recall: Value, prevalence: Value) -> Value:
    """Share of negatives that may raise an alarm at a fixed precision: :func:`precision_share` solved for it.

    Also the identity behind the conflict of fairness criteria (Chouldechova 2016, arXiv:1610.07524): groups of unequal prevalence, equal
    precision and equal recall have unequal false-positive rates.

    >>> round(allowed_false_positive_share(precision=0.9, recall=0.8, prevalence=0.01), 6)
    0.000898
    """
    return recall * prevalence * (1 - precision) / (precision * (1 - prevalence))


# Judges, samplers and distances ---------------------------------------------------------------------------------------


def judged_pairs(win_rate: Value, agreement: Value, alpha: Value = 0.05, power: Value = 0.8) -> Value:
    """Pairs that tell a true ``win_rate`` from one half by a judge who is right on a share ``agreement`` of pairs, whoever wins.

    Wrong verdicts shrink the edge to ``(2 agreement - 1) (win_rate - 1/2)``, so pairs grow with the inverse square. Leaves out ties, and
    bias: a judge who prefers one system errs at any number of pairs.

    >>> round(judged_pairs(win_rate=0.55, agreement=1)), round(judged_pairs(win_rate=0.55, agreement=0.8))
    (783, 2178)
    """
    edge = (2 * agreement - 1) * (win_rate - 0.5)
    null, real = normal_quantile(1 - alpha / 2) / 2, normal_quantile(power) * sqrt(rate_variance(0.5 + edge))
    return ((null + real) / edge) ** 2


def rectified_error(residual_variance: Value, labelled: Value, judge_variance: Value, judged: Value) -> Value:
    """Standard error of a judge's mean over ``judged`` samples, corrected by the mean of human minus judge over ``labelled`` others.

    Unbiased whatever the judge's bias (prediction-powered inference, Angelopoulos et al. 2023, arXiv:2301.09633). ``residual_variance`` is
    that of human minus judge.

    >>> round(rectified_error(residual_variance=0.16, labelled=400, judge_variance=0.25, judged=10_000), 4)
    0.0206
    """
    return sqrt(residual_variance / labelled + judge_variance / judged)


def sampled_rank(rank: Value, items: Value, negatives: Value) -> Value:
    """Expected rank among ``negatives`` random others of what stands at ``rank`` of ``items`` (Krichene and Rendle 2020).

    >>> round(sampled_rank(rank=500, items=100_000, negatives=100), 2)
    1.5
    """
    return 1 + (rank - 1) * negatives / (items - 1)


def fid_floor(features: Value, samples: Value) -> Value:
    """Expected Frechet distance of two sets of ``samples`` from *one* normal distribution of independent ``features`` of variance 1.

    To first order in ``features / samples``: ``2 / samples`` times ``features`` from the means, and times ``features (features + 1) / 4``
    from the covariances. Within 5% from five samples a feature on. Real features are correlated and unequal, which lowers it.

    >>> fid_floor(features=10, samples=1000)
    0.075
    """
    return 2 / samples * (features + features * (features + 1) / 4)


def _normal_quantile(quantile: float) -> float:
    return NormalDist().inv_cdf(quantile)
