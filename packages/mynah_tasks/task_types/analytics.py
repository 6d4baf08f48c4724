"""data_analytics: figures about tables."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mynah_tasks.task_types.typed import BadPayload, Payload, typed

Cell: TypeAlias = bool | int | float | str | None
Columns: TypeAlias = Mapping[str, Sequence[Cell]]

MOST_COMMON = 5
FENCE = 1.5
"""How many quartile distances away from the middle half a value is an outlier."""
AGGREGATES: Mapping[str, Callable[[Sequence[float]], Any]] = {
    "count": len,
    "sum": np.sum,
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "std": np.std,
}


class Describe(Payload):
    """Each column in figures."""

    op: Literal["describe"]

    def of(self, table: Columns) -> dict[str, Any]:
        """By column."""
        return {name: _describe(cells) for name, cells in table.items()}


class Correlation(Payload):
    """Which columns of numbers go together."""

    op: Literal["correlation"]

    def of(self, table: Columns) -> dict[str, Any]:
        """Pearson's coefficient of each pair of columns, where both have numbers; None for a constant."""
        numeric = {name: _numbers(cells) for name, cells in table.items() if _is_numeric(cells)}
        return {one: {other: _pearson(a, b) for other, b in numeric.items()} for one, a in numeric.items()}


class GroupBy(Payload):
    """One column's figures for each value of another one."""

    op: Literal["group_by"]
    by: str
    column: str
    aggregate: Literal["count", "sum", "mean", "median", "min", "max", "std"] = "mean"

    def of(self, table: Columns) -> dict[str, Any]:
        """By value, as text; rows without a number are left out."""
        groups: dict[str, list[float]] = defaultdict(list)
        for key, value in zip(_column(table, self.by), _numbers(_column(table, self.column)), strict=True):
            if np.isfinite(value):
                groups[str(key)].append(value)
        return {key: float(AGGREGATES[self.aggregate](values)) for key, values in sorted(groups.items())}


class Trend(Payload):
    """The straight line through a column."""

    op: Literal["trend"]
    column: str
    over: str | None = None
    """The column of the other axis; the row number when left out."""

    def of(self, table: Columns) -> dict[str, Any]:
        """Slope, intercept, and which share of the variance the line explains."""
        y = _numbers(_column(table, self.column))
        x = _numbers(_column(table, self.over)) if self.over else np.arange(len(y), dtype=np.float64)
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        if len(x) < 2 or np.ptp(x) == 0:  # noqa: PLR2004  # a line has two points
            raise BadPayload(f"a trend of {self.column} needs two different points")
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / np.square(x - x.mean()).sum())
        intercept = float(y.mean() - slope * x.mean())
        rest, all_of_it = np.square(y - slope * x - intercept).sum(), np.square(y - y.mean()).sum()
        return {"slope": slope, "intercept": intercept, "explained": float(1 - rest / all_of_it) if all_of_it else 1.0}


class Outliers(Payload):
    """Values that lie far from the middle half of a column."""

    op: Literal["outliers"]
    column: str

    def of(self, table: Columns) -> dict[str, Any]:
        """Their rows and values, and the fences beyond which they lie."""
        values = _numbers(_column(table, self.column))
        finite = values[np.isfinite(values)]
        if not len(finite):
            raise BadPayload(f"{self.column} holds no numbers")
        low, high = np.quantile(finite, (0.25, 0.75))
        fences = float(low - FENCE * (high - low)), float(high + FENCE * (high - low))
        rows = np.flatnonzero((values < fences[0]) | (values > fences[1]))
        return {"rows": rows.tolist(), "values": values[rows].tolist(), "fences": list(fences)}


Question: TypeAlias = Annotated[Describe | Correlation | GroupBy | Trend | Outliers, Field(discriminator="op")]


class DataAnalytics(Payload):
    """A table, as rows or columns or one list of numbers (column `value`), and questions about it."""

    data: list[dict[str, Cell]] | dict[str, list[Cell]] | list[float | None]
    questions: tuple[Question, ...] = (Describe(op="describe"),)


class Answers(Payload):
    """One answer for each question, in order."""

    rows: int
    columns: tuple[str, ...]
    answers: tuple[dict[str, Any], ...]


@typed
def analyse(request: DataAnalytics) -> Answers:
    """Answer the questions."""
    table = _columns(request.data)
    rows = len(next(iter(table.values()), ()))
    return Answers(rows=rows, columns=tuple(table), answers=tuple(question.of(table) for question in request.questions))


def _columns(data: list[dict[str, Cell]] | dict[str, list[Cell]] | list[float | None]) -> dict[str, list[Cell]]:
    if isinstance(data, dict):
        if len({len(cells) for cells in data.values()}) > 1:
            raise BadPayload("the columns of a table are of one length")
        return data
    rows = [row if isinstance(row, dict) else {"value": row} for row in data]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _column(table: Columns, name: str) -> Sequence[Cell]:
    if name not in table:
        raise BadPayload(f"there is no column {name!r}, only {', '.join(table) or 'none'}")
    return table[name]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _is_numeric(cells: Sequence[Cell]) -> bool:
    present = [cell for cell in cells if cell is not None]
    return bool(present) and all(map(_is_number, present))


def _numbers(cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Numbers, and nan for what is none."""
    return np.array([float(cell) if _is_number(cell) else np.nan for cell in cells], np.float64)  # type: ignore[arg-type]


def _describe(cells: Sequence[Cell]) -> dict[str, Any]:
    present = [cell for cell in cells if cell is not None]
    known: dict[str, Any] = {"count": len(present), "missing": len(cells) - len(present)}
    if not _is_numeric(cells):
        counts = Counter(map(str, present))
        return known | {
            "distinct": len(counts),
            "most_common": [list(item) for item in counts.most_common(MOST_COMMON)],
        }
    values = _numbers(present)
    low, first, median, third, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return known | {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "min": low,
        "quartile_1": first,
        "median": median,
        "quartile_3": third,
        "max": high,
    }


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    both = np.isfinite(one) & np.isfinite(other)
    a, b = one[both] - one[both].mean() if both.any() else one[both], other[both]
    if not len(b):
        return None
    b = b - b.mean()
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum() / scale) if scale else None
