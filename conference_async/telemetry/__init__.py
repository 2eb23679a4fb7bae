"""One trace from click to hang-up, by OpenTelemetry (extra ``otel``).

One `Telemetry` watches clients, the diallers and workers that use them, and receivers::

    telemetry = Telemetry()
    client = ConferenceClient(cps=5, telemetry=telemetry)
    receiver = Receiver(keys, public_url=url, telemetry=telemetry)
"""

from importlib.util import find_spec

if find_spec("opentelemetry") is None:
    raise ModuleNotFoundError(
        "telemetry needs OpenTelemetry; install the extra otel: conference-async[otel]",
        name="opentelemetry",
    )

from conference_async.telemetry.telemetry import Telemetry

__all__ = ["Telemetry"]
