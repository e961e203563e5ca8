# One queue on AWS, as `peeklock settings aws --json` computes it: SQS, dead letters, Lambda, mapping and alarms.

variable "document" {
  description = "File that `peeklock settings aws --json` wrote"
  type        = string
}

variable "queue" {
  description = "Name of the Queue in Python"
  type        = string
}

variable "handler" {
  description = "Module and function, such as handlers.aws_sqs.handler.handler"
  type        = string
}

variable "bundle" {
  description = "File that `peeklock bundle aws` wrote"
  type        = string
}

variable "table" {
  description = "Name and ARN of the app's store"
  type        = object({ name = string, arn = string })
}

variable "topics" {
  description = "ARN of an SNS topic for each severity: high, medium, low"
  type        = map(string)
}

variable "variables" {
  description = "The handler's own variables, and the `producer` of each queue that it sends to"
  type        = map(string)
  default     = {}
}

locals {
  document = jsondecode(file(var.document))
  computed = local.document.queues[var.queue]
  names    = local.computed.names
  settings = local.computed.settings

  # What exists only now takes the place of each "${...}".
  with_queue        = replace(jsonencode(local.computed), "$${queue_arn}", aws_sqs_queue.queue.arn)
  with_queue_url    = replace(local.with_queue, "$${queue_url}", aws_sqs_queue.queue.url)
  with_dead_letters = replace(local.with_queue_url, "$${dead_letters_arn}", aws_sqs_queue.dead_letters.arn)
  with_both_urls    = replace(local.with_dead_letters, "$${dead_letters_url}", aws_sqs_queue.dead_letters.url)
  with_table        = replace(local.with_both_urls, "$${table_arn}", var.table.arn)
  filled            = jsondecode(replace(local.with_table, "$${logs_arn}", aws_cloudwatch_log_group.logs.arn))
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = local.names.dead_letters
  fifo_queue                = local.settings.fifo ? true : null
  deduplication_scope       = local.settings.fifo ? "messageGroup" : null
  fifo_throughput_limit     = local.settings.fifo ? "perMessageGroupId" : null
  message_retention_seconds = local.settings.dead_letters_retention
  sqs_managed_sse_enabled   = true

  lifecycle {
    prevent_destroy = true # as `protect` of the stack
  }
}

resource "aws_sqs_queue" "queue" {
  name                       = local.names.queue
  fifo_queue                 = local.settings.fifo ? true : null
  deduplication_scope        = local.settings.fifo ? "messageGroup" : null
  fifo_throughput_limit      = local.settings.fifo ? "perMessageGroupId" : null
  visibility_timeout_seconds = local.settings.visibility
  message_retention_seconds  = local.settings.retention
  receive_wait_time_seconds  = local.settings.poll
  sqs_managed_sse_enabled    = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_sqs_queue_redrive_policy" "queue" {
  queue_url      = aws_sqs_queue.queue.id
  redrive_policy = jsonencode(local.filled.policies.redrive)
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url            = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode(local.filled.policies.redrive_allow)
}

resource "aws_sqs_queue_policy" "queue" {
  queue_url = aws_sqs_queue.queue.id
  policy    = jsonencode(local.filled.policies.queue)
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = jsonencode(local.filled.policies.dead_letters)
}

resource "aws_cloudwatch_log_group" "logs" {
  name              = local.names.logs
  retention_in_days = local.document.stage.log_days
}

resource "aws_iam_role" "function" {
  name               = local.names.role
  assume_role_policy = jsonencode(local.computed.policies.assume_role)
}

resource "aws_iam_role_policy" "function" {
  role   = aws_iam_role.function.name
  policy = jsonencode(local.filled.policies.function)
}

resource "aws_lambda_function" "function" {
  function_name    = local.names.function
  role             = aws_iam_role.function.arn
  runtime          = "python3.13"
  architectures    = ["arm64"]
  handler          = var.handler
  filename         = var.bundle
  source_code_hash = filebase64sha256(var.bundle)
  timeout          = local.settings.timeout
  memory_size      = local.settings.memory
  publish          = true

  environment {
    variables = merge(var.variables, local.filled.variables, { PEEKLOCK_STORE = "dynamodb://${var.table.name}" })
  }

  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.logs.name
    application_log_level = "INFO"
    system_log_level      = "INFO"
  }

  tracing_config {
    mode = "Active"
  }

  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.function.function_name
  function_version = aws_lambda_function.function.version
}

resource "aws_lambda_event_source_mapping" "queue" {
  event_source_arn                   = aws_sqs_queue.queue.arn
  function_name                      = aws_lambda_alias.live.arn
  batch_size                         = local.settings.batch
  maximum_batching_window_in_seconds = local.settings.window
  function_response_types            = local.settings.response_types

  scaling_config {
    maximum_concurrency = local.settings.concurrency
  }

  metrics_config {
    metrics = local.settings.mapping_metrics
  }

  depends_on = [aws_iam_role_policy.function]
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.computed.alarms

  alarm_name          = "${local.names.function}-${each.key}"
  alarm_description   = "${each.value.severity}: ${each.value.description}"
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.evaluation_periods
  datapoints_to_alarm = each.value.datapoints_to_alarm
  treat_missing_data  = each.value.missing_data
  alarm_actions       = [var.topics[each.value.severity]]
  ok_actions          = [var.topics[each.value.severity]]

  dynamic "metric_query" {
    for_each = each.value.expression == "" ? [] : [each.value.expression]
    content {
      id          = "result"
      expression  = metric_query.value
      label       = each.key
      return_data = true
    }
  }

  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id          = metric_query.value.id
      return_data = each.value.expression == ""

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        stat        = metric_query.value.statistic
        period      = metric_query.value.period
        dimensions  = metric_query.value.dimensions
      }
    }
  }
}

output "queue" {
  description = "Variables for a producer's process; it also needs the policy `send`"
  value       = local.filled.producer
}

output "send" {
  description = "Policy of a producer"
  value       = jsonencode(local.filled.policies.send)
}

output "function" {
  description = "Name of the function, and of its role"
  value       = { name = aws_lambda_function.function.function_name, role = aws_iam_role.function.name }
}
