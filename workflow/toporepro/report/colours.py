"""Colours of categories."""

# Okabe & Ito (2008): told apart by colour-blind readers.
CATEGORIES = (
    "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#F0E442", "#000000",
)  # fmt: skip
