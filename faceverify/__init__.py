"""Face verification for the command line and for Python.

>>> import faceverify
>>> faceverify.__version__
'0.1.0'
"""

__version__ = "0.1.0"
