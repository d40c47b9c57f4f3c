"""A toy kind of model: every token adds its own row, and the stream is the running mean.  (PURE: no torch.)"""

from energylang.models.kinds import Kind

KINDS = (
    Kind(
        "bag",
        lambda where, entries, config: tuple(
            (entries[name].shape[0], name) for name in sorted(n for n in entries if n.startswith("mix."))
        ),
        landscape=False,
        network="energylang.models.bag.network",
        config="BagConfig",
    ),
)
