"""Numbers in sentences."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with what is counted, in singular or plural.

    Parameters
    ----------
    number
        How many.
    one, many
        The word for one, and for several; an ``s`` is added when the second is left out.

    Examples
    --------
    >>> counted(1, "label"), counted(2700, "cell"), counted(2, "group or array", "groups and arrays")
    ('1 label', '2,700 cells', '2 groups and arrays')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
