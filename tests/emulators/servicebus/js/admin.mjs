// What Microsoft's JavaScript administration client sees of the emulator. Argument: the connection string.
// Prints what it saw as one line of JSON; the test says what it has to be.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.PEEKLOCK_NODE_MODULES, "from-here.js"));
const { ServiceBusAdministrationClient } = require("@azure/service-bus");

const admin = new ServiceBusAdministrationClient(process.argv[2], { retryOptions: { maxRetries: 0 } });
const code = (promise) => promise.then(() => "none", (error) => [error.code, error.statusCode]);
const all = async (items) => {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
};

const seen = {};
const queue = await admin.createQueue("eu/orders", { lockDuration: "PT30S", maxDeliveryCount: 3, userMetadata: "m & m" });
seen.created = [queue.name, queue.lockDuration, queue.maxDeliveryCount, queue.userMetadata, queue.status];
seen.exists = [await admin.queueExists("eu/orders"), await admin.queueExists("none")];
seen.refused = [
  await code(admin.createQueue("eu/orders")),
  await code(admin.createQueue("new", { lockDuration: "PT6M" })),
  await code(admin.getQueue("none")),
  await code(admin.deleteQueue("none")),
];
queue.maxDeliveryCount = 4;
seen.updated = (await admin.updateQueue(queue)).maxDeliveryCount;
for (const name of ["a", "b", "c"]) await admin.createQueue(name, { forwardTo: "eu/orders" });
seen.forwards = (await admin.getQueue("a")).forwardTo;
seen.pages = [];
for await (const page of admin.listQueues().byPage({ maxPageSize: 3 })) seen.pages.push(page.map((one) => one.name));

const properties = { n: 1, yes: true, text: "x", when: new Date(0) };
await admin.createTopic("events");
await admin.createSubscription("events", "mail", {
  defaultRuleOptions: { name: "first", filter: { subject: "red", applicationProperties: properties } },
});
const filter = { sqlExpression: "a = @p", sqlParameters: { "@p": 5 } };
await admin.createRule("events", "mail", "second", filter, { sqlExpression: "SET b = @q", sqlParameters: { "@q": "z" } });
seen.rules = (await all(admin.listRules("events", "mail"))).map(({ name, filter, action }) => [name, filter, action]);
const runtime = await admin.getQueueRuntimeProperties("eu/orders");
seen.counts = [runtime.activeMessageCount, runtime.totalMessageCount, runtime.accessedAt.getUTCFullYear()];
seen.subscriptions = (await admin.getTopicRuntimeProperties("events")).subscriptionCount;
seen.namespace = (await admin.getNamespaceProperties()).messagingSku;
await admin.deleteRule("events", "mail", "second");
await admin.deleteSubscription("events", "mail");
await admin.deleteTopic("events");
seen.topics = await all(admin.listTopics());
console.log(JSON.stringify(seen));
