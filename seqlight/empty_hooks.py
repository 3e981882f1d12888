"""Hooks that do nothing, not called."""

from collections.abc import Iterable

from lightning.pytorch import Callback, LightningModule

AT_EACH_STEP = (
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end",
)  # fmt: skip


def skip_empty_hooks(module: LightningModule, callbacks: Iterable[Callback]) -> None:
    """Spares the hooks of a training step that the module or a callback does not write itself.

    Lightning calls all six on the module and on each callback, and names each call to the profiler; a hook
    that is not callable it passes by (benchmarks/trainer_overhead.py).
    """
    for hooked, base in ((module, LightningModule), *((callback, Callback) for callback in callbacks)):
        for name in AT_EACH_STEP:
            if getattr(type(hooked), name, None) is getattr(base, name) and name not in vars(hooked):
                setattr(hooked, name, None)
