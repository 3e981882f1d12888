"""Systems that may train several nets in one, by turns."""

from typing import Any

from lightning.pytorch.strategies import DDPStrategy

from seq_modules.systems.tokenized import TokenizedModule
from seqlight.core.errors import UserError


class TurnTaking(TokenizedModule):
    """Base of the systems whose ``net`` may be several, each step training one of them.

    Such a net has ``members``; it, and heads that go with it, have ``turn``, the number of the one that training goes
    through (nets/ensemble.py, nets/event_net.py, nets/text_ensemble.py).
    """

    def on_fit_start(self) -> None:
        """Refuses DDP, be it of one process, that would wait for gradients of nets whose turn it is not.

        Raises:
            ValueError: An ensemble is trained by DDP that expects a gradient for every weight.
        """
        members, strategy = self._members, self.trainer.strategy
        expects_all = isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters")
        if expects_all and members > 1:
            raise UserError(
                f"members {members} on several processes leave weights without gradients; "
                "add --trainer.strategy ddp_find_unused_parameters_true"
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Chooses the net that this step trains, by the step's number, so that a resumed training agrees."""
        if self._members > 1:
            parts: list[Any] = [part for part in self.modules() if hasattr(part, "turn")]
            for part in parts:
                part.turn = self.trainer.global_step % self._members

    @property
    def _members(self) -> int:
        return len(getattr(self.net, "members", [None]))


def check_members(members: int) -> int:
    """The number of nets.

    Raises:
        ValueError: It is below 1.
    """
    if members < 1:
        raise UserError(f"members must be at least 1, not {members}")
    return members
