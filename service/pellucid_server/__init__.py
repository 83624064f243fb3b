"""The server. Nothing that it imports may report home: see `telemetry.offline`."""

from pellucid_server.telemetry.offline import stay_offline

stay_offline()
