"""Values that nobody expects where they stand."""

import random
from typing import Any

from helpers.hostile.children import CANARY

FLAG_VALUES = (
    "0", "-1", "1", "2", "1e3", "1e-400", "1e400", "inf", "-inf", "nan", "null", "true", "", " ", "#", "~", "- x",
    "a: b", "[]", "{}", "[1", "{a", "[" * 5000, "9" * 5000, "0x10", "1_000", "1000000000", "-0.0", "0.5", "1.0000001",
    "99999999999999999999", "2147483648", "9223372036854775807", "../../x", "~nobody/x", "/dev/zero", "/dev/full",
    "/proc/self/mem", "x" * 300, "x\x01y", "é", "\ud83d", "'", '"', "*a", "&a [*a]", "!!python/name:os.system",
    f"{CANARY}.Canary", f'{{"class_path": "{CANARY}.Canary"}}', '["a", null, 3]', "a,b", "None", "[[1], [2]]",
)  # fmt: skip


def hostile_value(rng: random.Random) -> Any:
    """A plain value or a tensor."""
    import torch

    makers: tuple[Any, ...] = (
        lambda: None,
        lambda: rng.choice((True, False)),
        lambda: rng.choice((0, -1, 1, 2, 7, 1000, 10**6, 10**9, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 10**300)),
        lambda: rng.choice((0.0, -0.5, 0.5, 1e-300, 1e308, float("nan"), float("inf"), float("-inf"))),
        lambda: rng.choice(FLAG_VALUES),
        lambda: f"{CANARY}.Canary",
        lambda: rng.choice((b"", b"\x00" * 9)),
        lambda: rng.choice(([], {}, [None], [0] * 9, ["x"], {"x": 1}, {1: 2}, [[[]]], (1, 2), {"": None})),
        lambda: {"class_path": f"{CANARY}.Canary", "init_args": {}},
        lambda: {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "executed"]}},
        lambda: torch.zeros(rng.choice(((), (0,), (1,), (3, 5), (2, 2, 2), (10_000,)))),
        lambda: torch.full((rng.choice((1, 4, 16)),), rng.choice((float("nan"), float("inf"), 1e38))),
        lambda: torch.arange(rng.choice((1, 5, 626))) * rng.choice((1, -1, 2**40)),
        lambda: torch.zeros(3, dtype=rng.choice((torch.bool, torch.bfloat16, torch.uint8, torch.complex64))),
    )
    return rng.choice(makers)()
