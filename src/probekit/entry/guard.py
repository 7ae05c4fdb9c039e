"""What a command ends with: an exit code and, where something is wrong, one line on standard error. Never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from probekit.entry.streams import fill_standard_streams, flush_output, say
from probekit.errors import ConfigError, ProbekitError

EXIT_CONFIG = 3
EXIT_INTERRUPTED = 130


def guarded(program: str, work: Callable[[], int]) -> int:
    """The exit code of ``work``: 3 for whatever it raises, after one line that says what; 130 for SIGINT.

    ``SystemExit`` passes (``--help``). ``python -X dev`` prints a defect's traceback as well.
    """
    try:
        fill_standard_streams()
        code = work()
        flush_output()
        return code
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        return EXIT_INTERRUPTED
    except ConfigError as error:
        return complain(error, program)
    except ProbekitError as error:
        say(f"{program}: {_flat(error.message)} (error.type={error.error_type})")
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        say(f"{program}: {where}{_flat(error.strerror or str(error))} (error.type=config)")
    except Exception as error:
        import traceback

        from probekit.runner.failures import exhausted

        if exhausted(error):
            # Also what broke while it ended: closing anything may want a thread.
            say(f"{program}: out of memory, by its limit (LimitDATA=) or this host's (error.type=internal)")
            return EXIT_CONFIG

        if sys.flags.dev_mode:
            traceback.print_exc()
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        say(f"{program}: a defect: {type(error).__name__}: {_flat(str(error))}{place} (error.type=internal)")
    return EXIT_CONFIG


def complain(error: ConfigError, program: str) -> int:
    """Say what is wrong with the configuration, a line for each fault of a manifest; the exit code for it."""
    if len(error.problems) > 1:
        say(f"{error.message}\nerror.type=config")
    else:
        # A manifest's fault begins with its position, as editors and CI want it.
        start = "" if error.problems else f"{program}: "
        say(f"{start}{_flat(error.message)} (error.type=config)")
    return EXIT_CONFIG


def _flat(text: str) -> str:
    return " ".join(text.split())
