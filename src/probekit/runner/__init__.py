"""Everything about running a probe that is not its question: schedule, deadline, folds, vantage, recorders."""

from probekit.runner.core import RunSettings
from probekit.runner.recorder import Planned, ProbeInfo, Recorder
from probekit.runner.run import config_digest, run_once, summary, watch
from probekit.runner.tape import Tape

__all__ = ["Planned", "ProbeInfo", "Recorder", "RunSettings", "Tape", "config_digest", "run_once", "summary", "watch"]
