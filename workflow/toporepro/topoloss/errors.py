"""What can go wrong with a cortical sheet: one error and one warning class."""


class TopoLossError(ValueError):
    """A layer, sheet or factor on which the topographic loss is not defined."""


class SheetWarning(UserWarning):
    """The loss is defined on this sheet, but it will not give a two-dimensional map."""
