"""special: functions that numpy lacks, for the references; float64 inside, so float32 results are rounded rightly.

Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), 631-637.
"""

from functools import reduce

import numpy as np

# numerator and denominator coefficients, highest power first, for |x| <= 0.46875, up to 4, and beyond
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2)
    + (8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3)
    + (3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)
_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1)
    + (1.60837851487422766e-2, 6.58749161529837803e-4),
    (
        1.0,
        2.56852019228982242,
        1.87295284992346725,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
_RSQRT_PI = 0.56418958354775628695


def _ratio(coefficients, t):
    above, below = coefficients
    return _polynomial(above, t) / _polynomial(below, t)


def _polynomial(coefficients, t):
    return reduce(lambda y, c: y * t + c, coefficients)


def _erfc_tail(y):
    """erfc(y) for y > 0.46875."""
    y = np.minimum(y, 30.0)  # erfc(30) is 0 in float64; beyond that only overflow would be new
    square = 1 / (y * y)
    far = (_RSQRT_PI - square * _ratio(_LARGE, square)) / y
    coarse = np.trunc(y * 16) / 16  # e^(-y^2) in two factors keeps its last digits
    return np.exp(-coarse * coarse) * np.exp(-(y - coarse) * (y + coarse)) * np.where(y <= 4, _ratio(_MIDDLE, y), far)


def erf(x):
    """The error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x, elementwise on an array."""
    wide = x.astype(np.float64)
    size = np.abs(wide)
    inner = wide * _ratio(_SMALL, np.minimum(size, 1.0) ** 2)
    outer = np.copysign(1 - _erfc_tail(np.maximum(size, 0.46875)), wide)
    return np.where(size <= 0.46875, inner, np.where(np.isnan(wide), wide, outer)).astype(x.dtype)
