"""Queues, topics and subscriptions through the SDK's own administration client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityDisabledError
from azure.servicebus.management import ApiVersion, AuthorizationRule, ServiceBusAdministrationClient

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import closed, leaving, one, receive, send, texts

FOREVER = timedelta(days=10_675_199, hours=2, minutes=48, seconds=5, microseconds=477_581)


def test_a_queue_lives_from_its_creation_to_its_end(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_queue("orders/eu", lock_duration=timedelta(seconds=30), max_delivery_count=1)
    send(client, "orders/eu", "a")
    with leaving(client.get_queue_receiver("ORDERS/eu")) as receiver:
        receiver.abandon_message(one(receiver))
    assert [dead_letter.body for dead_letter in bus.messages("orders/eu/$DeadLetterQueue")] == [b"a"]

    queue = admin.get_queue("orders/eu")
    queue.max_delivery_count = 2000
    admin.update_queue(queue)
    settings = bus.entities.settings("orders/eu")
    assert settings is not None
    assert (settings.max_delivery_count, settings.lock_duration) == (2000, 30)
    assert len(bus.messages("orders/eu/$DeadLetterQueue")) == 1

    closed()  # a link that is cut while its client closes it upsets the client
    admin.delete_queue("orders/eu")
    assert bus.entities.settings("orders/eu") is None
    with pytest.raises(ResourceNotFoundError):
        admin.get_queue("orders/eu")


def test_the_service_s_defaults(admin: ServiceBusAdministrationClient) -> None:
    assert vars_of(admin.create_queue("q")) == {
        "name": "q",
        "auto_delete_on_idle": FOREVER,
        "availability_status": "Available",
        "dead_lettering_on_message_expiration": False,
        "default_message_time_to_live": FOREVER,
        "duplicate_detection_history_time_window": timedelta(minutes=10),
        "enable_batched_operations": True,
        "enable_express": False,
        "enable_partitioning": False,
        "lock_duration": timedelta(minutes=1),
        "max_delivery_count": 10,
        "max_message_size_in_kilobytes": 256,
        "max_size_in_megabytes": 1024,
        "requires_duplicate_detection": False,
        "requires_session": False,
        "status": "Active",
    }


def vars_of(properties: Any) -> dict[str, object]:
    """Return what is set."""
    return {name: value for name, value in dict(properties).items() if value is not None}


def test_what_code_made_is_described_as_it_is(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> None:
    bus.add_queue(
        "q", lock_duration=90.5, requires_session=True, default_ttl=timedelta(days=2, hours=3), duplicate_window=30
    )
    queue = admin.get_queue("q")
    assert queue.lock_duration == timedelta(seconds=90.5)
    assert (queue.requires_session, queue.requires_duplicate_detection) == (True, True)
    assert queue.default_message_time_to_live == timedelta(days=2, hours=3)
    assert queue.duplicate_detection_history_time_window == timedelta(seconds=30)


def test_what_the_emulator_does_nothing_with_is_kept(admin: ServiceBusAdministrationClient) -> None:
    settings: dict[str, Any] = {
        "auto_delete_on_idle": timedelta(minutes=6),
        "enable_express": True,
        "max_size_in_megabytes": 2048,
        "user_metadata": "<all> & sundry",
        "status": "SendDisabled",
    }
    admin.create_queue("q", **settings)
    assert vars_of(admin.get_queue("q")).items() >= settings.items()
    admin.update_queue(admin.get_queue("q"), user_metadata="less")
    assert vars_of(admin.get_queue("q")).items() >= {**settings, "user_metadata": "less"}.items()


def test_a_partitioned_queue_shows_the_size_of_all_partitions(admin: ServiceBusAdministrationClient) -> None:
    queue = admin.create_queue("q", enable_partitioning=True, max_size_in_megabytes=1024)
    assert queue.max_size_in_megabytes == 16_384
    admin.update_queue(queue)
    assert admin.get_queue("q").max_size_in_megabytes == 16_384


def test_authorization_rules_are_kept(admin: ServiceBusAdministrationClient) -> None:
    rule = AuthorizationRule(
        type="SharedAccessAuthorizationRule", key_name="reader", rights=["Listen"], primary_key="one"
    )
    admin.create_queue("q", authorization_rules=[rule])
    rules = admin.get_queue("q").authorization_rules
    assert rules is not None
    assert [(rule.key_name, rule.rights, rule.primary_key) for rule in rules] == [("reader", ["Listen"], "one")]
    assert rules[0].secondary_key


def test_an_update_of_the_window_is_followed(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    queue = admin.create_queue("q", requires_duplicate_detection=True)
    admin.update_queue(queue, duplicate_detection_history_time_window=timedelta(seconds=20))
    send(client, "q", ServiceBusMessage("a", message_id="1"), ServiceBusMessage("b", message_id="1"))
    bus.advance(21)
    send(client, "q", ServiceBusMessage("c", message_id="1"))
    assert [message.body for message in bus.messages("q")] == [b"a", b"c"]


def test_forwarding_is_told_by_address_and_followed(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_queue("end")
    admin.create_queue("start", forward_to="end")
    assert admin.get_queue("start").forward_to == f"sb://127.0.0.1:{bus.http_port}/end"
    send(client, "start", "a")
    assert [message.body for message in bus.messages("end")] == [b"a"]


@pytest.mark.parametrize("scheme", ["http", "https", "sb"])
def test_an_address_to_forward_to_is_shown_as_it_was_written(
    bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient, scheme: str
) -> None:
    """The service returned `http://` in ForwardingEntityAsync.json, a recording of Azure.Messaging.ServiceBus, and `sb://`
    in test_mgmt_subscription_create_with_forward_to.yaml, one of azure-servicebus."""
    address = f"{scheme}://namespace.servicebus.windows.net/end"
    admin.create_queue("end")
    created = admin.create_queue("start", forward_to=address, forward_dead_lettered_messages_to=address)
    assert created.forward_to == created.forward_dead_lettered_messages_to == address
    assert admin.get_queue("start").forward_to == address
    admin.create_topic("t")
    admin.create_subscription("t", "s", forward_to=address)
    assert admin.get_subscription("t", "s").forward_to == address
    admin.update_queue(created, forward_to=None)
    assert admin.get_queue("start").forward_to is None
    assert admin.get_queue("start").forward_dead_lettered_messages_to == address


def test_an_entity_added_in_code_forwards_to_an_address_of_the_emulator(
    bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient
) -> None:
    bus.add_queue("end")
    bus.add_queue("start", forward_to="end", forward_dead_lettered_to="end")
    queue = admin.get_queue("start")
    assert queue.forward_to == queue.forward_dead_lettered_messages_to == f"sb://127.0.0.1:{bus.http_port}/end"


def test_runtime_properties_count(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_queue("q")
    assert admin.get_queue_runtime_properties("q").accessed_at_utc.year == 1
    later = ServiceBusMessage("late", scheduled_enqueue_time_utc=datetime.now(UTC) + timedelta(hours=1))
    send(client, "q", "a", "b", "dead", later)
    with leaving(client.get_queue_receiver("q")) as receiver:
        messages = {str(message): message for message in receiver.receive_messages(3, max_wait_time=5)}
        receiver.dead_letter_message(messages["dead"])
        receiver.defer_message(messages["b"])
        runtime = admin.get_queue_runtime_properties("q")
    assert (runtime.active_message_count, runtime.dead_letter_message_count) == (2, 1)
    assert (runtime.scheduled_message_count, runtime.total_message_count) == (1, 4)
    assert (runtime.transfer_message_count, runtime.transfer_dead_letter_message_count) == (0, 0)
    assert runtime.size_in_bytes > len("abdeadlate")
    assert runtime.created_at_utc <= runtime.updated_at_utc < runtime.accessed_at_utc


def test_an_unused_subscription_was_used_when_it_was_created(admin: ServiceBusAdministrationClient) -> None:
    admin.create_topic("t")
    admin.create_subscription("t", "s")
    runtime = admin.get_subscription_runtime_properties("t", "s")
    assert runtime.accessed_at_utc == runtime.created_at_utc


def test_what_cannot_be_forwarded_is_counted(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_queue("loop")
    admin.update_queue(admin.get_queue("loop"), forward_to="loop")
    send(client, "loop", "a")
    assert admin.get_queue_runtime_properties("loop").transfer_dead_letter_message_count == 1


def test_times_are_those_of_the_clients(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    admin.create_queue("q")
    bus.advance(3600)
    admin.update_queue(admin.get_queue("q"))
    runtime = admin.get_queue_runtime_properties("q")
    assert before < runtime.updated_at_utc < before + timedelta(seconds=100)
    assert runtime.updated_at_utc - runtime.created_at_utc > timedelta(seconds=3599)


def test_a_topic_and_its_subscriptions(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_topic("events", default_message_time_to_live="PT1H")
    admin.create_subscription("events", "mail", lock_duration="PT5S", requires_session=True)
    admin.create_subscription("events", "audit", dead_lettering_on_filter_evaluation_exceptions=False)
    with client.get_topic_sender("events") as sender:
        sender.send_messages(ServiceBusMessage("a", session_id="s"))
    assert [subscription.name for subscription in admin.list_subscriptions("EVENTS")] == ["audit", "mail"]
    assert admin.get_topic("events").default_message_time_to_live == timedelta(hours=1)
    audit = admin.get_subscription("events", "audit")
    assert audit.dead_lettering_on_filter_evaluation_exceptions is False
    runtime = admin.get_topic_runtime_properties("events")
    assert (runtime.subscription_count, runtime.sql_filter_count, runtime.correlation_filter_count) == (2, 2, 0)
    assert runtime.size_in_bytes > 0
    infos = list(admin.list_subscriptions_runtime_properties("events"))
    assert [subscription.active_message_count for subscription in infos] == [1, 1]

    mail = admin.get_subscription("events", "mail")
    admin.update_subscription("events", mail, max_delivery_count=3)
    settings = bus.entities.settings("events/Subscriptions/mail")
    assert settings is not None
    assert (settings.max_delivery_count, settings.requires_session, settings.lock_duration) == (3, True, 5)

    admin.delete_subscription("events", "mail")
    assert [subscription.name for subscription in admin.list_subscriptions("events")] == ["audit"]
    admin.delete_topic("events")
    assert list(admin.list_topics()) == []
    assert bus.entities.settings("events/Subscriptions/audit") is None


def test_queues_and_topics_are_listed_apart_and_in_pages(
    bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient
) -> None:
    for number in range(205):
        bus.add_queue(f"q{number:03}")
    bus.add_topic("t")
    bus.add_subscription("t", "s")
    assert [queue.name for queue in admin.list_queues()] == [f"q{number:03}" for number in range(205)]
    assert [queue.name for queue in admin.list_queues(max_page_size=205)] == [f"q{number:03}" for number in range(205)]
    assert [queue.name for queue in admin.list_queues(start_index=203)] == ["q203", "q204"]
    assert [topic.name for topic in admin.list_topics()] == ["t"]
    assert bus.entities.paths() == [*(f"q{number:03}" for number in range(205)), "t"]


def test_names_are_taken_without_regard_to_case(admin: ServiceBusAdministrationClient) -> None:
    admin.create_topic("Events")
    admin.create_subscription("events", "Mail")
    for create in (
        lambda: admin.create_queue("events"),
        lambda: admin.create_topic("EVENTS"),
        lambda: admin.create_subscription("Events", "mail"),
    ):
        with pytest.raises(ResourceExistsError):
            create()


def test_an_older_version_lacks_what_came_later(bus: ServiceBusEmulator) -> None:
    with ServiceBusAdministrationClient.from_connection_string(
        bus.admin_connection_string, connection_verify=str(bus.certificate), api_version=ApiVersion.V2017_04
    ) as admin:
        assert admin.create_queue("q").max_message_size_in_kilobytes is None
        admin.create_topic("t")
        assert admin.get_topic_runtime_properties("t").sql_filter_count is None


def test_the_namespace(admin: ServiceBusAdministrationClient) -> None:
    namespace = admin.get_namespace_properties()
    assert (namespace.name, namespace.messaging_sku, namespace.namespace_type) == (
        "sbemulatorns",
        "Standard",
        "Messaging",
    )
    assert datetime.now(UTC) - namespace.created_at_utc < timedelta(minutes=1)


def test_who_does_not_trust_the_certificate_gets_nowhere(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    with (
        ServiceBusAdministrationClient.from_connection_string(bus.admin_connection_string, retry_total=0) as admin,
        pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        admin.get_queue("q")
    with ServiceBusAdministrationClient.from_connection_string(
        bus.admin_connection_string, connection_verify=str(bus.certificate)
    ) as trusting:
        assert trusting.get_queue("q").name == "q"


def test_a_dead_letter_queue_is_none_of_the_entities(
    bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient
) -> None:
    bus.add_queue("q")
    with pytest.raises(ResourceNotFoundError):
        admin.get_queue("q/$DeadLetterQueue")
    with pytest.raises(HttpResponseError):
        admin.delete_queue("q/$DeadLetterQueue")
    assert bus.messages("q/$DeadLetterQueue") == []


def test_a_disabled_queue_takes_and_gives_nothing(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    queue = admin.create_queue("q")
    send(client, "q", "a")
    closed()  # a link that is cut while its client closes it upsets the client
    admin.update_queue(queue, status="ReceiveDisabled")
    send(client, "q", "b")
    with pytest.raises(MessagingEntityDisabledError):
        client.get_queue_receiver("q").receive_messages(max_wait_time=5)
    closed()
    admin.update_queue(queue, status="SendDisabled")
    with pytest.raises(MessagingEntityDisabledError):
        client.get_queue_sender("q").send_messages(ServiceBusMessage("c"))
    with leaving(client.get_queue_receiver("q")) as receiver:
        assert texts(receive(receiver, 2)) == ["a", "b"]


def test_links_are_cut_when_their_entity_is_disabled(
    bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient
) -> None:
    topic = admin.create_topic("t")
    admin.create_subscription("t", "s")
    again = {"retry_total": 1, "retry_backoff_factor": 0.01}  # a client first meets the cut, and then the reason
    with (
        ServiceBusClient.from_connection_string(bus.connection_string, **again) as client,
        client.get_topic_sender("t") as sender,
        client.get_subscription_receiver("t", "s") as receiver,
    ):
        sender.send_messages(ServiceBusMessage("a"))
        one(receiver)
        admin.update_topic(topic, status="Disabled")
        with pytest.raises(MessagingEntityDisabledError):
            sender.send_messages(ServiceBusMessage("b"))
        admin.update_subscription("t", admin.get_subscription("t", "s"), status="Disabled")
        with pytest.raises(MessagingEntityDisabledError):
            receiver.receive_messages(max_wait_time=5)
    assert [message.body for message in bus.messages("t/Subscriptions/s")] == [b"a"]


def test_what_is_forwarded_to_a_disabled_queue_is_kept(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_queue("end", status="Disabled")
    admin.create_queue("start", forward_to="end")
    send(client, "start", "a")
    (dead_letter,) = bus.messages("start/$Transfer/$DeadLetterQueue")
    assert dead_letter.properties["DeadLetterReason"] == "com.microsoft:entity-disabled"


def test_the_premium_tier() -> None:
    with (
        ServiceBusEmulator(tier="premium") as bus,
        ServiceBusAdministrationClient.from_connection_string(
            bus.admin_connection_string, connection_verify=str(bus.certificate), retry_total=0
        ) as admin,
    ):
        namespace = admin.get_namespace_properties()
        assert (namespace.messaging_sku, namespace.messaging_units) == ("Premium", 1)
        assert admin.create_queue("plain").max_message_size_in_kilobytes == 1024
        large = admin.create_queue("large", max_message_size_in_kilobytes=102_400, max_size_in_megabytes=81_920)
        assert (large.max_message_size_in_kilobytes, large.max_size_in_megabytes) == (102_400, 81_920)
        for setting in (
            {"max_message_size_in_kilobytes": 1023},
            {"max_message_size_in_kilobytes": 102_401},
            {"max_size_in_megabytes": 82_944},
            {"enable_express": True},
            {"enable_partitioning": True},
        ):
            refused: dict[str, Any] = setting
            with pytest.raises(HttpResponseError, match="SubCode=40000"):
                admin.create_topic("none", **refused)
