"""Everything about running a probe that is not its question: schedule, deadline, folds, vantage, recorders."""

from probekit.runner.core import RunSettings
from probekit.runner.recorder import Planned, ProbeInfo, Recorder
from probekit.runner.run import config_digest, run_once, summary, watch

__all__ = ["Planned", "ProbeInfo", "Recorder", "RunSettings", "config_digest", "run_once", "summary", "watch"]
