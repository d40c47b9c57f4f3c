"""What operations give back: one frozen record per kind of result.

Every record is an object (``s.num_basins``) and a read-only mapping (``s["num_basins"]``), and
``to_dict()`` gives plain data for JSON. The checker derives the fields of the language's record types from
the annotations, so that a field exists in scripts exactly when it exists here. Fields hold numbers,
texts, booleans, ``None``, other records, and tuples of these; tensors stay in the session.

Units: energies are those of ``energylang.landscape.energy``; residuals, drifts and fractions are relative
(0…1); entropies are in nats; losses are nats per token; times are seconds.
"""

from .algebra import *
from .base import *
from .causal import *
from .concept import *
from .data import *
from .edit import *
from .fit import *
from .history import *
from .meaning import *
from .model import *
from .observe import *
from .pair import *
from .record import *
from .safety import *
from .stream import *
from .table import *
from .watermark import *
