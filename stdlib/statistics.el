# statistics.el: a number over several seeds is a mean with a spread.
#
#     import statistics
#     load random:64
#     let counts = []
#     for seed in 1..3:
#         counts = counts + [(survey L0 seed=seed).num_basins]
#     report-over-seeds "basins" counts

# The mean of a list of numbers.
def mean-of(xs: List[Float]):
    require xs.count > 0, "the mean of nothing"
    let total = 0.0
    for x in xs:
        total = total + x
    return total / xs.count

# The square root, by Newton's rule: sixty rounds are enough for every number from 1e-12 to 1e12.
def root-of(x: Float):
    require x >= 0, "{x} has no square root"
    if x == 0:
        return 0.0
    let root = x
    for i in 1..60:
        root = (root + x / root) / 2
    return root

# The sample standard deviation (n - 1): one number has none, and asking for it is an error.
def std-of(xs: List[Float]):
    require xs.count > 1, "one number has no spread"
    let mean = (mean-of xs)
    let squares = 0.0
    for x in xs:
        squares = squares + (x - mean) * (x - mean)
    return (root-of (squares / (xs.count - 1)))

# One line: mean ± std and how many there were.
def report-over-seeds(what: Text, xs: List[Float]):
    let mean = (mean-of xs)
    let spread = (std-of xs)
    print "{what}: {mean:.3f} ± {spread:.3f} (n = {xs.count})"
    return mean
