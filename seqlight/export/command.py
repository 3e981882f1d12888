"""``seqlight export``: a checkpoint as a folder that other programs, and seqlight itself, can load."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqlight.checkpoints import class_settings, find_checkpoint, module_of, read_checkpoint
from seqlight.command.arguments import CheckpointParser
from seqlight.command.quiet import quieten
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.export import model_card, safetensors_folder
from seqlight.export.new_folder import new_folder

USE = "use `seqlight export --ckpt_path best --to FOLDER`"
Writer = Callable[[dict[str, Any], Path, Path, str], str]


def command(words: list[str]) -> int:
    """Writes the folder, and prints where it is and what to do with it."""
    quieten()
    parser = CheckpointParser("seqlight export", USE, "Writes a checkpoint as a folder to be given away.")
    parser.add_argument("--to", required=True, help="a folder that does not exist or is empty")
    parser.add_argument(
        "--format",
        choices=list(WRITERS),
        default="safetensors",
        help="safetensors: any system, for seqlight.load; transformers: a GPT as GPT-2, or a fine-tuned "
        "encoder; onnx: graphs for onnxruntime",
    )
    args = parser.read(words)
    from seq_modules import SequenceModule  # whose import takes longer than refusing a word

    path = find_checkpoint(args.ckpt_path, "test")
    content = read_checkpoint(path)
    if class_settings(content, "hyper_parameters", SequenceModule, path) is None:
        raise UserError(f"{path}: does not say which class it is of, so it cannot be exported")
    target = str(expanded(args.to))
    with new_folder(target) as folder:
        following = WRITERS[args.format](content, path, folder, target)
    print(f"results: {target}    next: {following}")
    return 0


def python(*statements: str) -> str:
    """A command that runs some Python."""
    return f"python -c {shlex.quote('; '.join(statements))}"


def as_safetensors(content: dict[str, Any], path: Path, folder: Path, target: str) -> str:
    """See :mod:`seqlight.export.safetensors_folder`. Returns what to run next."""
    safetensors_folder.write(content, folder)
    module_of(safetensors_folder.read(folder), folder)  # what cannot be loaded is not given away
    load = f"seqlight.load({json.dumps(target, ensure_ascii=False)})"
    module, _, _ = content["hyper_parameters"]["_class_path"].rpartition(".")
    imports = ["import seqlight"] if module == "seq_modules" else [f"import {module}", "import seqlight"]
    use = [*imports, "", f"module = {load}  # in evaluation mode; nothing in the folder is executed"]
    model_card.write(content, path, folder, "seqlight", "\n".join(f"    {line}".rstrip() for line in use))
    return python(*imports, f"print({load})")


def as_transformers(content: dict[str, Any], path: Path, folder: Path, target: str) -> str:
    """See :mod:`seqlight.export.transformers_folder` and :mod:`seqlight.export.encoder_folder`.

    Returns:
        What to run next.
    """
    from seqlight.export import encoder_folder, transformers_folder

    module = module_of(content, path)
    if (encoder := encoder_folder.encoder_of(module)) is not None:
        kind, tokenizer = "AutoModel", encoder_folder.write(encoder, module.tokenizer, folder)
    else:
        kind, tokenizer = "AutoModelForCausalLM", transformers_folder.write(module, folder)
    place = json.dumps(target, ensure_ascii=False)
    use = f"    from transformers import {kind}{'' if tokenizer is None else ', AutoTokenizer'}\n\n"
    use += f"    model = {kind}.from_pretrained({place})"
    if tokenizer is not None:
        use += f"\n    tokenizer = AutoTokenizer.from_pretrained({place})"
    elif "tokenizer" in content:
        safetensors_folder.write_tokenizer(content["tokenizer"], folder)
        tokens, file = content["tokenizer"]["kind"], safetensors_folder.TOKENIZER
        use += (
            f"\n\ntransformers has no tokenizer that gives the same ids as this one ({tokens}), which is here as "
            f"seqlight has it, in `{file}`."
        )
    if encoder is not None:
        named = shlex.quote(target)
        use += (
            "\n\nThis is the encoder alone, without the layers that were trained above it. Another training starts "
            f"from it with\n`--model.net.pretrained {named} --data.tokenizer_path {named}`."
        )
    model_card.write(content, path, folder, "transformers", use)
    return python(f"from transformers import {kind}", f"print({kind}.from_pretrained({place}))")


def as_onnx(content: dict[str, Any], path: Path, folder: Path, target: str) -> str:
    """See :mod:`seqlight.export.onnx_folder`. Returns what to run next."""
    from seqlight.export import onnx_folder

    graphs = onnx_folder.write(module_of(content, path), content, folder)
    file = json.dumps(f"{target}/{graphs[0].name}.onnx", ensure_ascii=False)
    load = f"onnxruntime.InferenceSession({file})"
    use = f"    import onnxruntime\n\n    session = {load}\n\n{onnx_folder.described(graphs)}"
    model_card.write(content, path, folder, "onnx", use)
    return python("import onnxruntime", f"print([given.name for given in {load}.get_inputs()])")


WRITERS: dict[str, Writer] = {"safetensors": as_safetensors, "transformers": as_transformers, "onnx": as_onnx}
