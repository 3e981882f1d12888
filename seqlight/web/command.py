"""``seqlight try``: a page in the browser on which a checkpoint, or any of the runs, is used."""

import importlib.util
from threading import Event

from seqlight.checkpoints import find_checkpoint
from seqlight.command.arguments import CheckpointParser
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import check_range

USE = "use `seqlight try --ckpt_path best`"


def command(words: list[str]) -> int:
    """Starts the page, prints its address, and waits for Ctrl-C."""
    parser = CheckpointParser("seqlight try", USE, __doc__, default=None)
    parser.add_argument("--host", default="127.0.0.1", help="where it listens; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, help="by default the first free one from 7860 on")
    parser.add_argument("--root", default="runs", help="folder that holds the runs")
    args = parser.read(words)
    args.root = str(expanded(args.root))
    check_range("--port", args.port, least=1, most=65535)
    if importlib.util.find_spec("gradio") is None:
        raise UserError("try: needs gradio; install it with `pip install 'seqlight[web]'`")
    given = None if args.ckpt_path is None else find_checkpoint(args.ckpt_path, "predict", args.root)
    from seqlight.command.quiet import quieten
    from seqlight.web.page import build_page, launch
    from seqlight.web.registry import face_at

    quieten()
    if given is not None:
        face_at(given)  # what is wrong with it is told here
    page = build_page(args.root, given)
    try:
        address = launch(page, args.host, args.port)
    except OSError as error:
        raise UserError(
            f"--port {args.port}: cannot be listened on at {args.host}; give another, or leave it out"
        ) from error
    print(f"seqlight: {address}  (Ctrl-C ends it)", flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt as stop:
        if type(stop) is not KeyboardInterrupt:  # SIGTERM
            raise
    finally:
        page.close(verbose=False)
    return 0
