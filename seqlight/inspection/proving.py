"""``seqlight prove``: is a trained parity net right at every length? (docs/lessons/proof.md)"""

import json
import shlex

from seqlight.checkpoints import find_checkpoint, module_of, read_checkpoint
from seqlight.command.arguments import CheckpointParser
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.files.write_errors import writing


def command(words: list[str]) -> int:
    """Proves or refutes, writes what it found to the run's folder, and prints it; 0 if it is proved, else 1."""
    from seqlight.runs import new_run_folder, own_classes

    parser = CheckpointParser("seqlight prove", "use `seqlight prove --ckpt_path best`", __doc__)
    parser.add_argument("--check", metavar="FILE", help="check this certificate, and look for nothing")
    args = parser.read(words)
    path = find_checkpoint(args.ckpt_path, "prove")
    content = read_checkpoint(path)
    module = module_of(content, path)
    from seq_modules.verification.certificate import Certificate, CertificateError
    from seq_modules.verification.checker import check
    from seq_modules.verification.parity import parity_net, prove
    from seq_modules.verification.picture import draw

    net = parity_net(module)
    if args.check:
        if not expanded(args.check).is_file():
            raise UserError(f"--check {args.check}: no such file; give a certificate.json of `seqlight prove`")
        try:
            check(Certificate.load(expanded(args.check)), net)
        except CertificateError as error:
            print(f"refused: {error}")
            return 1
        print(f"accepted: {path} is right after every bit of every string")
        return 0
    outcome = prove(module)  # type: ignore[arg-type]  # parity_net has refused every other system
    experiment = (content.get("config") or {}).get("experiment") or "parity"
    folder = new_run_folder("runs", experiment, "prove", str(path))
    report = {
        "checkpoint": str(path),
        "verdict": outcome.verdict,
        "counterexample": outcome.counterexample,
        "reason": outcome.reason,
        "cpu_seconds": round(outcome.seconds, 3),
    }
    with writing(folder, option=None):
        (folder / "proof.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if outcome.certificate is not None:
            outcome.certificate.save(folder / "certificate.json")
            draw(outcome.certificate, net, folder / "sets.png")
    print(outcome)
    if outcome.certificate is not None:
        again = f"--ckpt_path {shlex.quote(str(path))} --check {shlex.quote(str(folder / 'certificate.json'))}"
        again += own_classes(content)
        print(f"results: {folder}\nnext: seqlight prove {again}")
        return 0
    print(f"results: {folder}\nnext: seqlight fit --config parity/lstm_provable")
    return 1
