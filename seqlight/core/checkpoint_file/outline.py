"""What a checkpoint file would become, found from its pickle without building a tensor or calling anything.

torch's ``weights_only`` builds tensors and plain values alone, but as large as the file says: a ``bytearray`` of four
gigabytes, a tensor that is larger than its data, lists that double at each level. Here such a file is refused first.
"""

import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from seqlight.core.checkpoint_file.tree import TreeError, check_tree

MOST_NODES = 1_000_000  # values in all, those in a list that stands at two places counted twice
MARK = object()
SIZES = {
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage"), 1),
    **dict.fromkeys(("ShortStorage", "HalfStorage", "BFloat16Storage"), 2),
    **dict.fromkeys(("IntStorage", "FloatStorage"), 4),
    **dict.fromkeys(("LongStorage", "DoubleStorage", "ComplexFloatStorage"), 8),
}  # bytes of an element by the name that torch saves a type under
VALUES = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINBYTES",
    "SHORT_BINBYTES",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
DAMAGED = (zipfile.BadZipFile, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, OSError)


class UnsafeFileError(Exception):
    """What is wrong with a file, as half a sentence."""


class Storage(NamedTuple):
    """The data of tensors: a record of the file."""

    elements: int


class Global(NamedTuple):
    """A name that the pickle calls, none of whose functions is ever called here."""

    module: str
    name: str


class TensorOutline(NamedTuple):
    """A tensor's shape."""

    shape: tuple[int, ...]


def check_outline(path: Path) -> None:
    """Refuses a checkpoint whose contents are no plain values and tensors of bounded size.

    Args:
        path: A file as ``torch.save`` writes it.

    Raises:
        UnsafeFileError: It holds other objects, or grows beyond its own size.
        Exception: It is another file, or damaged: one of :data:`DAMAGED`.
    """
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in records if name.endswith("/data.pkl")]
        if len(pickles) != 1 or any(info.compress_type != zipfile.ZIP_STORED for info in records.values()):
            raise UnsafeFileError("is not a file of torch.save")
        folder = pickles[0].removesuffix("data.pkl")
        sizes = {name.removeprefix(f"{folder}data/"): info.file_size for name, info in records.items()}
        tree = outline(archive.read(pickles[0]), sizes)
    try:
        check_tree(tree, MOST_NODES)
    except TreeError as error:
        raise UnsafeFileError(str(error)) from error


def outline(content: bytes, sizes: dict[str, int]) -> Any:
    """The tree of a pickle, with :class:`TensorOutline` for each tensor.

    Args:
        content: The pickle.
        sizes: Bytes of each record of tensor data, by its name.

    Raises:
        UnsafeFileError: It holds other objects than tensors and plain values.
    """
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, arg, _ in pickletools.genops(content):
        name = opcode.name
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[arg] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[arg])
        elif name in VALUES:
            stack.append(arg)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name == "MARK":
            stack.append(MARK)
        elif name == "GLOBAL":
            stack.append(Global(*str(arg).split(" ", 1)))
        elif name == "BINPERSID":
            stack.append(storage(stack.pop(), sizes))
        elif name == "REDUCE":
            args, function = stack.pop(), stack.pop()
            stack.append(called(function, args))
        elif name == "BUILD":
            stack.pop()  # attributes of an ordered dict
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            stack.append(tuple(since_mark(stack)))
        elif name in ("APPEND", "APPENDS"):
            items = since_mark(stack) if name == "APPENDS" else [stack.pop()]
            stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = since_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            for key, value in zip(items[::2], items[1::2], strict=True):
                if not isinstance(key, str | int):
                    raise UnsafeFileError(f"has a key that is neither a word nor a number but a {type(key).__name__}")
                stack[-1][key] = value
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            raise UnsafeFileError(f"is not a file of torch.save (it holds {name})")
    raise UnsafeFileError("ends too early")


def since_mark(stack: list[Any]) -> list[Any]:
    """Takes what lies on the stack above the last mark, and the mark."""
    at = next((at for at in reversed(range(len(stack))) if stack[at] is MARK), None)
    if at is None:
        raise ValueError("no mark")
    items = stack[at + 1 :]
    del stack[at:]
    return items


def storage(persistent: Any, sizes: dict[str, int]) -> Storage:
    """The record that ``("storage", type, name, device, elements)`` names."""
    _, kind, name, _, elements = persistent
    if kind.module != "torch" or kind.name not in SIZES or not isinstance(elements, int):
        raise UnsafeFileError("has tensors of a kind that is not known")
    if sizes[name] != elements * SIZES[kind.name]:
        raise UnsafeFileError("has less data than its tensors need")
    return Storage(elements)


def called(function: Any, args: Any) -> Any:
    """What a call in the pickle would give."""
    match function, args:
        case Global("collections", "OrderedDict"), ():
            return {}
        case Global("torch._utils", "_rebuild_tensor_v2"), (Storage(elements), int(), tuple(shape), tuple(), *_):
            count = 1
            for size in shape:
                count *= size if isinstance(size, int) and size >= 0 else elements + 1
            if count > elements:
                raise UnsafeFileError(f"has a tensor {shape} that is larger than its data")
            return TensorOutline(shape)
        case Global("torch._utils", "_rebuild_parameter"), (TensorOutline() as tensor, *_):
            return tensor
        case Global("_codecs", "encode"), (str(text), "latin1"):
            return text.encode("latin1")
        case Global("__builtin__" | "builtins", "bytes"), ():
            return b""
    if isinstance(function, Global):
        raise UnsafeFileError(f"holds Python objects ({function.module}.{function.name}), which could run code")
    raise UnsafeFileError("calls what is no function")
