"""Azure Service Bus on Azure Functions."""
