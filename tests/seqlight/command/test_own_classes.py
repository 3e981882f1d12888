"""Every command that uses a checkpoint takes one of a user's own classes, which its own words never import."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.parity_nets import two_units

from datamodules import ParityDataModule
from seqlight.core.hyperparameters import class_path

# In a module each, so that one option does not import both.
NET = '"""A net."""\nfrom seq_modules import ParityModule\n\n\nclass Net(ParityModule):\n    """Mine."""\n'
BITS = '"""Bits."""\nfrom datamodules import ParityDataModule\n\n\nclass Bits(ParityDataModule):\n    """Mine."""\n'
NAMED = ("--model=my_net.Net", "--data=my_bits.Bits")
FOLLOWING = " --model my_net.Net --data my_bits.Bits"


@pytest.fixture
def own(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The best checkpoint of a run of own classes, in whose folder they are defined."""
    path = run_folder / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    assert content["datamodule_hyper_parameters"]["_class_path"] == class_path(ParityDataModule)
    content["state_dict"] |= two_units("lstm").state_dict()
    content["hyper_parameters"] |= {
        "net": {**content["hyper_parameters"]["net"], "hidden_size": 2},
        "_class_path": "my_net.Net",
    }
    content["datamodule_hyper_parameters"]["_class_path"] = "my_bits.Bits"
    torch.save(content, path)
    monkeypatch.chdir(run_folder.parents[3])
    Path("my_net.py").write_text(NET)
    Path("my_bits.py").write_text(BITS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield path.relative_to(Path.cwd())
    forget()


def forget() -> None:
    """Each command is a program of its own, which has imported nothing."""
    for name in ("my_net", "my_bits"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "words",
    [
        ("export", "--to=out"),
        ("export", "--to=out", "--format=onnx"),
        ("prove",),
        ("bench", "--batch_size=2", "--seconds=0.001"),
        ("test", "--trainer.limit_test_batches=1", "--trainer.callbacks=[]"),
    ],
    ids=" ".join,
)
def test_commands_import_the_classes_that_are_named(run: Run, own: Path, words: tuple[str, ...]) -> None:
    refused = run(*words, f"--ckpt_path={own}")
    assert refused.code == 2
    assert f"seqlight: error: {own}: its class my_net.Net is none of this program's" in refused.err
    assert "name it by --model or --data" in refused.err
    assert not Path("out").exists()
    assert "my_net" not in sys.modules
    done = run(*words, f"--ckpt_path={own}", *NAMED)
    assert done.code == 0, done.err
    assert (FOLLOWING in done.out) == (words[0] in ("prove", "test"))


def test_what_follows_an_export_and_a_mean_names_them(run: Run, own: Path) -> None:
    done = run("export", f"--ckpt_path={own}", "--to=out", *NAMED)
    assert "next: python -c 'import my_net; import seqlight; print(seqlight.load(\"out\"))'" in done.out, done.err
    assert "    import my_net\n    import seqlight\n\n    module = seqlight.load(" in Path("out/README.md").read_text()
    forget()
    done = run("average", str(own), str(own), "--output=mean.ckpt")
    assert done.out.endswith(f"next: seqlight test --ckpt_path mean.ckpt{FOLLOWING}\n"), done.err
    assert not {"my_net", "my_bits"} & {*sys.modules}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model=my_net.Nett",), "--model my_net.Nett: the module my_net has no class Nett"),
        (("--model=mynet.Net",), "--model mynet.Net: No module named 'mynet'"),
        (("--data=.Bits",), "--data"),
    ],
)
def test_a_class_that_is_not_found_is_named(run: Run, own: Path, words: tuple[str, ...], message: str) -> None:
    for command in ("prove", "export", "try"):
        refused = run(command, f"--ckpt_path={own}", *words, *(("--to=out",) if command == "export" else ()))
        assert refused.code == 2
        assert message in refused.err
        assert refused.err.count("\n") == 2


def test_a_system_without_a_page_is_told_how_it_is_used(run: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio")
    monkeypatch.setattr("seqlight.web.registry.FACES", {})
    refused = run("try", f"--ckpt_path={own}", *NAMED)
    assert refused.code == 2
    assert f"there is no page for a Net; use `seqlight predict --ckpt_path {own}{FOLLOWING}`" in refused.err
