"""Closed forms of a device that nobody cools: what a pass takes from the battery, how often it may run, and for how long it may run faster.

Latency is :func:`napkinmath.latency.predict`'s or :func:`napkinmath.fusion.kernels_s`'s; this module turns it into joules and heat.
"""

from __future__ import annotations

import math
from typing import Any

from .scalar import log, minimum, where

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any


def pass_energy_j(macs: Value, bytes_moved: Value, mac_j: Value, byte_j: Value, pass_s: Value = 0, powered_w: Value = 0) -> Value:
    """Joules of one pass: its arithmetic, its traffic to memory, and what is powered for as long as it runs.

    Args:
        macs: multiply-accumulates.
        bytes_moved: to and from the memory that ``byte_j`` is of, usually DRAM.
        mac_j: joules of a multiply-accumulate. In a 45 nm process 4.6 pJ in fp32, 0.3 pJ in int8 with a 32-bit sum (Horowitz 2014,
            doi:10.1109/ISSCC.2014.6757323).
        byte_j: joules of a byte; 160 pJ for DRAM by the same table (640 pJ for 32 bits).
        pass_s: seconds that the pass takes.
        powered_w: watts that are drawn meanwhile, whatever is computed: control, instructions, leakage, the rest of the board.

    The first two terms are a floor; on a general-purpose core the third is most of it.

    >>> round(pass_energy_j(macs=300e6, bytes_moved=20e6, mac_j=4.6e-12, byte_j=160e-12), 5)
    0.00458
    >>> round(pass_energy_j(300e6, 20e6, 4.6e-12, 160e-12, pass_s=0.03, powered_w=2), 5)
    0.06458
    """
    return macs * mac_j + bytes_moved * byte_j + pass_s * powered_w


def sustained_per_s(pass_s: Value, pass_j: Value, shed_w: Value) -> Value:
    """Passes a second that can go on for hours: as fast as they follow one another, or as their heat leaves.

    ``shed_w`` is what the case gives off at the temperature it may have, less what everything else on the device draws. The energy of a
    pass is taken as fixed: a lower clock and voltage would make it smaller, and the pass longer.

    >>> sustained_per_s(pass_s=0.03125, pass_j=0.01, shed_w=0.5), sustained_per_s(pass_s=0.03125, pass_j=0.0625, shed_w=0.5)
    (32.0, 8.0)
    """
    return minimum(1 / pass_s, shed_w / pass_j)


def burst_s(power_w: Value, shed_w: Value, cooling_s: Value) -> Value:
    """Seconds from cold until a device that draws ``power_w`` is as warm as it may be; infinite if it sheds that much.

    One thermal mass with one path to the air: from the ambient temperature its warmth tends to a level proportional to ``power_w``, and
    has come to within 37% (1/e) of it after ``cooling_s``. ``shed_w`` is the power whose level is the temperature allowed. Ignores that a
    chip is warmer than its case and reaches its own limit sooner.

    >>> round(burst_s(power_w=6, shed_w=3, cooling_s=100), 1), burst_s(power_w=2, shed_w=3, cooling_s=100)
    (69.3, inf)
    """
    return where(power_w > shed_w, lambda: -cooling_s * log(1 - shed_w / power_w), math.inf)
