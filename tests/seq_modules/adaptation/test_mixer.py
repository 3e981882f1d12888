"""The mixture and its steps are those of autograd."""

import numpy as np
import torch

from seq_modules.adaptation.mixer import Mixer

SIZES, V, M = (1, 4), 6, 3


def inputs(seed: int) -> np.ndarray:
    logits = torch.randn(M, V, generator=torch.Generator().manual_seed(seed))
    return logits.log_softmax(-1).numpy()


def test_the_mixture_is_the_first_model_before_anything_is_learned() -> None:
    log_probs = inputs(0)
    np.testing.assert_allclose(Mixer(M, SIZES, 0.1).mix(log_probs, (0, 2)), log_probs[0], rtol=1e-5)


def test_steps_are_those_of_gradient_descent() -> None:
    mixer = Mixer(M, SIZES, learning_rate=0.1, final_rate=0.05)
    own = [torch.zeros(size, M) for size in SIZES]
    final = torch.full((2,), 0.5)
    for weights in own:
        weights[:, 0] = 1
    for step in range(20):
        log_probs, selected, token = inputs(step), (0, step % 4), step % V
        rows = [weights[value].clone().requires_grad_() for weights, value in zip(own, selected, strict=True)]
        mixtures = torch.stack([(row @ torch.from_numpy(log_probs)).log_softmax(-1) for row in rows])
        last = final.clone().requires_grad_()
        mixed = (last @ mixtures.detach()).log_softmax(-1)
        np.testing.assert_allclose(mixer.mix(log_probs, selected), mixed.detach(), rtol=1e-4, atol=1e-6)
        (-mixed[token]).backward()
        (-mixtures[:, token].sum()).backward()  # each mixture has a loss of its own
        final = final - 0.05 * last.grad
        for weights, value, row in zip(own, selected, rows, strict=True):
            weights[value] -= 0.1 * row.grad
        mixer.learn(token)
    np.testing.assert_allclose(mixer.weights, torch.cat(own), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mixer.final, final, rtol=1e-4)


def test_a_better_model_gets_the_weight() -> None:
    mixer, good = Mixer(2, (1,), 0.02), np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32))
    for _ in range(200):
        mixer.mix(good, (0,))
        mixer.learn(0)
    assert mixer.mix(good, (0,))[0] > np.log(0.9)
