"""What has been read of every row: the net's own state, carried from item to item; or its slow, obvious twin.

B rows, T time, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from seqlight.core.errors import UserError


class Net(Protocol):
    """A net that generates: logits of the next token, or what heads make logits of (then D in place of V)."""

    def __call__(self, input_ids: Tensor) -> Tensor:
        """Logits (B, T, V) of ids (B, T). The output at a step never depends on later steps."""
        ...

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
        """Reads whole prompts (B, T), padded on the right. Logits (B, V) after each row's last token, and a state."""
        ...

    def decode_step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Reads one more token of each row, (B,). Logits (B, V) after it, and the state, which may be changed."""
        ...

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the net reads."""
        ...


@runtime_checkable
class Reorders(Protocol):
    """An optional method of a :class:`Net`, which beam search needs."""

    def reorder(self, state: Any, rows: Tensor) -> Any:
        """The state in which row i is what row ``rows[i]`` was, for ``rows`` (B',).

        A row may be taken several times, or not at all, and B' may differ from B. The state may be changed.
        """
        ...


@runtime_checkable
class Verifies(Net, Reorders, Protocol):
    """Optional methods of a :class:`Net`, which speculative decoding needs."""

    def extend(self, ids: Tensor, counts: Sequence[int], state: Any) -> tuple[Tensor, Any]:
        """Reads several more tokens of each row, (B, T). Logits (B, T, V) after each, and the state.

        Row i has ``counts[i]`` tokens, from 1 on; its last one stands again at the other positions.
        """
        ...

    def free_slots(self, state: Any) -> list[int]:
        """How many tokens each row can read at once, at least 1."""
        ...

    def crop(self, counts: Sequence[int], state: Any) -> Any:
        """Forgets the last ``counts[i]`` tokens of row i, of those that the last ``extend`` read."""
        ...


class CachedState:
    """Prompts and what follows, each item read once.

    Args:
        net: The net.
        prompts: Ids of each row, none of them empty.
        device: Where the net is.
    """

    def __init__(self, net: Net, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        self.net, self.prompts, self.device = net, prompts, device
        self.state: Any = None

    def start(self) -> Tensor:
        """Reads the prompts. Logits (B, V) after each."""
        logits, self.state = self.net.prefill(*padded(self.prompts, self.device))
        return logits

    def append(self, ids: Tensor) -> Tensor:
        """Reads one more id of each row, (B,). Logits (B, V) after it."""
        logits, self.state = self.net.decode_step(ids, self.state)
        return logits

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was.

        Raises:
            UserError: The net cannot do that.
        """
        if not isinstance(self.net, Reorders):
            raise UserError(f"net: {type(self.net).__name__} has no method reorder, which beam search needs")
        self.state = self.net.reorder(self.state, rows)


class RereadState:
    """As :class:`CachedState`, by reading every row's window from its beginning for each item. Slow."""

    def __init__(self, net: Net, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        self.net, self.device = net, device
        self.texts = [list(prompt) for prompt in prompts]

    def start(self) -> Tensor:
        """Reads the rows. Logits (B, V) after each."""
        ids, lengths = padded([self.net.window(text) for text in self.texts], self.device)
        return self.net(ids)[torch.arange(len(self.texts), device=self.device), lengths - 1]

    def append(self, ids: Tensor) -> Tensor:
        """Reads the rows with one more id each, (B,). Logits (B, V) after it."""
        for text, token in zip(self.texts, ids.tolist(), strict=True):
            text.append(token)
        return self.start()

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was."""
        self.texts = [list(self.texts[row]) for row in rows.tolist()]


def new_state(net: nn.Module, prompts: Sequence[Sequence[int]], cached: bool) -> CachedState | RereadState:
    """A state of either kind, on the net's device."""
    return (CachedState if cached else RereadState)(cast(Net, net), prompts, device_of(net))


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids as (B, T), padded on the right with 0, and their lengths (B,)."""
    lengths = [len(row) for row in rows]
    width = max(lengths)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    return ids.to(device), torch.tensor(lengths, device=device)


def device_of(net: nn.Module) -> torch.device:
    """Where a net's weights are; the CPU where it has none."""
    weights = next(net.parameters(), None)
    return torch.device("cpu") if weights is None else weights.device
