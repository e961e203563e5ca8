# The example of infra/aws, by Terraform:
#   peeklock bundle aws
#   peeklock settings aws --app shop --stack prod.json --json > peeklock.json

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

locals {
  document = jsondecode(file("${path.module}/peeklock.json"))
}

resource "aws_dynamodb_table" "store" {
  name                        = local.document.queues.orders.names.table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "key"
  deletion_protection_enabled = local.document.stage.protect

  attribute {
    name = "key"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_sns_topic" "alarms" {
  for_each = toset(["high", "medium", "low"])
  name     = "${local.document.app}-${each.key}"
}

resource "aws_sns_topic_subscription" "mail" {
  for_each  = local.document.stage.notify
  topic_arn = aws_sns_topic.alarms[each.key].arn
  protocol  = "email"
  endpoint  = each.value
}

module "orders" {
  source    = "./queue"
  document  = "${path.module}/peeklock.json"
  queue     = "orders"
  handler   = "handlers.aws_sqs.handler.handler"
  bundle    = "${path.module}/../../build/bundle/aws.zip"
  table     = { name = aws_dynamodb_table.store.name, arn = aws_dynamodb_table.store.arn }
  topics    = { for severity, topic in aws_sns_topic.alarms : severity => topic.arn }
  variables = module.receipts.queue # orders send to receipts
}

resource "aws_iam_role_policy" "orders_send_receipts" {
  role   = module.orders.function.role
  policy = module.receipts.send
}

module "receipts" {
  source   = "./queue"
  document = "${path.module}/peeklock.json"
  queue    = "receipts"
  handler  = "handlers.aws_sqs.handler.receipts_handler"
  bundle   = "${path.module}/../../build/bundle/aws.zip"
  table    = { name = aws_dynamodb_table.store.name, arn = aws_dynamodb_table.store.arn }
  topics   = { for severity, topic in aws_sns_topic.alarms : severity => topic.arn }
}
