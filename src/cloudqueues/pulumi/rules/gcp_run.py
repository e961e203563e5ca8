"""Rules of Cloud Run: services, and functions of the second generation, which run as services."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloudqueues.pulumi.rules.checks import (
    Check,
    Rule,
    Values,
    Violations,
    duration_within,
    first,
    matches,
    only_if,
    ordered,
    rule,
    values_at,
    where,
    within,
)
from cloudqueues.quotas import google as quotas

FUNCTIONS = "https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions"
SERVICES = "https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services"
MEMORY = "https://cloud.google.com/run/docs/configuring/services/memory-limits"
CPU = "https://cloud.google.com/run/docs/configuring/services/cpu"
CONCURRENCY = "https://cloud.google.com/run/docs/about-concurrency"
VARIABLES = "https://cloud.google.com/functions/docs/configuring/env-var#reserved_environment_variable_names"
CONTAINER = "https://cloud.google.com/run/docs/container-contract#services-env-vars"

UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
}
"""https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions#serviceconfig"""


def quantity(text: Any) -> float | None:
    """Return a quantity as Kubernetes writes it (`1000m`, `512Mi`, `2`); None for any other text."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi)?", str(text))
    return float(parts[1]) * UNITS[parts[2] or ""] if parts else None


def least_cpus(mebibytes: float) -> float:
    """Return the vCPUs that an instance with so much memory needs. See MEMORY and CPU, which differ between 512 MiB and
    1 GiB: the smaller number counts."""
    fractions = [cpus for least, cpus in quotas.FRACTIONS if least <= mebibytes]
    if mebibytes <= quotas.FRACTIONS[-1][0]:
        return max(fractions, default=quotas.LEAST_CPU)
    if mebibytes <= quotas.HALF_CPU_MEBIBYTES:
        return quotas.HALF_CPU
    return next((cpus for most, cpus in quotas.CPUS if mebibytes <= most), float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Properties of a type that set the size of its instances."""

    limits: str
    """Path of the objects with both limits."""
    cpu: str
    memory: str
    concurrency: str
    """Path of the number of requests that an instance takes at once."""
    default_memory: str
    default_cpus: Callable[[float], float]
    """Returns the vCPUs for MiB of memory, where a limit is not set."""

    @property
    def paths(self) -> tuple[str, str]:
        return f"{self.limits}.{self.cpu}", f"{self.limits}.{self.memory}"

    def sizes(self, inputs: Values) -> Iterator[tuple[str, float | None, float]]:
        """Yield the place of each limit of CPUs, its value where it is set, and the MiB. Unreadable ones are left out."""
        for place, limits in values_at(inputs, self.limits):
            if isinstance(limits, Mapping):
                cpu_text, memory_text = limits.get(self.cpu), limits.get(self.memory) or self.default_memory
                cpus, memory = quantity(cpu_text), quantity(memory_text)
                if memory is not None and (cpus is not None or cpu_text is None):
                    yield f"{place}.{self.cpu}", cpus, memory / UNITS["Mi"]

    def where(self, wrong: Callable[[float, float], bool]) -> Check:
        """Return a check of set CPUs and MiB."""
        return lambda inputs: (
            (place, cpus) for place, cpus, memory in self.sizes(inputs) if cpus is not None and wrong(cpus, memory)
        )

    def shared_fraction(self, inputs: Values) -> Violations:
        """Yield a concurrency above one for an instance with less than one CPU."""
        concurrency = first(inputs, self.concurrency)
        for _, cpus, memory in self.sizes(inputs):
            actual = self.default_cpus(memory) if cpus is None else cpus
            if concurrency is not None and concurrency > 1 and actual < 1:
                yield self.concurrency, concurrency


FUNCTION = Instances(
    limits="serviceConfig",
    cpu="availableCpu",
    memory="availableMemory",
    concurrency="serviceConfig.maxInstanceRequestConcurrency",
    default_memory="256Mi",
    default_cpus=lambda memory: 1 if memory >= quotas.WHOLE_CPU_MEBIBYTES else quotas.HALF_CPU,
)
"""The default CPUs follow from the memory: a fraction below 2 GiB. See MEMORY."""

SERVICE = Instances(
    limits="template.containers.resources.limits",
    cpu="cpu",
    memory="memory",
    concurrency="template.maxInstanceRequestConcurrency",
    default_memory="512Mi",
    default_cpus=lambda _: 1,
)
"""See CPU and MEMORY for the defaults."""


def _readable(text: Any) -> bool:
    return quantity(text) is not None


def _no_such_number(cpus: float, _: float) -> bool:
    return not (quotas.LEAST_CPU <= cpus < 1 or cpus in quotas.LEAST_MEMORY_OF_CPUS)


