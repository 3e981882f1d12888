"""What stands here, told without changing it: the machine (``doctor``), and a checkpoint's speed and truth (``bench``,
``prove``).
"""
