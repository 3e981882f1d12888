"""Makes the pictures in executed notebooks a third as large, with 256 colours each, and drops the times of execution.

python docs/shrink_pictures.py docs/notebooks/*.ipynb
"""

import base64
import io
import sys

import nbformat
from PIL import Image


def shrunk(picture: str) -> str:
    """A PNG in base64 with at most 256 colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize()
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


for path in sys.argv[1:]:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                output["data"]["image/png"] = shrunk(picture)
    nbformat.write(notebook, path)