def _too_few(cpus: float, memory: float) -> bool:
    return cpus < least_cpus(memory)


def _too_many(cpus: float, memory: float) -> bool:
    return memory < quotas.LEAST_MEMORY_OF_CPUS.get(int(cpus), 0)


def _resources(instances: Instances) -> tuple[Rule, ...]:
    """Return the rules of an instance's CPUs, memory and concurrency."""
    paths = instances.paths
    return (
        *(
            rule("a limit is a number, with m, k, M, G, Ki, Mi or Gi behind it", FUNCTIONS, where(path, _readable))
            for path in paths
        ),
        rule("so much memory needs more CPUs", MEMORY, instances.where(_too_few), *paths),
        rule("so many CPUs need more memory", CPU, instances.where(_too_many), *paths),
        rule(
            f"an instance has {quotas.LEAST_CPU:g} to 1 CPU, or 2, 4, 6 or 8",
            CPU,
            instances.where(_no_such_number),
            *paths,
        ),
        rule(
            "an instance with less than 1 CPU takes one request at once",
            CPU,
            instances.shared_fraction,
            *paths,
            instances.concurrency,
        ),
        rule(
            f"an instance takes 1 to {quotas.REQUESTS:,} requests at once",
            CONCURRENCY,
            within(instances.concurrency, 1, quotas.REQUESTS),
        ),
    )


OF_SERVICES = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})
RESERVED = OF_SERVICES | {"FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"}
"""Variables that the platform sets. See CONTAINER and VARIABLES."""


def _reserved(inputs: Values) -> Violations:
    for name, value in (first(inputs, "serviceConfig.environmentVariables") or {}).items():
        if name in RESERVED or name.startswith("X_GOOGLE_"):
            yield f"serviceConfig.environmentVariables.{name}", value
    for place, name in values_at(inputs, "serviceConfig.secretEnvironmentVariables.key"):
        if name in RESERVED or str(name).startswith("X_GOOGLE_"):
            yield place, name


REPOSITORY = f"{FUNCTIONS}#BuildConfig.FIELDS.docker_repository"


def _elsewhere(inputs: Values) -> Violations:
    for place, name in values_at(inputs, "buildConfig.dockerRepository"):
        project, location = inputs.get("project", "[^/]+"), inputs.get("location", "[^/]+")
        if not re.fullmatch(f"projects/{project}/locations/{location}/repositories/[^/]+", str(name)):
            yield place, name


RULES: Mapping[str, tuple[Rule, ...]] = {
    "cloudfunctionsv2/function:Function": (
        rule(
            "a name has 1 to 63 lowercase letters, digits and hyphens",
            FUNCTIONS,
            matches("name", r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"),
        ),
        rule(
            f"a function answers within {quotas.FUNCTION_SECONDS:,} s",
            "https://cloud.google.com/run/quotas",
            only_if(
                lambda inputs: "eventTrigger" not in inputs,
                within("serviceConfig.timeoutSeconds", 1, quotas.FUNCTION_SECONDS),
            ),
        ),
        *_resources(FUNCTION),
        rule(
            "no more instances at least than at most",
            FUNCTIONS,
            ordered("serviceConfig", "minInstanceCount", "maxInstanceCount"),
            "serviceConfig.minInstanceCount",
            "serviceConfig.maxInstanceCount",
        ),
        rule(
            "the repository of the images is in the function's region and project",
            REPOSITORY,
            _elsewhere,
            "buildConfig.dockerRepository",
            "project",
            "location",
        ),
        rule(
            "the platform sets this variable",
            VARIABLES,
            _reserved,
            "serviceConfig.environmentVariables",
            "serviceConfig.secretEnvironmentVariables.key",
        ),
    ),
    "cloudrunv2/service:Service": (
        rule(
            f"a name has 1 to {quotas.SERVICE_NAME} lowercase letters, digits and hyphens",
            "https://cloud.google.com/run/docs/deploying#service",
            matches("name", rf"[a-z](?:[a-z0-9-]{{0,{quotas.SERVICE_NAME - 2}}}[a-z0-9])?"),
        ),
        rule(
            f"a service answers within 1 to {quotas.FUNCTION_SECONDS:,} s",
            "https://cloud.google.com/run/docs/configuring/request-timeout",
            duration_within("template.timeout", 1, quotas.FUNCTION_SECONDS),
        ),
        *_resources(SERVICE),
        rule(
            "no more instances at least than at most",
            SERVICES,
            ordered("template.scaling", "minInstanceCount", "maxInstanceCount"),
            "template.scaling.minInstanceCount",
            "template.scaling.maxInstanceCount",
        ),
        rule(
            "the platform sets this variable",
            CONTAINER,
            where("template.containers.envs.name", lambda name: name not in OF_SERVICES),
        ),
    ),
}
