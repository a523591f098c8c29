import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from iscan_dash.core.selection.mask_codec import decode, encode


@given(arrays(bool, st.integers(0, 70)))
def test_a_mask_survives_packing(mask: np.ndarray) -> None:
    packed = encode(mask)
    assert len(packed) == (len(mask) + 7) // 8
    back = decode(packed, len(mask))
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)


@given(arrays(bool, st.integers(1, 70)))
def test_the_first_cell_is_the_lowest_bit(mask: np.ndarray) -> None:
    packed = encode(mask)
    assert [bool(packed[cell >> 3] >> (cell & 7) & 1) for cell in range(len(mask))] == mask.tolist()


@pytest.mark.parametrize(("packed", "n_cells"), [(b"", 1), (b"\1\1", 8), (b"\2", 1), (b"\1", 0)])
def test_masks_of_other_studies_are_refused(packed: bytes, n_cells: int) -> None:
    with pytest.raises(ValueError, match="mask"):
        decode(packed, n_cells)
