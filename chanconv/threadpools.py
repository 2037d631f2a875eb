# SPDX-License-Identifier: BSD-3-Clause
"""chanconv among the thread pools that threadpoolctl lists and limits."""

import sys
from functools import cache

from chanconv import _chanconv
from chanconv.config import get_num_threads, set_num_threads


@cache
def register_threadpoolctl():
    """Make threadpoolctl know chanconv: ``threadpool_info`` lists it, ``threadpool_limits`` limits it.

    ``import chanconv`` does this if threadpoolctl has been imported before. Registering again does nothing.

    Raises
    ------
    ImportError
        threadpoolctl is not installed.
    """
    import threadpoolctl

    class ChanconvController(threadpoolctl.LibController):
        """The one copy of the library that Python uses: the extension module's, which its file name tells."""

        user_api = "chanconv"
        internal_api = "chanconv"
        filename_prefixes = ("_chanconv",)

        def get_num_threads(self):
            return get_num_threads()

        def set_num_threads(self, num_threads):
            set_num_threads(num_threads)

        def get_version(self):
            return _chanconv.version()

        def set_additional_attributes(self):
            self.architecture = _chanconv.isa()

    threadpoolctl.register(ChanconvController)


def register_if_imported():
    """`register_threadpoolctl` if threadpoolctl is there: an import shall not cost more than was asked for."""
    if "threadpoolctl" in sys.modules:
        register_threadpoolctl()
