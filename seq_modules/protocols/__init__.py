"""What the callbacks and the command need of a system, of its net and of its data.

A callback asks ``isinstance(pl_module, Generates)`` and then calls the method. Every protocol can be checked at run
time; the check compares names and no signatures. Methods and plain attributes are found. Submodules and parameters are
not (Python 3.12 looks past ``nn.Module.__getattr__``), so no protocol names one; a system's net comes from
:func:`seq_modules.protocols.nets.net_of`.
"""
