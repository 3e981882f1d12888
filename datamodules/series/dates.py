"""Dates at a regular step: found in a file, checked row by row, and continued beyond it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from seqlight.core.errors import UserError

DAY, WEEK, YEAR = 86_400, 7 * 86_400, 12  # in seconds, seconds and months


@dataclass(frozen=True)
class Step:
    """Time between two rows: months, seconds, or a row where there are no dates. One of the three is above 0.

    Attributes:
        months: Calendar months.
        seconds: Seconds.
        month_end: Every date is the last day of its month.
    """

    months: int = 0
    seconds: float = 0.0
    month_end: bool = False

    def __str__(self) -> str:
        if self.months:
            return f"{self.months} month{'s' if self.months > 1 else ''}"
        return f"{self.seconds:g} s" if self.seconds else "1 row"

    @property
    def season(self) -> int:
        """Usual number of steps in a season: a day of shorter steps, a week of days, a year of weeks or months."""
        if self.months:
            return YEAR // self.months if YEAR % self.months == 0 else 1
        if self.seconds == WEEK:
            return 52
        if self.seconds == DAY:
            return 7
        return round(DAY / self.seconds) if 0 < self.seconds < DAY and DAY % self.seconds == 0 else 1

    def after(self, start: datetime, count: int) -> datetime:
        """The date ``count`` steps after one."""
        if not self.months:
            return start + timedelta(seconds=count * self.seconds)
        month = start.year * 12 + start.month - 1 + count * self.months
        first = start.replace(year=month // 12, month=month % 12 + 1, day=1)
        return first.replace(day=days_of_month(first) if self.month_end else start.day)

    def between(self, start: datetime, end: datetime) -> int | None:
        """Steps from one date to a later one; None where they are no whole number of steps."""
        if self.months:
            count, rest = divmod(12 * (end.year - start.year) + end.month - start.month, self.months)
            return None if rest or self.after(start, count) != end else count
        count = round((end - start).total_seconds() / self.seconds)
        return count if self.after(start, count) == end else None


def days_of_month(date: datetime) -> int:
    """Number of days of a date's month."""
    return ((date.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day


def read_date(text: str, form: str | None) -> datetime | None:
    """A date as ISO 8601, or in the form of ``strptime`` that is given; None where it is none."""
    try:
        return datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    except ValueError:
        return None


def find_step(dates: Sequence[datetime]) -> Step:
    """The step of dates, two at least: whole months if each is the same day of its month, else the most frequent."""
    last_days = all(date.day == days_of_month(date) for date in dates)
    same_day = len({date.day for date in dates}) == 1 and dates[0].day <= 28
    if (same_day or last_days) and len({date.time() for date in dates}) == 1:
        months = [12 * (b.year - a.year) + b.month - a.month for a, b in pairwise(dates)]
        return Step(months=max(1, Counter(months).most_common(1)[0][0]), month_end=last_days and not same_day)
    seconds = Counter((b - a).total_seconds() for a, b in pairwise(dates))
    return Step(seconds=max(seconds.most_common(1)[0][0], 1e-6))


def check_steps(dates: Sequence[datetime], lines: Sequence[int], step: Step, where: str, fill: bool) -> list[int]:
    """The place of each row when the rows between are counted too, from 0 on: (N,).

    Args:
        dates: One a row.
        lines: Line of the file that each row stands on.
        step: Time between two rows.
        where: File and column, for messages.
        fill: Whether rows may be missing.

    Raises:
        UserError: A date is not after the one before, or not a whole number of steps after it, or rows are missing.
    """
    places = [0]
    for (before, date), line in zip(pairwise(dates), lines[1:], strict=True):
        if date <= before:
            raise UserError(f"{where}: line {line}: {date} is not after {before} of the row before; sort the rows")
        count = step.between(before, date)
        if count is None:
            raise UserError(
                f"{where}: line {line}: {date} is no whole number of steps after {before}, and the step is {step}; "
                "give rows at equal distances"
            )
        if count > 1 and not fill:
            raise UserError(
                f"{where}: line {line}: {count - 1} rows are missing between {before} and {date}; add them, or take "
                "the value before by --data.table.fill forward"
            )
        places.append(places[-1] + count)
    return places
