"""Frames from prompts of different lengths: each row goes on after its own prompt."""

import pytest
import torch
from torch import Tensor, nn

from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.frames import FrameSampler, FrameState
from seq_modules.generation.loop import decode

START, END = 9, 8


class Counts:
    """The next frame is the position in the piece, and the first slot of the frame before; START counts as 0."""

    frame_size, start_id, end_id = 2, START, END

    @property
    def backbone(self) -> "Counts":
        return self

    def embed(self, frames: Tensor, position: Tensor) -> Tensor:
        return position[:, None, None].float()

    def decode_step(self, x: Tensor, state: int | None) -> tuple[Tensor, int]:
        steps = 0 if state is None else state
        assert (x == steps).all()
        return x, steps + 1

    def within(self, state: Tensor, before: Tensor, frame: Tensor, **retrieved: Tensor) -> Tensor:
        ids = torch.stack((state[:, 0].long(), before[:, 0] % START), dim=1)
        return 99.0 * nn.functional.one_hot(ids, 10)


@pytest.mark.parametrize("decoding", [Decoding(3, temperature=0), Decoding(3)])
def test_rows_go_on_after_their_own_prompts(decoding: Decoding) -> None:
    prompts = [torch.zeros(0, 2, dtype=torch.long), torch.tensor([[7, 7], [5, 6]])]
    net = Counts()
    rows = decode(FrameState(net, 2, torch.device("cpu")), FrameSampler(net, prompts, decoding, [0, 1]), 2, 5)
    assert [[frame.tolist() for frame in row] for row in rows] == [
        [[0, 0], [1, 0], [2, 1]],
        [[7, 7], [5, 6], [2, 5], [3, 2], [4, 3]],
    ]


def test_beams_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^decoding\.length_penalty 0\.6 is not for music; leave it out$"):
        FrameSampler(Counts(), [torch.zeros(0, 2, dtype=torch.long)], Decoding(3, length_penalty=0.6), [0])
