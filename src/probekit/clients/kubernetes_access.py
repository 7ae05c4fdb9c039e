"""How a Kubernetes API server is reached: its address, whom to trust there, and what to say who asks.

From a kubeconfig file or the service account of the pod one runs in. lightkube reads both; requests go through our own engine.
Supported of a user: token, tokenFile, exec plugin (a token; v1beta1 and v1), user name and password, client certificate.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import ssl
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock, within
from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra
from probekit.secret import Secret
from probekit.transports.base import HeaderValue
from probekit.units import NS_PER_S, Instant

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig
    from lightkube.config.models import Cluster, User, UserExec

__all__ = ["ClusterAccess", "load_access"]

_PLUGIN_NS: Final = 15 * NS_PER_S
_MOST_OUTPUT: Final = 64 * 1024
_EARLY_NS: Final = 60 * NS_PER_S
"""How long before its end a plugin's token is no longer used."""
_REMEMBERED: Final = 8
"""How many credentials are remembered after they were last sent: tokens rotate, and an answer may repeat the one before."""
_EXEC_VERSIONS: Final = tuple(f"client.authentication.k8s.io/{one}" for one in ("v1", "v1beta1", "v1alpha1"))


class _ExecStatus(msgspec.Struct):
    token: str = ""
    expires: str | None = msgspec.field(name="expirationTimestamp", default=None)


class _ExecCredential(msgspec.Struct):
    status: _ExecStatus = msgspec.field(default_factory=_ExecStatus)


@dataclass(eq=False)
class ClusterAccess:
    """The API server at ``server``, a URL without a slash at its end. ``tls`` is ``None`` for plain HTTP.

    Made by :func:`load_access`; ``ClusterAccess("http://127.0.0.1:8001")`` is ``kubectl proxy``.
    """

    server: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    context: str = ""
    """The context's name in the kubeconfig."""
    _user: User | None = field(default=None, repr=False)
    _token_file: Path | None = field(default=None, repr=False)
    _clock: Clock = field(default=SYSTEM_CLOCK, repr=False)
    _kept: tuple[Secret, Instant | None] | None = field(default=None, repr=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)
    _sent: deque[Secret] = field(default_factory=lambda: deque(maxlen=_REMEMBERED), init=False, repr=False)

    @property
    def renews(self) -> bool:
        """Whether what says who asks may be another the next time."""
        return self._token_file is not None or (self._user is not None and self._user.exec is not None)

    async def headers(self, *, renew: bool = False) -> tuple[tuple[str, HeaderValue], ...]:
        """What says who asks. A token's file is read each time, since tokens rotate; a plugin is asked again once its token
        ends, or with ``renew``. Raises ``ConfigError``.
        """
        credential = await self._credential(renew)
        if credential is None:
            return ()
        if credential in self._sent:
            self._sent.remove(credential)
        self._sent.append(credential)
        return (("authorization", credential),)

    async def _credential(self, renew: bool) -> Secret | None:
        user = self._user
        if self._token_file is not None:
            return _bearer(_read(self._token_file))
        if user is None:
            return None
        if user.token:
            return _bearer(user.token)
        if user.exec is not None:
            return await self._from_plugin(user.exec, renew)
        if user.username and user.password:
            pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
            return Secret(f"Basic {pair}", made_of=Secret(pair, made_of=_part(user.password)))
        return None

    async def _from_plugin(self, plugin: UserExec, renew: bool) -> Secret:
        before = self._kept
        async with self._asking:  # once for all lists that begin together
            if self._kept is not None and (self._kept is not before or not renew):
                secret, ends = self._kept
                if ends is None or ends.since(self._clock.now()) > _EARLY_NS:
                    return secret
            status = await _ask_plugin(plugin, self._clock)
            try:
                ends = None if status.expires is None else Instant.parse(status.expires)
            except ValueError:
                ends = None
            self._kept = _bearer(status.token), ends
            return self._kept[0]


def _bearer(token: str) -> Secret:
    return Secret(f"Bearer {token}", made_of=_part(token))


def _part(text: str) -> Secret | None:
    """Blanks, which a kubeconfig may hold, are no secret of their own."""
    return Secret(text) if text.strip() else None


def load_access(kubeconfig: str | None = None, context: str | None = None, *, clock: Clock = SYSTEM_CLOCK) -> ClusterAccess:
    """By the kubeconfig file and its context (else its current one). Without a file: the pod's service account where there is
    one, else what ``KUBECONFIG`` names, else ``~/.kube/config``.

    Raises ``ConfigError``, in words that hold nothing of what stands in the file.
    """
    config = _config(kubeconfig, context)
    cluster, user = config.cluster, config.user
    server = cluster.server.rstrip("/")
    if not server.startswith(("http://", "https://")):
        raise ConfigError(f"the server {server} of the context {config.context_name} is no http or https URL")
    if user is not None and user.auth_provider:
        raise ConfigError(f"the user of the context {config.context_name} has an auth-provider; kubectl ended those: use exec")
    if user is not None and user.exec is not None and user.exec.apiVersion not in _EXEC_VERSIONS:
        raise ConfigError(f"the exec plugin {user.exec.command} speaks {user.exec.apiVersion}, which is not known")
    tls = _tls(config, cluster, user) if server.startswith("https:") else None
    token_file = Path(config.abs_file(user.token_file)) if user is not None and user.token_file else None
    return ClusterAccess(server, tls, config.context_name, user, token_file, clock)


