"""Before any other conftest: a worker that runs beside others has a test bed of its own."""

from testbed import beds

beds.choose()
