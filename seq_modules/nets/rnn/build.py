"""A recurrent net of any cell from its config."""

from seq_modules.nets.rnn.linear.linear_recurrent import LinearRecurrent
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig

RecurrentNet = Recurrent | LinearRecurrent


def build_recurrent(input_size: int, config: RecurrentConfig) -> RecurrentNet:
    """`Recurrent` for rnn, lstm and gru, `LinearRecurrent` for the cells whose state enters linearly.

    Args:
        input_size: Width of the inputs, at least 1.
        config: Shape and engine.

    Raises:
        UserError: input_size is below 1.
    """
    return LinearRecurrent(input_size, config) if config.is_linear else Recurrent(input_size, config)
