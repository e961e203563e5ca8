"""A handler's own variables, arguments that are outputs of other resources, and queues of other apps."""

from __future__ import annotations

import pulumi
import pytest

from peeklock import ConfigError, Queue
from peeklock.infra import inputs
from peeklock.infra.deployed import Deployed, deployed, own
from peeklock.infra.variables import checked_variables
from tests.infra.running import run

ORDERS, INVOICES = Queue("orders"), Queue("invoices")


def checked(variables=None, secrets=None, *, plain=False):
    return checked_variables(variables or {}, secrets or {}, plain=plain, reserved=("AWS_",))


@pytest.mark.parametrize(
    ("variables", "secrets", "fix"),
    [
        ({"GATEWAY_KEY": "x"}, {}, r"'GATEWAY_KEY' sounds like a secret \(KEY\).*secrets=\{'GATEWAY_KEY'.*plain=True"),
        ({"api_token": "x"}, {}, r"sounds like a secret \(TOKEN\)"),
        ({"DB_PASSWORD": "x"}, {}, r"\(PASSWORD\)"),
        ({"SECRET": "x"}, {}, r"\(SECRET\)"),
        ({"GOOGLE_CREDENTIALS": "x"}, {}, r"\(CREDENTIALS\)"),
        ({"1ST": "x"}, {}, "'1ST' is no name of a variable"),
        ({"A-B": "x"}, {}, "'A-B' is no name of a variable"),
        ({1: "x"}, {}, "1 is no name of a variable"),
        ({"PEEKLOCK_STORE": "x"}, {}, "'PEEKLOCK_STORE' is set by peeklock"),
        ({}, {"aws_region": "x"}, "secrets: 'aws_region' is set by peeklock or by the platform"),
        ({"A": "x"}, {"A": "y"}, "'A' is in variables= and in secrets=; keep the secret"),
        ({"A": 5}, {}, r"variables\['A'\]=5: use a text, such as str\(5\)"),
        ({"A": ""}, {}, r"variables\['A'\] is empty"),
        ({}, {"A": None}, r"secrets\['A'\] is empty"),
    ],
)
def test_variables_that_would_fail_or_leak_are_refused(variables, secrets, fix):
    with pytest.raises(ConfigError, match=fix):
        checked(variables, secrets)


def test_a_variable_whose_name_only_contains_such_a_word_is_accepted():
    accepted = checked({"KEYBOARD": "x", "MONKEYS": "x", "MAX_TOKENS": "100"})
    assert set(accepted.plain) == {"KEYBOARD", "MONKEYS", "MAX_TOKENS"}


def test_a_plain_variable_may_sound_like_a_secret_when_the_program_says_so():
    assert checked({"PUBLIC_KEY": "x"}, plain=True).plain == {"PUBLIC_KEY": "x"}


def test_variables_are_a_mapping():
    with pytest.raises(ConfigError, match=r"variables=\['A'\]: use a mapping from names to values"):
        checked_variables(["A"], {}, plain=False, reserved=())


@pytest.mark.parametrize("secrets", [{"A": b"s3cret"}, {"A": ["s3cret"]}, ["s3cret!"], "s3cret!"])
@pytest.mark.parametrize("wrap", [lambda value: value, pulumi.Output.from_input], ids=["literal", "output"])
def test_a_secret_that_is_given_itself_is_in_no_error(secrets, wrap):
    """Neither for a value of another type nor for what is no mapping."""

    def program():
        arguments = {name: wrap(value) for name, value in secrets.items()} if isinstance(secrets, dict) else secrets
        pulumi.export("A", checked(secrets=arguments).secrets["A"])

    with pytest.raises(Exception, match="secrets") as refused:
        run(program)
    assert "s3cret" not in str(refused.value)


def test_an_output_is_checked_during_the_update():
    def program():
        pulumi.export("A", checked({"A": pulumi.Output.from_input("x")}).plain["A"])
        pulumi.export("B", checked({"B": pulumi.Output.from_input(5)}).plain["B"])

    with pytest.raises(Exception, match=r"variables\['B'\]=5: use a text"):
        run(program)


def test_an_output_that_passes_is_returned():
    def program():
        pulumi.export("A", inputs.text("store", pulumi.Output.from_input("leases")))

    assert run(program).outputs["A"] == "leases"


def test_queues_in_uses_are_of_the_app_or_of_another_one():
    elsewhere = Deployed(INVOICES, {"queue": "https://sqs"})
    assert own([ORDERS, elsewhere]) == (ORDERS,)
    assert deployed([ORDERS, elsewhere]) == (elsewhere,)


@pytest.mark.parametrize(
    ("outputs", "fix"),
    [
        ({"queue": "https://sqs"}, None),
        ({}, "uses: outputs of queue 'invoices' have no 'queue'; pass the output object"),
        (None, "have no 'queue'"),
        ("https://sqs", "have no 'queue'"),
        ({"queue": 5}, "outputs of queue 'invoices': queue=5: use a text"),
    ],
)
def test_the_outputs_of_another_app_are_checked_during_the_update(outputs, fix):
    def program():
        pulumi.export("url", Deployed(INVOICES, pulumi.Output.from_input(outputs)).output("queue"))

    if fix is None:
        assert run(program).outputs["url"] == "https://sqs"
        return
    with pytest.raises(Exception, match=fix):
        run(program)
