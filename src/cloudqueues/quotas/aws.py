"""SQS, Lambda and what stands around them. Seconds, bytes and counts."""

from __future__ import annotations

MESSAGE_BYTES = 1_048_576
"""Size of a message, and of all messages of one call. A queue may be set to less, and those made before August 2025 are: 262,144.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

LEAST_MESSAGE_BYTES = 1024
"""Smallest limit that a queue can be set to.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

ENTRIES = 10
"""Messages in one call that sends, receives, deletes or hides some.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""

ATTRIBUTES = 10
"""Attributes of a message.
Read 2026-11. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

NUMBER_DIGITS, LEAST_EXPONENT, EXPONENT = 38, -128, 126
"""Precision of an attribute of type Number, and the powers of ten between which it lies.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""

LEAST_DATA_KEY_SECONDS, DATA_KEY_SECONDS = 60, 86_400
"""Time for which a queue uses a data key of KMS again.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

DELAY_SECONDS = 900
"""Longest delay of a message.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

VISIBILITY_SECONDS = 43_200
"""Longest visibility timeout, counted from the receipt of a message with its delays.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

LEAST_RETENTION_SECONDS, RETENTION_SECONDS = 60, 1_209_600
"""Retention of a message, after which SQS deletes it.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

POLL_SECONDS = 20
"""Longest wait of a receive.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

RECEIVES = 1000
"""Largest maxReceiveCount.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""

QUEUE_NAME = 80
"""Characters of a queue's name, `.fifo` included.
Read 2026-12. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""

FUNCTION_SECONDS = 1800
"""Longest timeout of a function.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

MANAGED_FUNCTION_SECONDS = 5400
"""Longest timeout for events of a mapping, where the function runs on Lambda Managed Instances.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

LEAST_FUNCTION_MEGABYTES, FUNCTION_MEGABYTES = 128, 10_240
"""Memory of a function that is not on managed instances.
Read 2026-11. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

FUNCTION_NAME = 64
"""Characters of a function's name; the API takes an ARN in its place, which is longer.
Read 2026-11. https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

EVENT_BYTES = 6 * 1024 * 1024
"""Size of an event, and of the answer to it.
Read 2026-11. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

BATCH = 10_000
"""Messages in an event from a standard queue.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""

BATCH_OF_FIFO = 10
"""Messages in an event from a FIFO queue.
Read 2026-11. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""

BATCH_AT_ONCE = 10
"""Messages beyond which an event needs a window of a second.
Read 2026-11. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""

WINDOW_SECONDS = 300
"""Longest batching window; a FIFO queue has no window.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""

LEAST_CONCURRENCY, CONCURRENCY = 2, 1000
"""Maximum concurrency of a mapping.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""

LEAST_POLLERS = 2
"""Smallest minimum and maximum of a queue's provisioned pollers.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/api/API_ProvisionedPollerConfig.html"""

MINIMUM_POLLERS, POLLERS = 200, 10_000
"""Largest minimum and maximum of them.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/api/API_ProvisionedPollerConfig.html"""

FILTERS, FILTER_CHARACTERS = 10, 4096
"""Patterns of a mapping, and the length of one. An account has five patterns until it asks for more.
Read 2026-11. https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html"""

ROLE_NAME, ROLE_POLICY_NAME = 64, 128
"""Characters of a role's name, and of an inline policy's.
Read 2026-12. https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html"""

LEAST_TABLE_NAME, TABLE_NAME = 3, 255
"""Characters of a table's name.
Read 2026-11. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""Retention periods that CloudWatch offers for logs.
Read 2026-12. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""

ALARM_SECONDS, LONG_ALARM_SECONDS = 86_400, 604_800
"""Longest time that an alarm evaluates; the second with periods of an hour or more.
Read 2026-12. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""

VARIABLES_BYTES = 4 * 1024
"""Size of a function's environment variables, names and values together.
Read 2026-12. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
