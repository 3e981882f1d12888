"""What `seqlight --help` prints."""

COMMANDS = {
    "fit": "train a model: --config RECIPE, or --ckpt_path to resume an interrupted run",
    "validate": "measure a checkpoint on the validation data: --ckpt_path best",
    "test": "measure a checkpoint on the test data: --ckpt_path best",
    "predict": "use a checkpoint on new data: --ckpt_path best",
}
HELP = f"""usage: seqlight COMMAND [options]

{chr(10).join(f"  {name:<9} {text}" for name, text in COMMANDS.items())}
  sweep     run a study of many trainings: seqlight sweep SWEEP; with --report its table so far;
            with --storage postgresql://USER@HOST/DATABASE machines share it over the network, and a trial whose
            process was silent for --grace_period SECONDS (by default 300) is run again
  average   write a checkpoint with the mean weights of others: seqlight average A.ckpt B.ckpt --output C.ckpt
  prove     is a trained parity net right at every length? seqlight prove --ckpt_path best
  configs   list the recipes; `seqlight configs copy NAME` starts one of your own

  seqlight COMMAND --help                all options of a command
  seqlight fit --model.help CLASS        the options of a model (--data.help of its data)
  seqlight fit --config NAME --print_config=skip_default
  seqlight --print_completion bash|zsh   shell completion
  seqlight --version
  --debug (or SEQLIGHT_DEBUG=1)          show the traceback of an error
"""
