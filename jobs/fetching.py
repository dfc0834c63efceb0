"""Settings of a fetch: from the command line to the stages that need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from plait.jobs.context import Context
from plait.jobs.listings import OptOutList, open_opt_out, opt_out_at
from plait.jobs.work import Json, Unit
from plait.pipeline.fetch.optout import OptOut
from plait.pipeline.fetch.policy import LOOPBACK, FetchPolicy, check_limits, check_policy
from plait.schemas.errors import UnitError

DECISIVE = ("max_bytes", "max_redirects", "robots", "signals")
"""Settings of a policy that decide what the answers are; the others say with how much patience they are asked for."""


@dataclass(frozen=True)
class Fetching:
    """What a user says about fetching.

    Attributes:
        contact: web page or mail address, sent with every request.
        opt_out: path of a list of domains and URLs that are neither asked nor taken from archives, "" for none.
        host_rate: requests a second at one host, 0 for no limit.
        host_concurrency: requests in flight at one host.
        concurrency: requests in flight of one worker.
        allow_loopback: whether servers of this machine may be asked.
    """

    contact: str = ""
    opt_out: str = ""
    host_rate: float = FetchPolicy.host_rate
    host_concurrency: int = FetchPolicy.host_concurrency
    concurrency: int = FetchPolicy.concurrency
    allow_loopback: bool = False


@dataclass(frozen=True)
class FetchPlan:
    """A checked fetch.

    Attributes:
        policy: limits and manners.
        opt_out: domains and URLs that are never asked.
    """

    policy: FetchPolicy
    opt_out: OptOutList

    def params(self) -> dict[str, Json]:
        """What decides the answers: settings of the stage."""
        decisive: dict[str, Json] = {name: getattr(self.policy, name) for name in DECISIVE}
        return decisive | {"opt_out": self.opt_out.digest}

    def payload(self) -> dict[str, Json]:
        """Everything, for a unit."""
        policy: dict[str, Json] = {**asdict(self.policy), "allow_networks": list(self.policy.allow_networks)}
        return {"policy": policy, "opt_out": self.opt_out.path}


def check_fetching(fetching: Fetching) -> None:
    """Check the numbers that a user says about fetching, whether or not anything is to be fetched.

    Raises:
        ConfigError: one of them makes no sense.
    """
    check_limits(fetching.concurrency, fetching.host_concurrency, fetching.host_rate)


def plan_fetch(fetching: Fetching, max_bytes: int) -> FetchPlan:
    """Check what a user says about fetching.

    Args:
        fetching: the settings.
        max_bytes: of a picture, from the recipe.

    Raises:
        ConfigError: the contact is missing, a limit makes no sense, or the list cannot be read.
    """
    policy = FetchPolicy(
        contact=fetching.contact,
        host_rate=fetching.host_rate,
        host_concurrency=fetching.host_concurrency,
        concurrency=fetching.concurrency,
        max_bytes=max_bytes,
        allow_networks=LOOPBACK if fetching.allow_loopback else (),
    )
    return FetchPlan(check_policy(policy), open_opt_out(fetching.opt_out))


def policy_of(unit: Unit) -> FetchPolicy:
    """The policy in a unit's payload."""
    raw = unit.payload.get("policy")
    if not isinstance(raw, Mapping):
        raise UnitError(f"the unit {unit.label} has no policy")
    policy = FetchPolicy(**{field.name: raw[field.name] for field in fields(FetchPolicy)})  # type: ignore[arg-type]
    return replace(policy, allow_networks=tuple(policy.allow_networks))


def opt_out_of(unit: Unit, ctx: Context) -> OptOut:
    """The opt-out list that a unit's payload names."""
    path = unit.payload.get("opt_out")
    return opt_out_at(ctx.store.root, None if path is None else str(path))
