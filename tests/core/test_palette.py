import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core import palette
from iscan_dash.core.palette import LABELS, label_colours, next_colour


def test_the_colours_are_sixty_different_ones() -> None:
    greys = {palette.UNASSIGNED, palette.MISSING, palette.OTHER, palette.ZERO}

    assert len(LABELS) == len(set(LABELS)) == 60
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in LABELS)
    assert not greys & set(LABELS)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG has it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("page", "greys"),
    [
        ("#ffffff", {grey: grey for grey in palette.ON_DARK}),
        ("#1d2229", palette.ON_DARK),
    ],
)
def test_zero_missing_and_other_are_told_apart_in_both_themes(page: str, greys: dict[str, str]) -> None:
    zero, missing, other = (greys[grey] for grey in (palette.ZERO, palette.MISSING, palette.OTHER))

    # Zero is nearest to the page; each is seen on it and beside the next.
    assert contrast(zero, page) > 1.2
    assert contrast(missing, zero) > 1.8
    assert contrast(other, missing) > 1.8
    assert contrast(missing, page) > 2.5


@given(st.data())
def test_colours_depend_on_the_set_of_labels_only(data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.text(alphabet="aAbB012 ", max_size=3), unique=True, max_size=20))
    others = data.draw(st.permutations(labels))

    assert label_colours(labels) == label_colours(others)
    assert set(label_colours(labels)) == set(labels)
    assert set(label_colours(labels).values()) == set(LABELS[: len(labels)])


def test_labels_take_colours_in_natural_order() -> None:
    assert label_colours(["b10", "B2", "a"]) == {"a": LABELS[0], "B2": LABELS[1], "b10": LABELS[2]}


def test_colours_that_were_given_are_kept_and_not_given_again() -> None:
    colours = label_colours(["a", "b", "c"], {"b": LABELS[0].upper(), "gone": LABELS[1]})
    assert colours == {"a": LABELS[2], "b": LABELS[0].upper(), "c": LABELS[3]}


def test_more_labels_than_colours_start_again() -> None:
    colours = label_colours([f"{number:02}" for number in range(61)])

    assert colours["00"] == colours["60"] == LABELS[0]
    assert len(set(colours.values())) == 60


def test_when_all_colours_are_given_they_are_given_again() -> None:
    given_colours = {f"{number:02}": colour for number, colour in enumerate(LABELS)}
    assert label_colours([*given_colours, "new"], given_colours)["new"] == LABELS[0]


def test_the_next_colour_is_the_first_unused() -> None:
    assert next_colour([]) == LABELS[0]
    assert next_colour([LABELS[1], LABELS[0], "#000000"]) == LABELS[2]
    assert next_colour(LABELS) == LABELS[0]
    assert next_colour([*LABELS, LABELS[0]]) == LABELS[1]
