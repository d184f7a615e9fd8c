"""Adding rows to a matrix, in the same order every time."""

from __future__ import annotations

from torch import Tensor


def add_rows(matrix: Tensor, index: Tensor, rows: Tensor) -> None:
    """Add each row to that row of the matrix which its index names, in place.

    Rows of equal index are summed by a matrix product first; torch's own ways to accumulate add
    them in whatever order threads come, and a run could not be repeated bit for bit.

    Args:
        matrix: (C, ...).
        index: rows of the matrix, repeated at will, (N,).
        rows: (N, ...).
    """
    same = (index.unsqueeze(1) == index).to(rows.dtype)  # (N, N)
    matrix[index] += (same @ rows.flatten(1) if rows.dim() > 1 else same @ rows).view_as(rows)
