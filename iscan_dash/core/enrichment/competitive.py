"""How rarely random genes rank as high in a cell as those of a set: the tail of a Pearson III distribution.

The sum of weights of k genes drawn from all N without replacement has known mean, variance and skewness; a gamma
distribution, shifted, that has them too stands for it. All is done in logarithms, so nothing underflows.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.kernel import kernel

LARGE = 200.0
"""Shape of a gamma distribution from which on its tail is taken from an expansion, with errors below 1 / LARGE**2."""

NORMAL = 1e-7
"""Skewness below which the distribution is taken as normal."""

PRECISION = 1e-8
"""Relative size of what a series or a fraction still gains when it ends."""

N_KNOWN = 9
"""What is known of the sums of random genes of a cell."""

LOWEST_SKEWNESS, STEP_SKEWNESS, N_SKEWNESS = 0.2, 1 / 64, 104
LOWEST_Z, STEP_Z, N_Z = -4.0, 1 / 16, 209
"""Where the table of tails begins, its steps, and how many they are: up to a skewness of 1.8 and a z of 9."""
_LOG10 = math.log(10.0)
_ROOT_PI = math.sqrt(math.pi)


def most_surprising(sizes: np.ndarray, n_genes: int) -> np.ndarray:
    """Return -log10 of the chance to draw the very genes of a set, which no P is below.

    Parameters
    ----------
    sizes
        Genes of each set.
    n_genes
        Genes of the matrix.

    Examples
    --------
    >>> most_surprising(np.array([1, 2]), 10).round(3).tolist()
    [1.0, 1.653]
    """
    sizes = np.asarray(sizes, np.float64)
    # Imported here as a server starts without it.
    from scipy.special import gammaln

    found: np.ndarray = (gammaln(n_genes + 1) - gammaln(sizes + 1) - gammaln(n_genes - sizes + 1)) / _LOG10
    return found


class Draws(NamedTuple):
    """The random sets that sets are compared with.

    Parameters
    ----------
    sizes
        Their different sizes, int64.
    number
        Which of the sizes each set has; shape (n_sets,), int64.
    most
        See `most_surprising`, for each size; float64.
    table
        See `tail_table`.
    """

    sizes: np.ndarray
    number: np.ndarray
    most: np.ndarray
    table: np.ndarray


def draws_of(sizes: np.ndarray, n_genes: int) -> Draws:
    """List the random sets for sets of some sizes."""
    different, number = np.unique(sizes, return_inverse=True)
    return Draws(different.astype(np.int64), number.astype(np.int64), most_surprising(different, n_genes), tail_table())


@kernel
def scaled_erfc(y: float) -> float:
    """Return ``exp(y**2) * erfc(y)`` for y >= 0."""
    if y < 6.0:
        return math.exp(y * y) * math.erfc(y)
    # A continued fraction, of which these levels give all digits from here on.
    tail = 0.0
    for level in range(20, 0, -1):
        tail = 0.5 * level / (y + tail)
    return 1.0 / (_ROOT_PI * (y + tail))


@kernel
def log_upper_large(shape: float, x: float) -> float:
    """Return the log of the upper tail of a gamma distribution of large shape (Temme's uniform expansion).

    Parameters
    ----------
    shape, x
        Shape of the distribution, and where its tail begins: above zero.
    """
    mu = (x - shape) / shape
    if abs(mu) < 0.02:
        half = mu * mu * (0.5 - mu * (1 / 3 - mu * (0.25 - mu * (0.2 - mu * (1 / 6 - mu * (1 / 7 - mu * 0.125))))))
    else:
        half = mu - math.log1p(mu)
    eta = math.copysign(math.sqrt(2.0 * half), mu)
    # The first two terms of the expansion; where eta is small they are differences of like numbers.
    if abs(eta) < 0.05:
        first = -1 / 3 + eta * (1 / 12 - eta * (2 / 135 - eta * (1 / 864 + eta * (1 / 2835 - eta * 139 / 777600))))
        second = -1 / 540 + eta * (-1 / 288 + eta * (1 / 378 + eta * (-77 / 77760 + eta / 4860)))
    else:
        first = 1.0 / mu - 1.0 / eta
        second = 1.0 / eta**3 - 1.0 / mu**3 - 1.0 / mu**2 - 1.0 / (12.0 * mu)
    rest = (first + second / shape) / math.sqrt(2.0 * math.pi * shape)
    y = eta * math.sqrt(0.5 * shape)
    if y >= 0.0:
        return -y * y + math.log(max(0.5 * scaled_erfc(y) + rest, 1e-300))
    return math.log(min(1.0, max(0.5 * math.erfc(y) + rest * math.exp(-y * y), 1e-300)))


@kernel
def lower_series(shape: float, x: float) -> tuple[float, float]:
    """Return the lower tail of a gamma distribution by its power series, as a factor and the log of another.

    It is for x up to about the shape.
    """
    term = 1.0 / shape
    total = term
    below = shape
    while term > PRECISION * total:
        below += 1.0
        term *= x / below
        total += term
    return total, shape * math.log(x) - x - math.lgamma(shape)


@kernel
def log_upper_fraction(shape: float, x: float) -> float:
    """Return the log of the upper tail of a gamma distribution by its continued fraction, for x above the shape + 1."""
    # By the recurrence of its convergents, which needs a division only where they are compared.
    above, below = 1.0, x + 1.0 - shape
    old_above, old_below = 0.0, 1.0
    value, last = above / below, 0.0
    b, level = below, 0.0
    while abs(value - last) > PRECISION * value:
        for _ in range(4):
            level += 1.0
            b += 2.0
            a = level * (shape - level)
            old_above, above = above, b * above + a * old_above
            old_below, below = below, b * below + a * old_below
        last, value = value, above / below
        old_above, old_below, above, below = old_above / below, old_below / below, value, 1.0
    return math.log(value) - x + shape * math.log(x) - math.lgamma(shape)


@kernel
def log_complement(log_p: float) -> float:
    """Return the log of 1 - P."""
    return math.log(max(-math.expm1(log_p), 1e-300))


@kernel
def log_upper(shape: float, x: float) -> float:
    """Return the log of the upper tail of a gamma distribution.

    Parameters
    ----------
    shape, x
        Shape of the distribution (its scale is 1), and where its tail begins.
    """
    if x <= 0.0:
        return 0.0
    if shape > LARGE:
        return log_upper_large(shape, x)
    if x > shape + 1.0:
        return log_upper_fraction(shape, x)
    factor, log_p = lower_series(shape, x)
    return math.log(max(1.0 - factor * math.exp(log_p), 1e-300))


@kernel
def log_lower(shape: float, x: float) -> float:
    """Return the log of the lower tail of a gamma distribution; parameters as for `log_upper`."""
    if x <= 0.0:
        return -math.inf
    if shape > LARGE:
        # Far down the complement of the upper tail has no digits left, but no P is that small there: see the cap.
        return log_complement(log_upper_large(shape, x))
    if x > shape + 1.0:
        return log_complement(log_upper_fraction(shape, x))
    factor, log_p = lower_series(shape, x)
    return math.log(factor) + log_p


@kernel
def log_upper_normal(z: float) -> float:
    """Return the log of the upper tail of a normal distribution."""
    y = z * math.sqrt(0.5)
    if y > 0.0:
        return math.log(0.5 * scaled_erfc(y)) - y * y
    return math.log1p(-0.5 * math.erfc(-y))


@kernel
def minus_log10_tail(z: float, skewness: float) -> float:
    """Return -log10 of the upper tail of the Pearson III distribution of mean 0, deviation 1 and some skewness."""
    if abs(skewness) < NORMAL:
        return -log_upper_normal(z) / _LOG10
    root = 2.0 / skewness
    shape = root * root
    x = shape + z * root
    return -(log_upper(shape, x) if skewness > 0.0 else log_lower(shape, x)) / _LOG10


@kernel
def cubic(t: float) -> tuple[float, float, float, float]:
    """Return the weights of four places for a cubic through them, at t from 0 to 1 between the two in the middle."""
    return (
        t * (t - 1.0) * (t - 2.0) / -6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 2.0) / -2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )


@kernel
def fill_tails(table: np.ndarray) -> None:
    """Fill a table of tails, see `tail_table`."""
    for row in range(table.shape[0]):
        for column in range(table.shape[1]):
            table[row, column] = minus_log10_tail(LOWEST_Z + column * STEP_Z, LOWEST_SKEWNESS + row * STEP_SKEWNESS)


@cache
def tail_table() -> np.ndarray:
    """Return -log10 of tails by skewness and by z, from which those between are had with errors below 1e-6."""
    table = np.empty((N_SKEWNESS, N_Z))
    fill_tails(table)
    return table


@kernel
def describe(size: int, n_genes: int, sums: np.ndarray, known: np.ndarray) -> None:
    """Describe the sum of the weights of random genes of a cell.

    Parameters
    ----------
    size, n_genes
        How many genes are drawn, of how many.
    sums
        Sums of the weights of all genes, of their squares and of their cubes; shape (3,), float64.
    known
        Filled with the mean, the deviation (0 when there is nothing to tell sums apart by), the skewness, the z from
        which on the table is used, its first row of four, and their weights; shape (N_KNOWN,), float64.
    """
    known[:] = 0.0
    if size == 0 or size >= n_genes or n_genes < 3:
        return
    mean = sums[0] / n_genes
    square = sums[1] / n_genes
    k, n = float(size), float(n_genes)
    variance = (square - mean * mean) * k * (n - k) / (n - 1.0)
    third = sums[2] / n_genes - mean * (3.0 * square - 2.0 * mean * mean)
    third *= k * (n - k) * (n - 2.0 * k) / ((n - 1.0) * (n - 2.0))
    if variance <= 1e-12 * (k * mean) ** 2:
        return
    known[0] = k * mean
    known[1] = math.sqrt(variance)
    known[2] = third / (variance * known[1])
    known[3] = math.inf
    position = (known[2] - LOWEST_SKEWNESS) / STEP_SKEWNESS
    if 1.0 <= position < N_SKEWNESS - 2:
        # Where the distribution begins, nothing is smooth.
        known[3] = max(LOWEST_Z + STEP_Z, 0.5 - 2.0 / known[2])
        known[4] = int(position) - 1
        known[5], known[6], known[7], known[8] = cubic(position - int(position))


@kernel
def tail(total: float, known: np.ndarray, table: np.ndarray, most: float) -> float:
    """Return -log10 of the chance that as many random genes weigh as much in a cell.

    Parameters
    ----------
    total
        Sum of the weights of the set's genes.
    known
        What is known of such sums, see `describe`.
    table
        See `tail_table`.
    most
        The largest it can be, see `most_surprising`.
    """
    if total <= 0.0 or known[1] == 0.0:
        return 0.0
    z = (total - known[0]) / known[1]
    position = (z - LOWEST_Z) / STEP_Z
    if z < known[3] or position >= N_Z - 2:
        return min(max(minus_log10_tail(z, known[2]), 0.0), most)
    row, column = int(known[4]), int(position) - 1
    first, second, third, fourth = cubic(position - int(position))
    found = 0.0
    for place in range(4):
        own = table[row + place]
        of_row = first * own[column] + second * own[column + 1] + third * own[column + 2] + fourth * own[column + 3]
        found += known[5 + place] * of_row
    return min(max(found, 0.0), most)
