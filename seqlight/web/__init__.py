"""``seqlight try``: a page in the browser for each kind of system, made with gradio."""
