"""A system as ONNX graphs, each compared with the system in onnxruntime before it is given away."""

import copy
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq_modules import SequenceModule
from seq_modules.systems.token_tagger import Tagger
from seqlight.core.errors import UserError, reason_of
from seqlight.export import safetensors_folder
from seqlight.export.onnx_graphs import ANY, Axis, Graph, Input, graphs_of
from seqlight.export.onnx_layers import refusal, use_onnx_layers

PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # the extra
TOLERANCE = 1e-4  # absolute and relative
TRACED = {"batch": 3, "time": 7, "source_time": 5, "pieces": 9, "spelled": 4, "characters": 6}
# Sizes at which a graph is compared with the system.
COMPARED: tuple[dict[str, int], ...] = (
    {},
    dict.fromkeys(TRACED, 1),
    {"batch": 2, "time": 11, "source_time": 12, "pieces": 13, "spelled": 6, "characters": 3},
)


def write(module: SequenceModule, content: Mapping[str, Any], folder: Path) -> list[Graph]:
    """Writes a file for each graph, and what is needed to use them: config.json and the tokenizer.

    Args:
        module: The system, in evaluation mode.
        content: Its checkpoint's contents.
        folder: An empty folder.

    Raises:
        UserError: The extra is not installed, or the system cannot be exported; the message says why.
    """
    check_installed()
    module = module.float()
    exported = copy.deepcopy(module)
    use_onnx_layers(exported)
    graphs = graphs_of(exported)
    for graph, own in zip(graphs, graphs_of(module), strict=True):
        path = folder / f"{graph.name}.onnx"
        export(graph, path)
        compare(own, path)
    config = {
        "format": "onnx",
        **safetensors_folder.description(content),
        "graphs": {
            f"{graph.name}.onnx": {
                "inputs": {name: asdict(given) for name, given in graph.inputs.items()},
                "outputs": graph.outputs,
                "longest": graph.longest,
            }
            for graph in graphs
        },
    }
    if isinstance(module, Tagger):
        config["class_names"] = module.class_names
        if (crf := module.net.crf) is not None:
            parts = crf.chain(torch.zeros(()))
            config["crf"] = dict(zip(("start", "transitions", "end"), (part.tolist() for part in parts), strict=True))
    safetensors_folder.write_json(config, folder / safetensors_folder.CONFIG)
    if "tokenizer" in content:
        safetensors_folder.write_tokenizer(content["tokenizer"], folder)
    return graphs


def described(graphs: Sequence[Graph]) -> str:
    """Inputs and outputs of graphs as a table in Markdown."""
    lines = ["| graph | input | what | axes |", "|---|---|---|---|"]
    kinds = {"ids": "int64", "mask": "bool, true at the beginning of each row", "numbers": "float32"}
    for graph in graphs:
        for name, given in graph.inputs.items():
            below = f", from 0 to below {given.below}" if given.kind == "ids" else ""
            axes = ", ".join(map(str, given.axes))
            lines.append(f"| `{graph.name}` | `{name}` | {kinds[given.kind]}{below} | ({axes}) |")
    lines += ["", "| graph | output | axes |", "|---|---|---|"]
    for graph in graphs:
        lines += [f"| `{graph.name}` | `{name}` | {axes} |" for name, axes in graph.outputs.items()]
    longest = {axis: most for graph in graphs for axis, most in graph.longest.items()}
    used = {axis for graph in graphs for given in graph.inputs.values() for axis in given.axes}
    limits = [f"`{axis}` is at most {most}" for axis, most in longest.items() if axis in used]
    any_length = "Axes with a name may have any length from 1 on"
    return "\n".join([*lines, "", f"{'; '.join([any_length, *limits])}. Outputs are float32."])


def check_installed() -> None:
    """Refuses to begin without the packages.

    Raises:
        UserError: One is missing.
    """
    for name in PACKAGES:
        if find_spec(name) is None:
            raise UserError(f"--format onnx: the package {name} is not installed; pip install 'seqlight[onnx]'")


@torch.no_grad()
def export(graph: Graph, path: Path) -> None:
    """Traces a graph and writes it as one file.

    Raises:
        UserError: torch cannot trace it, or ONNX has no operator for a part of it.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    example = [tensor_of(graph, given, {}) for given in graph.inputs.values()]
    names = {axis for given in graph.inputs.values() for axis in given.axes if isinstance(axis, str)}
    dims = {name: torch.export.Dim(name, max=graph.longest.get(name, ANY)) for name in names}
    shapes = [
        {place: dims[axis] for place, axis in enumerate(given.axes) if isinstance(axis, str)}
        for given in graph.inputs.values()
    ]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of packages that are not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names of torch's own that are on their way out
        try:
            program = torch.onnx.export(
                graph.net,
                tuple(example),
                dynamo=True,
                dynamic_shapes=(tuple(shapes),),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = reason_of(error.__cause__ or error)
            raise refusal(f"{graph.name} of this system", f"torch.onnx says: {reason}") from error
    assert program is not None
    ClearMetadataAndDocStringPass()(program.model)  # of each node the lines of our files that it comes from
    program.save(path, external_data=False)


def tensor_of(graph: Graph, given: Input, sizes: Mapping[str, int]) -> Tensor:
    """A value for an input at some sizes, always the same; sizes that are not given are those of the trace."""

    def length(axis: Axis) -> int:
        if isinstance(axis, int):
            return axis
        return min({**TRACED, **sizes}[axis], graph.longest.get(axis, ANY))

    generator = torch.Generator().manual_seed(0)
    shape = [length(axis) for axis in given.axes]
    if given.kind == "numbers":
        return torch.randn(shape, generator=generator)
    if given.kind == "mask":
        lengths = torch.randint(1, shape[1] + 1, (shape[0], 1), generator=generator)
        return torch.arange(shape[1]) < lengths
    return torch.randint(length(given.below), shape, generator=generator)


@torch.no_grad()
def compare(graph: Graph, path: Path, all_sizes: Sequence[Mapping[str, int]] = COMPARED) -> None:
    """Compares what onnxruntime computes with what the system computes.

    Raises:
        AssertionError: They differ.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for sizes in all_sizes:
        example = {name: tensor_of(graph, given, sizes) for name, given in graph.inputs.items()}
        expected = graph.net(*example.values())
        found = session.run(None, {name: value.numpy() for name, value in example.items()})
        for name, one, other in zip(graph.outputs, found, expected, strict=True):
            torch.testing.assert_close(
                torch.from_numpy(one),
                other,
                rtol=TOLERANCE,
                atol=TOLERANCE,
                equal_nan=True,
                msg=partial("{}: output {} differs from the system's: {}".format, path.name, name),
            )