def _config(kubeconfig: str | None, context: str | None) -> SingleConfig:
    try:
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError as Refused
    except ModuleNotFoundError:
        raise missing_extra("Kubernetes needs lightkube", "kubernetes") from None
    import yaml

    named = kubeconfig or "the kubeconfig or service account"
    try:
        found = KubeConfig.from_env() if kubeconfig is None else KubeConfig.from_file(kubeconfig)
        config = found.get(context)
    except Refused as error:
        raise ConfigError(f"{named}: {error}") from None
    except KeyError as error:
        raise ConfigError(f"{named} has no {error.args[0]!r}, which it names or needs") from None
    except yaml.YAMLError as error:
        # Its own words quote the line, which may hold a token.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1}"
        raise ConfigError(f"{named} is no YAML{where}") from None
    except (OSError, UnicodeDecodeError, msgspec.ValidationError, TypeError, AttributeError) as error:
        raise ConfigError(f"{named} cannot be read as a kubeconfig: {type(error).__name__}") from None
    assert config is not None
    return config


def _tls(config: SingleConfig, cluster: Cluster, user: User | None) -> ssl.SSLContext:
    """The cluster's own authorities, else the system's; and the user's certificate. Raises ``ConfigError``."""
    try:
        if cluster.certificate_auth_data:
            context = ssl.create_default_context(cadata=_decoded(cluster.certificate_auth_data).decode("ascii"))
        elif cluster.certificate_auth:
            context = ssl.create_default_context(cafile=str(config.abs_file(cluster.certificate_auth)))
        else:
            context = ssl.create_default_context()
        if cluster.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if user is not None and (user.client_cert or user.client_cert_data):
            with contextlib.ExitStack() as stack:
                context.load_cert_chain(
                    _as_file(stack, config, user.client_cert, user.client_cert_data),
                    _as_file(stack, config, user.client_key, user.client_key_data),
                    # Never asked for on a terminal; an encrypted key is refused.
                    password="",
                )
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"the certificates of the context {config.context_name} cannot be used: {reason}") from None
    return context


def _as_file(stack: contextlib.ExitStack, config: SingleConfig, path: str | None, data: str | None) -> str:
    """OpenSSL takes a certificate of one's own from a file alone: one that only its owner reads, for that moment."""
    if data is None:
        if path is None:
            raise ValueError("a certificate without its key")
        return str(config.abs_file(path))
    file = stack.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115 - the stack closes it
    file.write(_decoded(data))
    file.flush()
    return file.name


def _decoded(data: str) -> bytes:
    """Raises ``ValueError`` for what is not base64, or nothing: OpenSSL takes no authority at all for the system's."""
    found = base64.b64decode("".join(data.split()), validate=True)
    if not found:
        raise ValueError("an empty certificate")
    return found


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token file {path} cannot be read: {type(error).__name__}") from None
    if not token:
        raise ConfigError(f"the token file {path} is empty")
    return token


async def _ask_plugin(plugin: UserExec, clock: Clock) -> _ExecStatus:
    """Source: client-go's credential plugins. Its standard error is nobody's to read but its own."""
    info = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential", "spec": {"interactive": False}}
    env = {**os.environ, **{one.name: one.value for one in plugin.env or ()}, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command, *(plugin.args or ()), env=env, stdin=none, stdout=pipe, stderr=none
        )
    except OSError as error:
        raise ConfigError(f"the exec plugin {plugin.command} does not start: {error.strerror}") from None
    try:
        output, code = await within(clock, clock.monotonic_ns() + _PLUGIN_NS, _heard(process))
    except TimeoutError:
        raise ConfigError(f"the exec plugin {plugin.command} did not answer in {_PLUGIN_NS // NS_PER_S} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if code != 0:
        raise ConfigError(f"the exec plugin {plugin.command} ended with {code}")
    try:
        status = msgspec.json.decode(output, type=_ExecCredential).status
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"the exec plugin {plugin.command} wrote no ExecCredential") from None
    if not status.token:
        raise ConfigError(f"the exec plugin {plugin.command} gave no token; client certificates of plugins are not taken")
    return status


async def _heard(process: asyncio.subprocess.Process) -> tuple[bytes, int]:
    assert process.stdout is not None
    output = bytearray()
    while (part := await process.stdout.read(_MOST_OUTPUT)) and len(output) <= _MOST_OUTPUT:
        output += part
    if len(output) > _MOST_OUTPUT:
        process.kill()
    return bytes(output), await process.wait()
