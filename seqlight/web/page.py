"""The page in the browser: a list of checkpoints, and the fields, the button and the answer of the chosen one's face.

It is the only file that knows gradio. Nothing is loaded from another host: no fonts, no scripts, no statistics.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it is read when gradio is imported
import gradio as gr

from seqlight.core.errors import UserError, reason_of, shortened
from seqlight.web import fragments
from seqlight.web.face import (
    ChoiceField,
    Face,
    Field,
    FileField,
    NumberField,
    PlaneField,
    SliderField,
    TextField,
    check_given,
)
from seqlight.web.registry import face_at
from seqlight.web.trained import checkpoints_below

FONTS = ["system-ui", "sans-serif"]
MONO = ["ui-monospace", "monospace"]
AT_ONCE = 2  # answers that are worked on at the same time
CLEANED = 3600  # seconds after which a file that was uploaded is removed
# What messages say of the command line: the argument at the beginning, and a remedy that is an option.
ARGUMENT = re.compile(r"^(?:data|prompt)\.(?:(?:predict_path|source|strings|bits):? )?")
REMEDY = re.compile(r"; [^;]*--\w.*$")
# The browser itself refuses whatever is elsewhere. gradio's scripts stand in the page, and are made in it.
POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' ws: data: blob:"
HEAD = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'


def build_page(root: str, given: Path | None = None) -> gr.Blocks:
    """The page.

    Args:
        root: Folder that holds the runs.
        given: The checkpoint that is shown first; None shows the list alone.
    """

    def choices() -> list[str]:
        found = list(map(str, checkpoints_below(root)))
        return found if given is None or str(given) in found else [str(given), *found]

    def open_page(request: gr.Request) -> tuple[Any, str]:
        name = request.query_params.get("checkpoint") or (str(given) if given is not None else "")
        found = choices()
        return gr.Dropdown(choices=found, value=name if name in found else None), name

    with gr.Blocks(title="seqlight", analytics_enabled=False, delete_cache=(CLEANED, CLEANED)) as page:
        chosen = gr.Dropdown(choices(), value=None, label="checkpoint", interactive=True, elem_id="checkpoint")
        shown = gr.State(None)  # of one visitor
        page.load(open_page, outputs=[chosen, shown], show_progress="hidden")
        # Each checkpoint has an address of its own, and a page that is made anew: gradio 6.31 loses the events of some
        # components where one face takes the place of another.
        chosen.input(
            None, chosen, js="(name) => { window.location.search = '?checkpoint=' + encodeURIComponent(name) }"
        )

        @gr.render(inputs=shown, triggers=[shown.change])
        def show(name: str | None) -> None:
            if not name:
                count = len(choices())
                words = f"Choose one of {count} checkpoints." if count else nothing_below(root)
                gr.HTML(fragments.note(words), elem_id="face")
                return
            try:
                if name not in choices():
                    raise UserError(f"{name}: no checkpoint of a run")
                face = face_at(Path(name))
            except (UserError, OSError) as error:
                gr.HTML(fragments.refusal(f"{sentence(error)} Choose another of the list."), elem_id="face")
                return
            show_face(face)

    return page


def nothing_below(root: str) -> str:
    """What to do where there is no run."""
    return (
        f"There is no run in {root}/ yet. Train a model, such as `seqlight fit --config text/gpt_char`, and look again."
    )


def show_face(face: Face) -> None:
    """The fields, the button and the answer of a face."""
    gr.HTML(f"<h2>{face.title}</h2>{fragments.note(face.hint)}", elem_id="face")
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            widgets = {name: widget_of(name, field) for name, field in face.fields.items()}
            with gr.Row():
                button = gr.Button(face.button, variant="primary", elem_id="go")
                stop = gr.Button("Stop", elem_id="stop") if face.grows else None
        with gr.Column(scale=3, min_width=320):
            answer = gr.HTML("", elem_id="answer", elem_classes="sl-answer")
    given = {name: widget for name, widget in widgets.items() if not isinstance(face.fields[name], PlaneField)}
    options: dict[str, Any] = {
        "fn": answering(face, list(given)),
        "inputs": list(given.values()),
        "outputs": answer,
        "concurrency_id": "answers",
        "concurrency_limit": AT_ONCE,
        "show_progress": "minimal",
    }
    events: Any = [button.click(**options)]
    for name, field in face.fields.items():
        if isinstance(field, TextField) and field.lines == 1:
            events.append(widgets[name].submit(**options))
        if isinstance(field, PlaneField):
            targets = [widgets[target] for target in field.targets]
            clicked = widgets[name].select(place_of(field), outputs=targets, show_progress="hidden")
            events.append(clicked.then(**options))
    if stop is not None:
        stop.click(None, cancels=events)


def widget_of(name: str, field: Field) -> Any:
    """The component of a field."""
    match field:
        case TextField(label, value, lines, keys):
            box = gr.Textbox(value, label=label, lines=lines, interactive=True, elem_id=name)
            if keys:
                with gr.Row():
                    for key in keys:
                        add = gr.Button(key, size="sm", min_width=40, elem_classes="sl-key")
                        add.click(None, box, box, js=f"(text) => text + {json.dumps(key)}")  # in the browser, at once
                    clear = gr.Button("clear", size="sm", min_width=60, elem_classes="sl-key")
                    clear.click(None, None, box, js="() => ''")
            return box
        case SliderField(label, value, least, most, step):
            return gr.Slider(least, most, value, step=step, label=label, interactive=True, elem_id=name)
        case NumberField(label, value):
            return gr.Number(value, label=label, interactive=True, elem_id=name)
        case ChoiceField(label, value, choices):
            return gr.Radio(list(choices), value=value, label=label, interactive=True, elem_id=name)
        case FileField(label, endings):
            return gr.File(
                label=label, file_types=list(endings), type="filepath", height=120, interactive=True, elem_id=name
            )
        case PlaneField(label, pixels):
            # The label would lie on the plane's corner.
            return gr.Image(pixels, label=label, show_label=False, interactive=False, buttons=[], elem_id=name)


def place_of(field: PlaneField) -> Callable[..., tuple[float, float]]:
    """What a click on a plane does: the point that was clicked."""

    def place(event: gr.SelectData) -> tuple[float, float]:
        across, down = event.index
        return field.point_at(across, down)

    return place


def answering(face: Face, names: list[str]) -> Callable[..., Iterator[str]]:
    """What the button does: the face's answer, or a sentence on what is wrong."""

    def answer(*values: Any) -> Iterator[str]:
        given = dict(zip(names, values, strict=True))
        try:
            check_given(face.fields, given)
            yield from face.answer(**given)
        except (UserError, OSError) as error:
            words = sentence(error)
            for path in (given[name] for name in names if isinstance(face.fields[name], FileField) and given[name]):
                words = words.replace(path, Path(path).name)  # not where the server keeps it
            yield fragments.refusal(words)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            yield fragments.refusal(f"This did not work: {reason_of(error)}. The terminal shows where.")

    return answer


def sentence(error: Exception) -> str:
    """An error as a sentence, without the arguments and options of the command line that it names."""
    words = REMEDY.sub("", ARGUMENT.sub("", shortened(" ".join(str(error).split()))))
    return words if words.endswith((".", "!", "?")) else f"{words}."


def launch(page: gr.Blocks, host: str, port: int | None) -> str:
    """Starts the server, in threads of this process; its address.

    Raises:
        OSError: The port is taken.
    """
    page.queue(default_concurrency_limit=AT_ONCE)
    _, local, _ = page.launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Default(font=FONTS, font_mono=MONO),
        css=fragments.CSS,
        head=HEAD,
        footer_links=[],
        share=False,
        inbrowser=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        pwa=False,
        mcp_server=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
    )
    return local
