"""Figures: as many axes as panels, and plain numbers on a logarithmic axis."""

from pathlib import Path

from seqlight.core.plots import new_figure, new_panels, use_log_scale


def test_panels_fill_rows() -> None:
    figure, axes = new_panels(5, columns=3)
    assert len(axes) == len(figure.axes) == 5
    assert [axis.get_subplotspec().get_position(figure).y0 for axis in axes][3] < 0.5
    assert figure.get_size_inches().tolist() == [18.0, 7.2]
    assert new_panels(2, columns=3)[0].get_size_inches().tolist() == [12.0, 3.6]


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    figure, (axis,) = new_figure()
    axis.plot([0.3, 0.5, 6.0])
    use_log_scale(axis)
    figure.canvas.draw()
    labels = [label.get_text() for label in (*axis.get_yticklabels(), *axis.get_yticklabels(minor=True))]
    shown = [label for label in labels if label]
    assert {"1", "0.6", "2"} <= set(shown)
    assert [f"{float(label):g}" for label in shown] == shown


def test_a_dollar_in_a_name_begins_no_formula(tmp_path: Path) -> None:
    figure, (axis,) = new_figure()
    names = ["from_$5_to_$10", "$$", "$x^$", "A$AP_$"]
    axis.set_xticks(range(4), names)
    axis.set_title(names[2])
    axis.plot(range(4), label=names[0])
    axis.legend()
    axis.set(xlabel=names[1], ylabel=names[3])
    figure.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
